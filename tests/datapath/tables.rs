//! What a write that fails leaves in the tables.

use gateway_daemon::datapath::{Capacity, Datapath, TcHook};
use gateway_daemon::plan::{Plan, PolicyTables};
use gateway_ebpf::abi::{SetBits, SetId};
use gateway_tests::skip::may_use_namespaces;
use ipnet::Ipv4Net;

fn with_prefixes(count: u32) -> Plan {
    let mut bits = SetBits::default();
    bits.insert(SetId(1));
    let prefix = |n: u32| (Ipv4Net::new((n << 8).into(), 24).unwrap(), bits);
    Plan { policy: PolicyTables { sets_v4: (0..count).map(prefix).collect(), ..Default::default() }, ..Default::default() }
}

#[test]
fn prefixes_of_a_policy_that_did_not_fit_do_not_stay() {
    if !may_use_namespaces("tables::prefixes_of_a_policy_that_did_not_fit_do_not_stay") {
        return;
    }
    let mut datapath = Datapath::new(Capacity { flows: 1024 }, [1, 2], TcHook::of_this_kernel()).unwrap();
    let too_many = datapath.apply(&with_prefixes(40_000));
    assert!(too_many.is_err(), "the trie holds 32768");
    assert!(datapath.apply(&with_prefixes(1)).unwrap());
    assert_eq!(datapath.maps().v4.sets.keys().count(), 1);
}
