//! The kernel's routing tables, by `bpf_fib_lookup`: asked for new and stale flows only.
//!
//! The kernel stays the one owner of routes, policy rules and neighbours, so nothing has to be copied and nothing can drift. What the
//! helper cannot say is whether an unroutable destination is the gateway's own address; the table of own addresses says that.

use aya_ebpf::bindings::bpf_fib_lookup as Params;
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use gateway_ebpf::abi::{Address, INTERFACES_LEN, IfIndex, Mac};
use gateway_ebpf::env::{RouteAnswer, RouteKind, RouteQuery};

use super::tables::Tables;

/// include/uapi/linux/bpf.h, `BPF_FIB_LKUP_RET_*`.
mod ret {
    pub const SUCCESS: i64 = 0;
    pub const FORWARDING_OFF: i64 = 5;
    pub const NO_NEIGHBOUR: i64 = 7;
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Asks the kernel. `context` is the program's own.
#[inline(always)]
pub fn look_up<F: Tables>(context: *mut c_void, query: &RouteQuery<F>, answer: &mut RouteAnswer<F>) -> RouteKind {
    // SAFETY: a plain C structure of integers, for which zero is valid.
    let mut params: Params = unsafe { core::mem::zeroed() };
    let v4 = F::Address::BYTES == 4;
    params.family = if v4 { AF_INET } else { AF_INET6 };
    params.l4_protocol = query.protocol.0;
    params.ifindex = query.arrival.0;
    // A length of 1 fits every MTU, and asks for the path's MTU in the answer (net/core/filter.c, `check_mtu`).
    params.__bindgen_anon_1.tot_len = 1;
    if v4 {
        params.__bindgen_anon_3.ipv4_src = query.source.words()[0];
        params.__bindgen_anon_4.ipv4_dst = query.destination.words()[0];
    } else {
        params.__bindgen_anon_3.ipv6_src = query.source.words();
        params.__bindgen_anon_4.ipv6_dst = query.destination.words();
    }
    // SAFETY: `params` is a whole `struct bpf_fib_lookup` on the stack, `context` the program's own context.
    let code = unsafe { bpf_fib_lookup(context, &mut params, size_of::<Params>() as i32, 0) };
    if code != ret::SUCCESS && code != ret::NO_NEIGHBOUR {
        // The gateway's own traffic first: it does not depend on forwarding.
        return if F::is_own(query.destination) {
            RouteKind::Local
        } else if code == ret::FORWARDING_OFF {
            RouteKind::ForwardingOff
        } else {
            RouteKind::Unreachable
        };
    }
    // SAFETY: the kernel has written the union's result member (5.12 and later).
    answer.mtu = unsafe { params.__bindgen_anon_1.mtu_result };
    answer.egress = IfIndex(params.ifindex);
    // SAFETY: after the call these hold the next hop, of the family that was asked for.
    answer.gateway = unsafe {
        if v4 {
            F::Address::from_words([params.__bindgen_anon_4.ipv4_dst, 0, 0, 0])
        } else {
            F::Address::from_words(params.__bindgen_anon_4.ipv6_dst)
        }
    };
    if code == ret::NO_NEIGHBOUR {
        // The kernel leaves the union as we wrote it: the path's MTU is known only with a neighbour. Until then the interface's counts.
        let interface = crate::maps::INTERFACES.get(params.ifindex % INTERFACES_LEN);
        answer.mtu = interface.map_or(F::MINIMUM_MTU, |interface| interface.mtu);
        return RouteKind::Unresolved;
    }
    answer.next_mac = Mac::from_octets(params.dmac);
    RouteKind::Resolved
}
