//! What the datapath knows of an interface.

use super::{Abi, IfIndex, Ipv4, Ipv6, Mac, ZoneId};

/// Entries of the interface table, indexed by `ifindex % INTERFACES_LEN`: an array look-up is a few inlined instructions where a hash
/// costs a call. The daemon refuses an interface whose slot is taken.
pub const INTERFACES_LEN: u32 = 1024;

/// Bits of [`Interface::flags`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceFlags(pub u8);

impl InterfaceFlags {
    /// A source must be reachable through this interface (RFC 3704 section 2.2).
    pub const STRICT: u8 = 1;
    /// A source must be reachable somehow (RFC 3704 section 2.4).
    pub const LOOSE: u8 = 2;
    /// Frames can be sent to it from XDP.
    pub const XDP_TRANSMIT: u8 = 4;

    /// True when the bit is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// An interface that is in a zone. 40 bytes; `index` 0 is an empty slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its index, to tell it from another in the same slot.
    pub index: IfIndex,
    /// Its zone.
    pub zone: ZoneId,
    /// See [`InterfaceFlags`].
    pub flags: InterfaceFlags,
    /// MTU in bytes, without the link-layer header; larger ones are stored as 65535.
    pub mtu: u16,
    /// Its MAC: frames for another one are not ours.
    pub mac: Mac,
    /// Always zero.
    pub zero: u16,
    /// Primary IPv4 address, used for masquerading; 0 none.
    pub v4: Ipv4,
    /// Primary IPv6 address; all zero none.
    pub v6: Ipv6,
    /// Always zero.
    pub zero2: u32,
}

impl Abi for Interface {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size() {
        assert_eq!(size_of::<Interface>(), 40);
    }
}
