//! What is known of a packet after parsing.

use crate::abi::{Family, FlowKey};

/// What a packet is to the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// An ICMP echo request.
    EchoRequest,
    /// An ICMP echo reply.
    EchoReply,
    /// A fragment: only the first one has ports, so none is tracked.
    Fragment,
    /// Any other ICMP message.
    IcmpOther,
    /// Any other protocol.
    #[default]
    Other,
}

impl Kind {
    /// True when the packet has a tuple to be looked up.
    #[inline(always)]
    #[must_use]
    pub const fn is_tracked(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::EchoRequest | Self::EchoReply)
    }
}

/// A parsed packet. Offsets are from the first byte of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet<F: Family> {
    /// The tuple, with the arrival interface. An echo request has its identifier as source port, an echo reply as destination port, the
    /// other port is zero: so a reply's key is the reverse of its request's, as with TCP and UDP.
    pub key: FlowKey<F>,
    /// What it is.
    pub kind: Kind,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TCP flags; 0 for others.
    pub tcp_flags: u8,
    /// ICMP type; 0 for others.
    pub icmp_type: u8,
    /// IPv4's DF bit; always true for IPv6, which routers never fragment.
    pub dont_fragment: bool,
    /// True when the headers have only fixed parts, as nearly all have: others are not for the fast path.
    pub plain: bool,
    /// Offset of the network header.
    pub l3: u16,
    /// Offset of the transport header.
    pub l4: u16,
    /// Length from the network header to the end of the packet, in bytes.
    pub length: u16,
    /// Length of network and transport header together, in bytes.
    pub headers: u16,
    /// The transport checksum, as on the wire.
    pub checksum: u16,
}
