//! Small numbers with meaning.

use super::Abi;

/// A kernel interface index. Fits 24 bits in every [`super::FlowKey`]; 0 is no interface.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// An Ethernet address: the six bytes of the wire in aligned integers.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u16; 3]);

impl Mac {
    /// From the six bytes in wire order.
    #[must_use]
    pub const fn from_octets(o: [u8; 6]) -> Self {
        Self([u16::from_ne_bytes([o[0], o[1]]), u16::from_ne_bytes([o[2], o[3]]), u16::from_ne_bytes([o[4], o[5]])])
    }

    /// The six bytes in wire order.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        let [a, b] = self.0[0].to_ne_bytes();
        let [c, d] = self.0[1].to_ne_bytes();
        let [e, f] = self.0[2].to_ne_bytes();
        [a, b, c, d, e, f]
    }
}

/// A zone; 0 stands for "any" in rules and for "no zone" in interfaces.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub u8);

/// A rule's number: the same for the same name through reloads, so that flows and mappings keep their meaning. 0 is no rule.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u16);

/// A policy or routing generation. 0 is never current.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

/// Which of the two copies of the policy tables a generation uses.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bank(pub u32);

impl Generation {
    /// Generations alternate between the banks, so the next policy is written where no packet reads.
    #[inline(always)]
    #[must_use]
    pub const fn bank(self) -> Bank {
        Bank(self.0 & 1)
    }
}

/// A TCP or UDP port or an ICMP query identifier, as on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Port(u16);

impl Port {
    /// From the number that people write.
    #[inline(always)]
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be())
    }

    /// From two bytes loaded from a packet as a native integer.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(raw: u16) -> Self {
        Self(raw)
    }

    /// The native integer whose memory is the two bytes of the wire.
    #[inline(always)]
    #[must_use]
    pub const fn wire(self) -> u16 {
        self.0
    }

    /// The number that people write.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u16 {
        u16::from_be(self.0)
    }
}

/// An IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// Internet Control Message Protocol.
    pub const ICMP: Self = Self(1);
    /// Transmission Control Protocol.
    pub const TCP: Self = Self(6);
    /// User Datagram Protocol.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
}

/// Coarse monotonic time in units of 2^27 ns (134 ms): a `u32` of them lasts 18 years, and no division is needed in the kernel.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// Nanoseconds per tick, as a power of two.
    pub const SHIFT: u32 = 27;

    /// From `CLOCK_MONOTONIC` nanoseconds.
    #[inline(always)]
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self((ns >> Self::SHIFT) as u32)
    }

    /// Ticks that last at least `millis` milliseconds.
    #[must_use]
    pub const fn ceil_millis(millis: u64) -> u32 {
        ((millis * 1_000_000).div_ceil(1 << Self::SHIFT)) as u32
    }

    /// Ticks since `earlier`; 0 if `earlier` is later (another CPU's clock read may be ahead by one).
    #[inline(always)]
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Abi for IfIndex {}
impl Abi for Tick {}
