//! The sysctls of connection tracking, for the datapath whose flows are the kernel's.
//!
//! `Timeouts` to the kernel's keys, all below `net.netfilter.` and in seconds (Documentation/networking/nf_conntrack-sysctl.rst):
//!
//! | `[timeouts]` | `nf_conntrack_...` |
//! |---|---|
//! | `tcp-opening` | `tcp_timeout_syn_sent`, `tcp_timeout_syn_recv` |
//! | `tcp-established` | `tcp_timeout_established`, and `tcp_timeout_unacknowledged`, `tcp_timeout_max_retrans` |
//! | `tcp-closing` | `tcp_timeout_fin_wait`, `tcp_timeout_close_wait`, `tcp_timeout_last_ack`, `tcp_timeout_time_wait`, `tcp_timeout_close` |
//! | `udp` | `udp_timeout`, `udp_timeout_stream` |
//! | `icmp` | `icmp_timeout`, `icmpv6_timeout` |
//!
//! The two beside `tcp_timeout_established` shorten it to five minutes while data is unacknowledged
//! (net/netfilter/nf_conntrack_proto_tcp.c); RFC 5382 REQ-5 knows no such exception, and our own datapath makes none.

use std::path::Path;
use std::time::Duration;

use super::{Saved, SysctlError};
use crate::model::Timeouts;

/// The keys take ticks in an `int` (kernel/sysctl.c, `proc_dointvec_jiffies`): a little under 25 days with 1,000 ticks a second.
const MOST: u64 = i32::MAX as u64 / 1000;

/// Packets and bytes of flows are counted; the time of their beginning is kept. Both for flows that begin from now on.
const COUNTED_AND_TIMED: [&str; 2] = ["nf_conntrack_acct", "nf_conntrack_timestamp"];

/// Makes this namespace's connection tracking count and time its flows, and let them be idle as the policy says. Gives the keys that
/// this kernel does not have: all of them before `nf_conntrack` is loaded, which the first rule that asks for it does.
///
/// # Errors
/// When a key cannot be read or written; what was set before stays set and remembered.
pub fn track(saved: &mut Saved, timeouts: &Timeouts) -> Result<Vec<&'static str>, SysctlError> {
    let mut missing = Vec::new();
    let on = COUNTED_AND_TIMED.map(|key| (key, "1".to_owned()));
    let idle = keys(timeouts).map(|(key, duration)| (key, seconds(duration).to_string()));
    for (key, value) in on.into_iter().chain(idle) {
        if !saved.set(&Path::new("netfilter").join(key), &value)? {
            missing.push(key);
        }
    }
    Ok(missing)
}

fn keys(timeouts: &Timeouts) -> [(&'static str, Duration); 14] {
    let Timeouts { tcp_established, tcp_opening, tcp_closing, udp, icmp } = *timeouts;
    [
        ("nf_conntrack_tcp_timeout_syn_sent", tcp_opening),
        ("nf_conntrack_tcp_timeout_syn_recv", tcp_opening),
        ("nf_conntrack_tcp_timeout_established", tcp_established),
        ("nf_conntrack_tcp_timeout_unacknowledged", tcp_established),
        ("nf_conntrack_tcp_timeout_max_retrans", tcp_established),
        ("nf_conntrack_tcp_timeout_fin_wait", tcp_closing),
        ("nf_conntrack_tcp_timeout_close_wait", tcp_closing),
        ("nf_conntrack_tcp_timeout_last_ack", tcp_closing),
        ("nf_conntrack_tcp_timeout_time_wait", tcp_closing),
        ("nf_conntrack_tcp_timeout_close", tcp_closing),
        ("nf_conntrack_udp_timeout", udp),
        ("nf_conntrack_udp_timeout_stream", udp),
        ("nf_conntrack_icmp_timeout", icmp),
        ("nf_conntrack_icmpv6_timeout", icmp),
    ]
}

/// Whole seconds, rounded up: a flow must not end before its time.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_fit_every_kernel() {
        assert_eq!(seconds(Duration::from_secs(7440)), 7440);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
        assert_eq!(seconds(Duration::from_secs(30 * 24 * 3600)), 2_147_483);
    }
}
