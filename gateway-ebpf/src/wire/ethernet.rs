//! Ethernet II (IEEE 802.3) with up to two VLAN tags (802.1Q, 802.1ad).

use crate::abi::Mac;
use crate::frame::Frame;

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;

/// Length of the header without tags, in bytes.
pub const HEADER: usize = 14;
/// Length of one VLAN tag, in bytes.
pub const TAG: usize = 4;

/// What the core needs of the link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Whom the frame is for.
    pub destination: Mac,
    /// EtherType behind all tags, in host order.
    pub ethertype: u16,
    /// How many tags there are, 0 to 2. A third one is left in `ethertype`.
    pub tags: u8,
    /// Offset of the network header.
    pub l3: usize,
}

/// Reads the link layer; `None` when the frame is too short.
#[inline(always)]
pub fn parse<T: Frame>(frame: &T) -> Option<Ethernet> {
    let [first, second, _] = frame.words::<3>(0)?;
    let halves = [first.to_ne_bytes(), second.to_ne_bytes()];
    let destination = Mac([
        u16::from_ne_bytes([halves[0][0], halves[0][1]]),
        u16::from_ne_bytes([halves[0][2], halves[0][3]]),
        u16::from_ne_bytes([halves[1][0], halves[1][1]]),
    ]);
    let mut ethertype = u16::from_be(frame.half(12)?);
    let mut tags = 0;
    let mut l3 = HEADER;
    if is_tag(ethertype) {
        ethertype = u16::from_be(frame.half(HEADER + 2)?);
        tags = 1;
        l3 = HEADER + TAG;
        if is_tag(ethertype) {
            ethertype = u16::from_be(frame.half(HEADER + TAG + 2)?);
            tags = 2;
            l3 = HEADER + 2 * TAG;
        }
    }
    Some(Ethernet { destination, ethertype, tags, l3 })
}

#[inline(always)]
const fn is_tag(ethertype: u16) -> bool {
    ethertype == VLAN || ethertype == SERVICE_VLAN
}
