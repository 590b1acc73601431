//! A flow: the state of one 5-tuple in one direction, and at the same time the forwarding cache.

use super::{Family, Generation, IfIndex, Mac, Port, Protocol, RuleId, Tick};

/// What a packet is looked up by, one look-up per packet.
///
/// The arrival interface is part of the key: a packet with the right 5-tuple from the wrong interface is not of this flow, which keeps
/// source validation true for established flows without a second look-up, and lets networks overlap (RFC 4787 REQ-7).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey<F: Family> {
    /// Source address as it arrives.
    pub source: F::Address,
    /// Destination address as it arrives.
    pub destination: F::Address,
    /// Source port, or the identifier of an ICMP echo request.
    pub source_port: Port,
    /// Destination port, or the identifier of an ICMP echo reply.
    pub destination_port: Port,
    link: Link,
}

/// Arrival interface (24 bits) and protocol (8 bits) in one word, which keeps the IPv4 key at 16 bytes.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Link(u32);

impl Link {
    /// The largest interface index that fits.
    pub const MAX_IFINDEX: u32 = (1 << 24) - 1;

    /// Packs the two; `ifindex` must be at most [`Link::MAX_IFINDEX`], which the daemon checks before it attaches.
    #[inline(always)]
    #[must_use]
    pub const fn new(ifindex: IfIndex, protocol: Protocol) -> Self {
        Self((ifindex.0 << 8) | protocol.0 as u32)
    }

    /// The two as they lie in a table.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The inverse of [`Link::word`].
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// The arrival interface.
    #[inline(always)]
    #[must_use]
    pub const fn ifindex(self) -> IfIndex {
        IfIndex(self.0 >> 8)
    }

    /// The IP protocol.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        Protocol((self.0 & 0xff) as u8)
    }
}

impl<F: Family> FlowKey<F> {
    /// A key of all its parts.
    #[inline(always)]
    #[must_use]
    pub fn new(source: F::Address, destination: F::Address, source_port: Port, destination_port: Port, link: Link) -> Self {
        Self { source, destination, source_port, destination_port, link }
    }

    /// The arrival interface and protocol.
    #[inline(always)]
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// The key under which the other direction of a flow arrives, given this direction's rewrite.
    #[inline(always)]
    #[must_use]
    pub fn reply(&self, flow: &Flow<F>) -> Self {
        Self {
            source: flow.destination,
            destination: flow.source,
            source_port: flow.destination_port,
            destination_port: flow.source_port,
            link: Link::new(flow.egress, self.link.protocol()),
        }
    }
}

/// Where a flow stands in its life. Both directions carry the same state.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowState(pub u8);

impl FlowState {
    /// The first packet has passed, nothing came back.
    pub const OPENING: Self = Self(1);
    /// TCP: the reply side has answered the SYN, the originator has not yet acknowledged it.
    pub const ANSWERED: Self = Self(2);
    /// Both sides have spoken (TCP: the handshake is complete), or a one-way UDP stream has shown that it lasts.
    pub const ESTABLISHED: Self = Self(3);
    /// TCP: the originator has sent FIN.
    pub const ORIGINAL_CLOSED: Self = Self(4);
    /// TCP: the reply side has sent FIN.
    pub const REPLY_CLOSED: Self = Self(5);
    /// TCP: both have sent FIN, or one has sent RST. A new SYN may reopen the flow.
    pub const CLOSED: Self = Self(6);

    /// The name shown to people and used in JSON.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OPENING => "opening",
            Self::ANSWERED => "answered",
            Self::ESTABLISHED => "established",
            Self::ORIGINAL_CLOSED | Self::REPLY_CLOSED => "closing",
            Self::CLOSED => "closed",
            _ => "unknown",
        }
    }
}

/// Bits of [`Flow::flags`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowFlags(pub u8);

impl FlowFlags {
    /// This entry is the original direction: that of the first packet.
    pub const ORIGINAL: u8 = 1;
    /// Addresses or ports change.
    pub const TRANSLATED: u8 = 2;
    /// The next station's MAC is valid; without it the neighbour must still be resolved.
    pub const NEXT_HOP: u8 = 4;
    /// The flow's destination was translated (a port forward, or an inbound packet to a mapping).
    pub const DESTINATION_NAT: u8 = 16;
    /// The flow's source was translated.
    pub const SOURCE_NAT: u8 = 32;

    /// True when every bit of `bits` is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Sets or clears the bits.
    #[inline(always)]
    pub fn set(&mut self, bits: u8, on: bool) {
        if on {
            self.0 |= bits;
        } else {
            self.0 &= !bits;
        }
    }
}

/// One direction of a flow: its rewrite, its next hop, its life. How it lies in its table: [`crate::table::FlowEntry`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow<F: Family> {
    /// Source address that the packet leaves with.
    pub source: F::Address,
    /// Destination address that the packet leaves with.
    pub destination: F::Address,
    /// Source port that the packet leaves with.
    pub source_port: Port,
    /// Destination port that the packet leaves with.
    pub destination_port: Port,
    /// MTU of the egress interface in bytes, without the link-layer header.
    pub mtu: u16,
    /// Egress interface, whose MAC the frame leaves with. 24 bits in a table, as in [`Link`].
    pub egress: IfIndex,
    /// Destination MAC that the frame leaves with.
    pub next_mac: Mac,
    /// Generation under which this entry was last decided: [`super::Config::generation`].
    pub decided: Generation,
    /// Last packet in this direction.
    pub last_seen: Tick,
    /// Where the flow stands.
    pub state: FlowState,
    /// See [`FlowFlags`].
    pub flags: FlowFlags,
    /// In the original direction the firewall rule that accepted the flow, in the reply direction the NAT rule that translated it.
    pub rule: RuleId,
    /// Packets in this direction, modulo 2^40. A GSO packet counts once.
    pub packets: u64,
    /// Bytes in this direction, from the IP header on, modulo 2^48.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::super::{V4, V6};
    use super::*;

    #[test]
    fn keys_have_no_padding() {
        // They are given to global functions whole, as those of mappings are.
        assert_eq!(size_of::<FlowKey<V4>>(), 16);
        assert_eq!(size_of::<FlowKey<V6>>(), 40);
    }
}
