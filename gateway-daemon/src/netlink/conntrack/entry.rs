//! One entry of the connection tracking table, and what it means to people.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bitflags::bitflags;

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// ICMP on IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMPv6.
    pub const ICMPV6: Self = Self(58);

    /// ICMP of either family.
    #[must_use]
    pub fn is_icmp(self) -> bool {
        self == Self::ICMP || self == Self::ICMPV6
    }
}

/// Type and code of an ICMP query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpQuery {
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
}

impl IcmpQuery {
    /// Echo request (RFC 792).
    pub const ECHO: Self = Self { kind: 8, code: 0 };
    /// Echo request (RFC 4443 section 4.1).
    pub const ECHO_V6: Self = Self { kind: 128, code: 0 };

    /// What answers it: net/netfilter/nf_conntrack_proto_icmp.c and .._icmpv6.c, `invmap`. `None`: the kernel keeps no flow of it.
    #[must_use]
    pub fn inverse(self, protocol: IpProtocol) -> Option<Self> {
        let kind = match (protocol, self.kind) {
            // Echo.
            (IpProtocol::ICMP, 8) => 0,
            (IpProtocol::ICMP, 0) => 8,
            // Timestamp, information, address mask (RFC 792, RFC 950), and ICMPv6 echo and node information (RFC 4620): next to each other.
            (IpProtocol::ICMP, kind @ (13 | 15 | 17)) | (IpProtocol::ICMPV6, kind @ (128 | 139)) => kind + 1,
            (IpProtocol::ICMP, kind @ (14 | 16 | 18)) | (IpProtocol::ICMPV6, kind @ (129 | 140)) => kind - 1,
            _ => return None,
        };
        Some(Self { kind, code: self.code })
    }
}

/// One direction's packets as they arrive. Both ports of an ICMP query are its identifier; of a protocol without ports they are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Source.
    pub source: SocketAddr,
    /// Destination.
    pub destination: SocketAddr,
    /// Of ICMP, the query.
    pub icmp: Option<IcmpQuery>,
}

impl Tuple {
    /// The other direction's packets if nothing is translated; `None` for an ICMP message that has no answer.
    #[must_use]
    pub fn inverse(&self, protocol: IpProtocol) -> Option<Self> {
        let icmp = match self.icmp {
            Some(query) => Some(query.inverse(protocol)?),
            None => None,
        };
        Some(Self { source: self.destination, destination: self.source, icmp })
    }
}

bitflags! {
    /// `enum ip_conntrack_status` (include/uapi/linux/netfilter/nf_conntrack_common.h).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Status: u32 {
        /// Foretold by a helper.
        const EXPECTED = 1;
        /// Packets have passed in both directions.
        const SEEN_REPLY = 1 << 1;
        /// Not to be given up early when the table is full.
        const ASSURED = 1 << 2;
        /// Its first packet has left.
        const CONFIRMED = 1 << 3;
        /// Packets of the original direction get another source.
        const SRC_NAT = 1 << 4;
        /// Packets of the original direction get another destination.
        const DST_NAT = 1 << 5;
        /// TCP sequence numbers are adjusted.
        const SEQ_ADJUST = 1 << 6;
        /// The source NAT rules have been asked.
        const SRC_NAT_DONE = 1 << 7;
        /// The destination NAT rules have been asked.
        const DST_NAT_DONE = 1 << 8;
        /// Being removed.
        const DYING = 1 << 9;
        /// The timeout stays as it is.
        const FIXED_TIMEOUT = 1 << 10;
        /// A template of the `CT` target.
        const TEMPLATE = 1 << 11;
        /// Not tracked.
        const UNTRACKED = 1 << 12;
        /// A helper was set by a rule.
        const HELPER = 1 << 13;
        /// A flowtable forwards it.
        const OFFLOAD = 1 << 14;
        /// A flowtable forwards it in hardware.
        const HW_OFFLOAD = 1 << 15;
        // Later kernels' bits are kept.
        const _ = !0;
    }
}

/// `enum tcp_conntrack` (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// No packet yet.
    None = 0,
    /// SYN seen.
    SynSent = 1,
    /// SYN and ACK seen.
    SynRecv = 2,
    /// Handshake complete.
    Established = 3,
    /// FIN sent by one side.
    FinWait = 4,
    /// That FIN acknowledged.
    CloseWait = 5,
    /// FIN sent by the other side, too.
    LastAck = 6,
    /// Both FINs acknowledged.
    TimeWait = 7,
    /// RST seen.
    Close = 8,
    /// SYN from both sides.
    SynSent2 = 9,
}

impl TcpState {
    /// `None` for a number without a name.
    #[must_use]
    pub fn from_kernel(number: u8) -> Option<Self> {
        const STATES: [TcpState; 10] = [
            TcpState::None,
            TcpState::SynSent,
            TcpState::SynRecv,
            TcpState::Established,
            TcpState::FinWait,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::TimeWait,
            TcpState::Close,
            TcpState::SynSent2,
        ];
        STATES.get(usize::from(number)).copied()
    }
}

/// One direction's traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the IP header on.
    pub bytes: u64,
}

/// `CTA_ID`: tells an entry from a later one with the same tuples, unless that one lies at the same place in the kernel's memory
/// (net/netfilter/nf_conntrack_core.c, `nf_ct_get_id`). [`Entry::started`] tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub u32);

/// Some bits of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Their value.
    pub value: u32,
    /// Which bits.
    pub mask: u32,
}

impl Mark {
    /// All bits.
    #[must_use]
    pub fn whole(value: u32) -> Self {
        Self { value, mask: u32::MAX }
    }

    /// No bits: every mark.
    pub const ANY: Self = Self { value: 0, mask: 0 };

    /// Whether a mark has these bits.
    #[must_use]
    pub fn matches(self, mark: u32) -> bool {
        mark & self.mask == self.value & self.mask
    }
}

/// One flow, both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// IP protocol.
    pub protocol: IpProtocol,
    /// Packets of the direction that opened it, before translation.
    pub original: Tuple,
    /// Packets of the other direction, before their translation back.
    pub reply: Tuple,
    /// Its flags.
    pub status: Status,
    /// Time left if no packet comes; `None` while a flowtable forwards it, as the kernel does not tell it then.
    pub timeout: Option<Duration>,
    /// Its mark; 0 when it has none.
    pub mark: u32,
    /// Of TCP, its state; `None` while a flowtable forwards it.
    pub tcp: Option<TcpState>,
    /// Original direction; `None` when it began without `nf_conntrack_acct`.
    pub original_counters: Option<Counters>,
    /// Reply direction; `None` when it began without `nf_conntrack_acct`.
    pub reply_counters: Option<Counters>,
    /// When it began; `None` when that was without `nf_conntrack_timestamp`.
    pub started: Option<SystemTime>,
    /// Its identity.
    pub id: Option<EntryId>,
}

/// Who talks to whom, seen from the gateway; defined as in `gateway flows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The endpoint behind the translation: the source under source NAT, the server of a port forward, else who sent the first packet.
    pub internal: SocketAddr,
    /// The same endpoint as the remote sees it; `None` without translation.
    pub external: Option<SocketAddr>,
    /// The other side.
    pub remote: SocketAddr,
    /// Of a port forward, what the first packet was sent to.
    pub original_destination: Option<SocketAddr>,
}

impl Entry {
    /// Its source is translated.
    #[must_use]
    pub fn has_source_nat(&self) -> bool {
        self.status.contains(Status::SRC_NAT)
    }

    /// Its destination is translated.
    #[must_use]
    pub fn has_destination_nat(&self) -> bool {
        self.status.contains(Status::DST_NAT)
    }

    /// The source that its packets leave with.
    #[must_use]
    pub fn translated_source(&self) -> SocketAddr {
        self.reply.destination
    }

    /// The destination that its packets leave with: the real server.
    #[must_use]
    pub fn translated_destination(&self) -> SocketAddr {
        self.reply.source
    }

    /// Who talks to whom.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        if self.has_destination_nat() {
            Endpoints {
                internal: self.translated_destination(),
                external: Some(self.original.destination),
                remote: self.original.source,
                original_destination: Some(self.original.destination),
            }
        } else {
            Endpoints {
                internal: self.original.source,
                external: self.has_source_nat().then_some(self.translated_source()),
                remote: self.translated_destination(),
                original_destination: None,
            }
        }
    }
}
