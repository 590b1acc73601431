//! Which refusals are answered, so that the sender need not wait for its timeouts: a `reject` (RFC 5508 REQ-8), a full table (RFC 6888
//! REQ-11), and what the kernel cannot answer itself because the packet's destination is translated (RFC 1191, RFC 1812 section 5.3.1).
//!
//! Only unicast sources come this far, and nothing that was sent to many: both are sorted out when a packet is admitted.

use crate::abi::{DropReason, Family};
use crate::packet::{Kind, Packet};
use crate::wire::tcp;

/// Whether the sender of this packet, dropped for this reason, is to be told.
#[inline(always)]
#[must_use]
pub const fn wanted<F: Family>(packet: &Packet<F>, reason: DropReason) -> bool {
    // Fragments without ports and ICMP errors must not be answered (RFC 1122 section 3.2.2), and a reset never is (RFC 9293 section 3.5.2).
    if !packet.kind.is_tracked() || (matches!(packet.kind, Kind::Tcp) && packet.tcp_flags & tcp::RST != 0) {
        return false;
    }
    match reason {
        DropReason::RuleReject
        | DropReason::DefaultReject
        | DropReason::FlowTableFull
        | DropReason::HalfOpenTableFull
        | DropReason::MappingTableFull
        | DropReason::NoFreePort
        | DropReason::HostQuota
        | DropReason::HopLimit => true,
        // Without DF there is nothing that the sender could do better.
        DropReason::TooBig => packet.dont_fragment,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::V4;

    fn packet(kind: Kind) -> Packet<V4> {
        Packet { kind, ..Default::default() }
    }

    #[test]
    fn what_the_sender_can_act_upon_is_answered() {
        for reason in [
            DropReason::RuleReject,
            DropReason::DefaultReject,
            DropReason::FlowTableFull,
            DropReason::HalfOpenTableFull,
            DropReason::MappingTableFull,
            DropReason::NoFreePort,
            DropReason::HostQuota,
            DropReason::HopLimit,
        ] {
            for kind in [Kind::Tcp, Kind::Udp, Kind::EchoRequest] {
                assert!(wanted(&packet(kind), reason), "{kind:?} {reason:?}");
            }
        }
    }

    #[test]
    fn what_the_policy_drops_stays_unanswered() {
        for reason in [DropReason::RuleDrop, DropReason::DefaultDrop, DropReason::RuleRate, DropReason::PolicyChanged] {
            assert!(!wanted(&packet(Kind::Udp), reason), "{reason:?}");
        }
        let answered = DropReason::ALL.iter().filter(|reason| wanted(&packet(Kind::Udp), **reason)).count();
        assert_eq!(answered, 8, "a new reason is silent until somebody decides otherwise");
    }

    #[test]
    fn resets_fragments_and_icmp_errors_are_never_answered() {
        for reason in DropReason::ALL {
            for flags in [tcp::RST, tcp::RST | tcp::ACK] {
                assert!(!wanted(&Packet::<V4> { tcp_flags: flags, dont_fragment: true, ..packet(Kind::Tcp) }, *reason));
            }
            for kind in [Kind::Fragment, Kind::IcmpOther, Kind::Other] {
                assert!(!wanted(&Packet::<V4> { dont_fragment: true, ..packet(kind) }, *reason));
            }
        }
    }

    #[test]
    fn only_who_forbids_fragments_hears_that_one_would_be_needed() {
        assert!(wanted(&Packet::<V4> { dont_fragment: true, ..packet(Kind::Udp) }, DropReason::TooBig));
        assert!(!wanted(&packet(Kind::Udp), DropReason::TooBig));
    }
}
