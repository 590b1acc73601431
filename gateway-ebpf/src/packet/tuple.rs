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

/// How much of a packet's headers is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// IPv4 options and IPv6 extension headers too.
    All,
    /// Only fixed parts, as nearly all packets have them: every place in the frame is known at compile time, and nothing is walked.
    Plain,
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
    /// Always zero, in place of padding: a packet is copied whole, and the verifier refuses to read what nobody has written.
    pub zero: u8,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{V4, V6};

    #[test]
    fn packets_have_no_padding() {
        // Six bytes of kind, hop limit, flags and the like, and five halves.
        assert_eq!(size_of::<Packet<V4>>(), size_of::<FlowKey<V4>>() + 16);
        assert_eq!(size_of::<Packet<V6>>(), size_of::<FlowKey<V6>>() + 16);
    }
}
