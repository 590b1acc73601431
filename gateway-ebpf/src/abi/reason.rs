//! Why a packet was not forwarded. The numbers are metric ids: append only.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $label:literal;)* }) => {
        $(#[$doc])*
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// All of them, in order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name shown to people, used in JSON and as metric label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// The packet is discarded.
    DropReason {
        /// Shorter than its headers say.
        Truncated = 0, "truncated";
        /// An IP header that contradicts itself: version, header length, total length.
        BadIpHeader = 1, "bad-ip-header";
        /// The IPv4 header checksum is wrong (RFC 1812 section 5.2.2).
        BadIpChecksum = 2, "bad-ip-checksum";
        /// Source routing, or options that do not end (RFC 7126).
        IpOptions = 3, "ip-options";
        /// IPv6 extension headers that are too many, out of place, or a type 0 routing header (RFC 5095).
        ExtensionHeaders = 4, "extension-headers";
        /// A TCP header that contradicts itself or a flag combination that no stack sends.
        BadTcpHeader = 5, "bad-tcp-header";
        /// A UDP length that contradicts the packet.
        BadUdpHeader = 6, "bad-udp-header";
        /// An ICMP message that is too short.
        BadIcmpHeader = 7, "bad-icmp-header";
        /// Source and destination are the same (land attack).
        Land = 8, "land";
        /// A source that cannot be on a wire (RFC 1812 section 5.3.7).
        MartianSource = 9, "martian-source";
        /// A destination that cannot be on a wire.
        MartianDestination = 10, "martian-destination";
        /// The source is an address of the gateway.
        SourceIsSelf = 11, "source-is-self";
        /// The source is not reachable through the interface it came from (RFC 3704).
        SourceValidation = 12, "source-validation";
        /// A fragment that must be translated or filtered by port.
        Fragment = 13, "fragment";
        /// An ICMP message other than echo.
        IcmpType = 14, "icmp-type";
        /// A protocol that is not TCP, UDP or ICMP.
        Protocol = 15, "protocol";
        /// A TCP packet of no known flow that is not a SYN.
        TcpNoFlow = 16, "tcp-no-flow";
        /// No route to the destination.
        NoRoute = 17, "no-route";
        /// The route leads to an interface that is in no zone.
        NoZone = 18, "no-zone";
        /// A firewall rule says drop.
        RuleDrop = 19, "rule-drop";
        /// A firewall rule says reject.
        RuleReject = 20, "rule-reject";
        /// No firewall rule matches and the default is to drop.
        DefaultDrop = 21, "default-drop";
        /// A rule's `rate` is exceeded.
        RuleRate = 22, "rule-rate";
        /// The flow was established, and the policy of now refuses it.
        PolicyChanged = 23, "policy-changed";
        /// The flow table is full.
        FlowTableFull = 24, "flow-table-full";
        /// The table of half-open flows is full.
        HalfOpenTableFull = 25, "half-open-table-full";
        /// The mapping table is full.
        MappingTableFull = 26, "mapping-table-full";
        /// No free port was found for the external address.
        NoFreePort = 27, "no-free-port";
        /// The internal host holds as many flows as it may.
        HostQuota = 28, "host-quota";
        /// The egress interface has no address to masquerade with.
        NoExternalAddress = 29, "no-external-address";
        /// Another flow already uses the translated tuple.
        TupleConflict = 30, "tuple-conflict";
        /// Does not fit the egress MTU and may not be, or cannot yet be, fragmented here.
        TooBig = 31, "too-big";
        /// The hop limit is used up and the kernel cannot answer for a translated packet.
        HopLimit = 32, "hop-limit";
        /// The hook could not write the packet.
        WriteFailed = 33, "write-failed";
        /// A flow's packet that its state does not allow (an echo request as a reply).
        State = 34, "state";
        /// The daemon has not configured the datapath yet.
        NotReady = 35, "not-ready";
        /// No firewall rule matches and the default is to reject.
        DefaultReject = 36, "default-reject";
    }
}

reasons! {
    /// The kernel stack finishes the packet: it makes the ICMP error from the unmodified packet.
    PuntReason {
        /// Hop limit 0 or 1: time exceeded.
        HopLimit = 0, "hop-limit";
        /// Larger than the egress MTU: fragmentation needed, or packet too big.
        TooBig = 1, "too-big";
        /// No route: destination unreachable.
        NoRoute = 2, "no-route";
    }
}

reasons! {
    /// Not the datapath's packet: the kernel's own stack gets it.
    PassReason {
        /// The interface is in no zone.
        NoZone = 0, "no-zone";
        /// Neither IPv4 nor IPv6.
        NotIp = 1, "not-ip";
        /// Carries a VLAN tag: belongs to a VLAN interface.
        Vlan = 2, "vlan";
        /// Addressed to another station, or to all.
        OtherStation = 3, "other-station";
        /// Multicast, broadcast or link-local.
        StaysOnLink = 4, "stays-on-link";
        /// For the gateway itself.
        Local = 5, "local";
        /// XDP leaves it to tc.
        NotFast = 6, "not-fast";
    }
}

/// Any of the three, as an index into the counter table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Discarded.
    Drop(DropReason),
    /// Finished by the kernel.
    Punt(PuntReason),
    /// Not ours.
    Pass(PassReason),
}

impl Reason {
    /// Entries of the counter table.
    pub const LEN: u32 = 256;
    /// Counters of drops, which come first.
    pub const DROPS: u32 = 128;

    /// The counter of this reason. Drops begin at 0, punts at 128, passes at 192.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        match self {
            Self::Drop(reason) => reason as u32,
            Self::Punt(reason) => Self::DROPS + reason as u32,
            Self::Pass(reason) => 192 + reason as u32,
        }
    }
}

impl From<DropReason> for Reason {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_do_not_share_counters() {
        assert!(DropReason::ALL.len() <= Reason::DROPS as usize && PuntReason::ALL.len() <= 64 && PassReason::ALL.len() <= 64);
        for (n, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, n);
        }
    }
}
