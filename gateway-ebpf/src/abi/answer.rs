//! A refused packet that deserves an answer, on its way to user space, which sends the answer. A program at tc could not make it out of the
//! packet itself: a packet of a local stack has a checksum for the device to complete, which the program can neither see nor take off.

use super::Abi;

/// The first bytes of a refused packet; 144 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Interface it came from.
    pub ifindex: u32,
    /// Number of the [`super::DropReason`].
    pub reason: u8,
    /// Always zero.
    pub zero: u8,
    /// MTU towards the destination, in bytes; counts for [`super::DropReason::TooBig`] only.
    pub mtu: u16,
    /// How many of `bytes` are of this packet.
    pub len: u16,
    /// Always zero.
    pub zero_too: [u8; 6],
    /// The packet from its IP header on. What stands behind `len` is left over from earlier packets.
    pub bytes: [u8; Self::BYTES],
}

impl Refused {
    /// Room for the packet's first bytes: an IPv4 and a TCP header, both with all the options they can have, and eight bytes more.
    pub const BYTES: usize = 128;

    /// The bytes that are there.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&self.bytes)
    }
}

impl Default for Refused {
    fn default() -> Self {
        Self { ifindex: 0, reason: 0, zero: 0, mtu: 0, len: 0, zero_too: [0; 6], bytes: [0; Self::BYTES] }
    }
}

impl Abi for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size() {
        assert_eq!(size_of::<Refused>(), 144);
    }

    #[test]
    fn a_length_out_of_range_gives_all_bytes() {
        assert_eq!(Refused { len: 200, ..Default::default() }.packet().len(), Refused::BYTES);
        assert_eq!(Refused { len: 28, ..Default::default() }.packet().len(), 28);
    }
}
