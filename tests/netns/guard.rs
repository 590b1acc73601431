//! After a crash the machine is closed, not open; and the next start takes over.

use gateway_tests::gateway::Start;
use gateway_tests::lab::{GATEWAY_OVERLAY, ONPREM, SERVER, SERVER_V6, VM1};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_both_modes};
use crate::machine::Machine;
use crate::policy::Policy;
use crate::traffic::{PATIENCE, answers, ask, is_silent, udp};

in_both_modes! { a_crash_closes_the_way_between_zones }
in_a_lab! {
    a_guard_that_somebody_flushed_is_put_back
    the_start_after_a_crash_takes_over_and_its_stop_restores_what_was_before_the_first
}

fn a_crash_closes_the_way_between_zones(lab: &Lab, gateway: &Gateway<'_>) {
    assert!(answers(&lab.vm1, SERVER) && answers(&lab.vm1, SERVER_V6));
    // Programs on a link go with the daemon. Filters of clsact, before Linux 6.6, stay: what is established goes on, and nothing new begins.
    let filters_stay = gateway.interface("eth1").unwrap()["attach"].as_str().unwrap().contains("clsact");
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    ask(&client, &server, "10.128.0.1:5001");
    gateway.crash().unwrap();
    for (from, to) in [(&lab.vm1, SERVER), (&lab.vm2, ONPREM), (&lab.onprem, VM1), (&lab.vm1, SERVER_V6)] {
        assert!(is_silent(from, to), "{to}");
    }
    // It is the guard that closes it: the kernel itself would forward.
    for key in ["ipv4/conf/eth0/forwarding", "ipv4/conf/eth1/forwarding"] {
        assert_eq!(lab.gateway.run("cat", &[&format!("/proc/sys/net/{key}")]).unwrap().trim(), "1", "{key}");
    }
    lab.gateway.run("nft", &["flush", "ruleset"]).unwrap();
    if filters_stay {
        ask(&client, &server, "10.128.0.1:5001");
        assert!(is_silent(&lab.vm1, SERVER) && is_silent(&lab.onprem, VM1));
        return;
    }
    assert!(answers(&lab.vm1, SERVER) && answers(&lab.onprem, VM1), "unfiltered and untranslated");
}

/// As every restart of Debian's nftables.service does, which begins with `flush ruleset`.
fn a_guard_that_somebody_flushed_is_put_back(lab: &Lab) {
    let policy = Policy::seed().and("[[firewall.rules]]\nname = \"no pings\"\nto = \"self\"\nprotocol = \"icmp\"\naction = \"drop\"");
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    assert!(is_silent(&lab.vm1, GATEWAY_OVERLAY), "rules to self are the table's");
    let table = format!("table inet gateway_{}", gateway.instance().replace('-', "_2d"));
    lab.gateway.run("nft", &["flush", "ruleset"]).unwrap();
    wait_until(PATIENCE, "the guard to be back", || Ok(lab.gateway.run("nft", &["list", "tables"])?.contains(&table))).unwrap();
    assert!(gateway.log().contains("put back"), "{}", gateway.log());
    assert!(is_silent(&lab.vm1, GATEWAY_OVERLAY), "and they hold again");
    assert!(answers(&lab.vm1, SERVER));
    gateway.crash().unwrap();
    assert!(is_silent(&lab.vm1, SERVER) && is_silent(&lab.onprem, VM1), "and a crash closes the way");
}

fn the_start_after_a_crash_takes_over_and_its_stop_restores_what_was_before_the_first(lab: &Lab) {
    lab.gateway.ip("link set eth1 mtu 1450").unwrap();
    lab.gateway.sysctl("net/ipv4/ip_local_port_range", "40000 50000").unwrap();
    let before = Machine::of(&lab.gateway);
    let policy = Policy::seed().and("[[routes]]\nto = \"172.16.0.0/12\"\nvia = \"10.128.0.1\"");
    let first = Gateway::start(&lab.gateway, policy.text()).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    first.crash().unwrap();
    // The second has another policy: what the first configured and the second does not want must go too.
    let seed = Policy::seed();
    let second = Gateway::start_as(&lab.gateway, &Start { instance: Some(first.instance()), ..Start::policy(seed.text()) }).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    second.stop().unwrap();
    Machine::of(&lab.gateway).assert_is(&before);
}
