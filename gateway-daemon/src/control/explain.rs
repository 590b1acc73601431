//! One sentence for people per reason, in `gateway drops`.

use gateway_ebpf::abi::{DropReason, PassReason, PuntReason, Reason};

/// What the reason means, and where it helps, what to look at: one sentence.
///
/// Takes the reason and not its label, because labels repeat across kinds ("no-route" is a drop and a punt).
#[must_use]
pub const fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::Drop(reason) => explain_drop(reason),
        Reason::Punt(reason) => explain_punt(reason),
        Reason::Pass(reason) => explain_pass(reason),
    }
}

const fn explain_drop(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Truncated => "The packet is shorter than its headers say.",
        DropReason::BadIpHeader => "The IP header contradicts itself in version, header length or total length.",
        DropReason::BadIpChecksum => "The IPv4 header checksum is wrong.",
        DropReason::IpOptions => "The packet asks for source routing, or its IP options do not end.",
        DropReason::ExtensionHeaders => "The IPv6 extension headers are too many, out of place, or a type 0 routing header.",
        DropReason::BadTcpHeader => "The TCP header contradicts itself, or has flags together that no stack sends.",
        DropReason::BadUdpHeader => "The UDP length contradicts the packet's length.",
        DropReason::BadIcmpHeader => "The ICMP message is shorter than its type needs.",
        DropReason::Land => "Source and destination are the same, as in a land attack.",
        DropReason::MartianSource => "The source address cannot be on a wire, such as 127.0.0.1 or a multicast address.",
        DropReason::MartianDestination => "The destination address cannot be on a wire, such as 127.0.0.1 or 0.0.0.0.",
        DropReason::SourceIsSelf => "The packet came from outside with one of the gateway's own addresses as its source.",
        DropReason::SourceValidation => {
            "The source is not reachable through the interface it came from: check the routes, or the interface's source-validation."
        }
        DropReason::Fragment => "A fragment has no ports to translate or filter by.",
        DropReason::IcmpType => "The ICMP message is neither an echo nor an error about a known flow.",
        DropReason::Protocol => "The protocol is not TCP, UDP or ICMP.",
        DropReason::TcpNoFlow => "A TCP packet that opens no connection belongs to no known flow: it is late, or its flow has expired.",
        DropReason::NoRoute => "The routing table has no way to the destination.",
        DropReason::NoZone => "The route leads to an interface that is in no zone: name the interface under [zones] if it is meant.",
        DropReason::RuleDrop => "A firewall rule with action \"drop\" matched; the rules are listed below.",
        DropReason::RuleReject => "A firewall rule with action \"reject\" matched; the rules are listed below.",
        DropReason::DefaultDrop => "No firewall rule matched, and the default of [firewall] is to drop.",
        DropReason::RuleRate => "More packets matched a firewall rule than its rate allows.",
        DropReason::PolicyChanged => "The flow was accepted by an earlier policy, and the policy of now refuses it.",
        DropReason::FlowTableFull => "The flow table is full, so no new flow can open: raise flows under [datapath].",
        DropReason::HalfOpenTableFull => "Too many flows wait for their first answer, as in a SYN flood.",
        DropReason::MappingTableFull => {
            "The table of NAT mappings is full, so no new endpoint can be translated: raise flows under [datapath]."
        }
        DropReason::NoFreePort => "No free port was found on the external address: add addresses to the pool of the rule.",
        DropReason::HostQuota => "The internal host holds as many flows as flows-per-host under [datapath] allows.",
        DropReason::NoExternalAddress => "The egress interface has no address to masquerade with.",
        DropReason::TupleConflict => "Another flow already uses the addresses and ports that this one would be translated to.",
        DropReason::TooBig => "The packet does not fit the egress interface's MTU and cannot be fragmented here.",
        DropReason::HopLimit => "The hop limit (TTL) is used up, and the packet is already translated, so the kernel cannot answer for it.",
        DropReason::WriteFailed => "The kernel refused to change the packet's bytes.",
        DropReason::State => "The packet does not fit its flow's state, such as an echo request in the direction of the replies.",
        DropReason::NotReady => "The daemon had not configured the datapath yet.",
        DropReason::DefaultReject => "No firewall rule matched, and the default of [firewall] is to reject, with an answer to the sender.",
    }
}

const fn explain_punt(reason: PuntReason) -> &'static str {
    match reason {
        PuntReason::HopLimit => "The hop limit (TTL) is used up, and the kernel answers with time exceeded.",
        PuntReason::TooBig => {
            "The packet is larger than the egress MTU, and the kernel answers with fragmentation needed or packet too big."
        }
        PuntReason::NoRoute => "The destination has no route, and the kernel answers with destination unreachable.",
    }
}

const fn explain_pass(reason: PassReason) -> &'static str {
    match reason {
        PassReason::NoZone => "The packet came in on an interface that is in no zone.",
        PassReason::NotIp => "The frame is neither IPv4 nor IPv6, such as ARP.",
        PassReason::Vlan => "The frame has a VLAN tag and belongs to a VLAN interface.",
        PassReason::OtherStation => "The frame is addressed to another station, or to all.",
        PassReason::StaysOnLink => "The packet is multicast, broadcast or link-local and stays on its link.",
        PassReason::Local => "The packet is for the gateway itself.",
        PassReason::NotFast => "XDP left the packet to tc, which decides and counts it.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_sentence_of_its_own() {
        let drops = DropReason::ALL.iter().map(|reason| Reason::Drop(*reason));
        let punts = PuntReason::ALL.iter().map(|reason| Reason::Punt(*reason));
        let passes = PassReason::ALL.iter().map(|reason| Reason::Pass(*reason));
        let mut seen = BTreeSet::new();
        for reason in drops.chain(punts).chain(passes) {
            let sentence = explain(reason);
            assert!(sentence.starts_with(char::is_uppercase) && sentence.ends_with('.'), "{reason:?}: {sentence}");
            assert_eq!(sentence.matches(". ").count(), 0, "{reason:?} has more than one sentence: {sentence}");
            assert!(sentence.split(' ').count() >= 4, "{reason:?} says too little: {sentence}");
            assert!(seen.insert(sentence), "{reason:?} says what another says: {sentence}");
        }
    }
}
