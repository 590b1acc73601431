//! Address families: the one parameter of the generic core.

use core::fmt::Debug;
use core::hash::Hash;

use super::{Abi, Protocol};

/// An IPv4 address: the four bytes of the wire in an aligned integer.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ipv4(pub u32);

/// An IPv6 address: the sixteen bytes of the wire in aligned integers.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ipv6(pub [u32; 4]);

/// IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V4;

/// IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct V6;

/// An address family, with what differs between the two.
pub trait Family: Copy + Debug + Default + PartialEq + Eq + Hash + 'static {
    /// Its addresses.
    type Address: Address;
    /// The protocol number of its ICMP.
    const ICMP: Protocol;
    /// ICMP type of an echo request (RFC 792, RFC 4443 section 4.1).
    const ECHO_REQUEST: u8;
    /// ICMP type of an echo reply.
    const ECHO_REPLY: u8;
    /// Whether ICMP's checksum covers a pseudo-header (RFC 4443 section 2.3).
    const ICMP_PSEUDO_HEADER: bool;
    /// Whether the source of this family is translated. IPv6 is routed and filtered, so its translation code is not even compiled.
    const TRANSLATES: bool;
    /// The minimum link MTU in bytes (RFC 791 section 3.2, RFC 8200 section 5).
    const MINIMUM_MTU: u16;
}

impl Family for V4 {
    type Address = Ipv4;
    const ICMP: Protocol = Protocol::ICMP;
    const ECHO_REQUEST: u8 = 8;
    const ECHO_REPLY: u8 = 0;
    const ICMP_PSEUDO_HEADER: bool = false;
    const TRANSLATES: bool = true;
    const MINIMUM_MTU: u16 = 68;
}

impl Family for V6 {
    type Address = Ipv6;
    const ICMP: Protocol = Protocol::ICMPV6;
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    const ICMP_PSEUDO_HEADER: bool = true;
    const TRANSLATES: bool = false;
    const MINIMUM_MTU: u16 = 1280;
}

/// What the core asks of an address.
pub trait Address: Abi + Debug + Default + PartialEq + Eq + Hash {
    /// Length in bytes on the wire.
    const BYTES: usize;
    /// The address as 32-bit words of the wire; IPv4 fills the first only.
    fn words(self) -> [u32; 4];
    /// The inverse of [`Address::words`].
    fn from_words(words: [u32; 4]) -> Self;
    /// Multicast, broadcast or link-local: never forwarded, always the local stack's (RFC 1122 section 3.3.6, RFC 4291 section 2.5.6).
    fn stays_on_link(self) -> bool;
    /// A unicast address of one link: as a source the local stack's business (neighbour discovery, metadata services), never forwarded.
    fn is_link_local(self) -> bool;
    /// Cannot be the source of a forwarded packet (RFC 6890, RFC 1812 section 5.3.7).
    fn is_martian_source(self) -> bool;
    /// Cannot be the destination of a packet on a wire.
    fn is_martian_destination(self) -> bool;
    /// A 64-bit digest for keyed hashing.
    fn fold(self) -> u64;
}

impl Ipv4 {
    /// From the four bytes in wire order.
    #[inline(always)]
    #[must_use]
    pub const fn from_octets(octets: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(octets))
    }

    /// The four bytes in wire order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }
}

impl Ipv6 {
    /// From the sixteen bytes in wire order.
    #[must_use]
    pub const fn from_octets(o: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
            u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
            u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
            u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
        ])
    }

    /// The sixteen bytes in wire order.
    #[must_use]
    pub fn octets(self) -> [u8; 16] {
        let mut octets = [0; 16];
        for (chunk, word) in octets.chunks_exact_mut(4).zip(self.0) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        octets
    }
}

impl Abi for Ipv4 {}
impl Abi for Ipv6 {}

impl Address for Ipv4 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        [self.0, 0, 0, 0]
    }

    #[inline(always)]
    fn from_words(words: [u32; 4]) -> Self {
        Self(words[0])
    }

    #[inline(always)]
    fn stays_on_link(self) -> bool {
        let address = u32::from_be(self.0);
        // 224/4 multicast, 255.255.255.255, 169.254/16 link-local.
        (address >> 28) == 0xe || address == u32::MAX || self.is_link_local()
    }

    #[inline(always)]
    fn is_link_local(self) -> bool {
        (u32::from_be(self.0) >> 16) == 0xa9fe
    }

    #[inline(always)]
    fn is_martian_source(self) -> bool {
        let address = u32::from_be(self.0);
        // 0/8 "this network", 127/8 loopback, 224/4 multicast and 240/4 reserved.
        let first = address >> 24;
        first == 0 || first == 127 || first >= 224
    }

    #[inline(always)]
    fn is_martian_destination(self) -> bool {
        let first = u32::from_be(self.0) >> 24;
        first == 0 || first == 127 || first >= 240
    }

    #[inline(always)]
    fn fold(self) -> u64 {
        self.0 as u64
    }
}

impl Address for Ipv6 {
    const BYTES: usize = 16;

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        self.0
    }

    #[inline(always)]
    fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    #[inline(always)]
    fn stays_on_link(self) -> bool {
        let first = u32::from_be(self.0[0]);
        // ff00::/8 multicast, fe80::/10 link-local unicast.
        (first >> 24) == 0xff || self.is_link_local()
    }

    #[inline(always)]
    fn is_link_local(self) -> bool {
        (u32::from_be(self.0[0]) >> 22) == (0xfe80_0000 >> 22)
    }

    #[inline(always)]
    fn is_martian_source(self) -> bool {
        (u32::from_be(self.0[0]) >> 24) == 0xff || self.is_unspecified_or_loopback() || self.is_mapped_v4()
    }

    #[inline(always)]
    fn is_martian_destination(self) -> bool {
        self.is_unspecified_or_loopback() || self.is_mapped_v4()
    }

    #[inline(always)]
    fn fold(self) -> u64 {
        let high = ((self.0[0] as u64) << 32) | self.0[1] as u64;
        let low = ((self.0[2] as u64) << 32) | self.0[3] as u64;
        high.rotate_left(29) ^ low
    }
}

impl Ipv6 {
    #[inline(always)]
    fn is_unspecified_or_loopback(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == 0 && u32::from_be(self.0[3]) <= 1
    }

    /// `::ffff:0:0/96` must not appear on a wire (RFC 4942 section 2.2).
    #[inline(always)]
    fn is_mapped_v4(self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && u32::from_be(self.0[2]) == 0xffff
    }
}
