//! A frame's layout, as words of the wire, and how one is made.

use super::{Config, LARGE, MAGIC, Numbers, TTL, WORDS};
use crate::abi::Protocol;
use crate::wire::checksum;

/// Headers and numbers of an IPv4 frame: 60 bytes, 64 with the check sequence.
pub type FrameV4 = [u32; 15];
/// Headers and numbers of an IPv6 frame: 72 bytes, 76 with the check sequence, the shortest that holds them.
pub type FrameV6 = [u32; 18];

/// Bytes of a large IPv4 frame behind the numbers.
pub const TAIL_V4: usize = LARGE - size_of::<FrameV4>();
/// Bytes of a large IPv6 frame behind the numbers.
pub const TAIL_V6: usize = LARGE - size_of::<FrameV6>();

/// Where things stand. Ethernet's 14 bytes put every header two bytes off the words, in both families alike: an address begins with the
/// second half of a word.
pub trait Layout: Copy + Default {
    /// The word whose second half begins the source address.
    const SOURCE: usize;
    /// Half words of an address.
    const ADDRESS: usize;
    /// The word that ends the destination address and begins the ports.
    const PORTS: usize;
    /// Words of a small frame.
    const WORDS: usize;
    /// Bytes of a large frame behind them.
    const TAIL: usize;
    /// The IP header has a checksum.
    const HEADER_CHECKSUM: bool;
    /// The byte that holds the hop limit; the protocol is its neighbour in the half word.
    const HOP: usize;
    /// The half word that holds a length of the IP packet.
    const LENGTH: usize;
    /// One word.
    fn word(&self, at: usize) -> u32;
    /// Another word in its place.
    fn put(&mut self, at: usize, word: u32);
}

impl Layout for FrameV4 {
    const SOURCE: usize = 6;
    const ADDRESS: usize = 2;
    const PORTS: usize = 8;
    const WORDS: usize = 15;
    const TAIL: usize = TAIL_V4;
    const HEADER_CHECKSUM: bool = true;
    const HOP: usize = 22;
    const LENGTH: usize = 8;

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        self[at]
    }

    #[inline(always)]
    fn put(&mut self, at: usize, word: u32) {
        self[at] = word;
    }
}

impl Layout for FrameV6 {
    const SOURCE: usize = 5;
    const ADDRESS: usize = 8;
    const PORTS: usize = 13;
    const WORDS: usize = 18;
    const TAIL: usize = TAIL_V6;
    const HEADER_CHECKSUM: bool = false;
    const HOP: usize = 21;
    const LENGTH: usize = 9;

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        self[at]
    }

    #[inline(always)]
    fn put(&mut self, at: usize, word: u32) {
        self[at] = word;
    }
}

/// Both halves of a word, in the order of the wire.
#[inline(always)]
pub(super) fn halves(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

#[inline(always)]
pub(super) fn first(word: u32) -> u16 {
    let [a, b, _, _] = word.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

#[inline(always)]
pub(super) fn second(word: u32) -> u16 {
    let [_, _, a, b] = word.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// Half word `at` of a frame.
#[inline(always)]
pub(super) fn half<L: Layout>(frame: &L, at: usize) -> u16 {
    let word = frame.word(at / 2);
    if at.is_multiple_of(2) { first(word) } else { second(word) }
}

#[inline(always)]
pub(super) fn put_half<L: Layout>(frame: &mut L, at: usize, half: u16) {
    let word = frame.word(at / 2);
    frame.put(at / 2, if at.is_multiple_of(2) { halves(half, second(word)) } else { halves(first(word), half) });
}

/// The half word in which the source address ends: the host's number.
#[inline(always)]
pub(super) const fn host_half<L: Layout>() -> usize {
    L::SOURCE * 2 + L::ADDRESS
}

/// The frame of a flow, complete with checksums. `serial` tells it from the flow's other frames.
#[inline(always)]
#[must_use]
pub fn stamp<L: Layout>(config: &Config, numbers: Numbers, serial: u16) -> L {
    let mut frame = L::default();
    let mut at = 0;
    while at < L::WORDS {
        frame.put(at, config.template[at]);
        at += 1;
    }
    let Numbers { host, port, service } = numbers;
    put_half(&mut frame, host_half::<L>(), host);
    put_half(&mut frame, L::PORTS * 2 + 1, port.wire());
    put_half(&mut frame, L::PORTS * 2 + 2, service.wire());
    frame.put(L::PORTS + 3, halves(host, port.wire()));
    frame.put(L::PORTS + 4, halves(service.wire(), serial));
    if L::HEADER_CHECKSUM {
        let sum = !checksum::fold(header_sum(&frame));
        put_half(&mut frame, 12, sum);
    }
    let udp = match !checksum::fold(udp_sum(&frame) + config.tail_sum as u64) {
        0 => 0xffff,
        sum => sum,
    };
    put_half(&mut frame, L::PORTS * 2 + 4, udp);
    frame
}

/// The sum of an IPv4 header.
#[inline(always)]
pub(super) fn header_sum<L: Layout>(frame: &L) -> u64 {
    let middle = frame.word(4) as u64 + frame.word(5) as u64 + frame.word(6) as u64 + frame.word(7) as u64;
    second(frame.word(3)) as u64 + middle + first(frame.word(8)) as u64
}

/// The sum of pseudo-header and UDP packet, as far as the numbers.
#[inline(always)]
pub(super) fn udp_sum<L: Layout>(frame: &L) -> u64 {
    let mut sum = second(frame.word(L::SOURCE)) as u64;
    let mut at = L::SOURCE + 1;
    while at < L::WORDS {
        sum += frame.word(at) as u64;
        at += 1;
    }
    // The pseudo-header's length stands in the UDP header too.
    sum + (Protocol::UDP.0 as u16).to_be() as u64 + second(frame.word(L::PORTS + 1)) as u64
}

/// The tail of a large frame: no two of its words are equal, and no word is zero.
pub fn tail<L: Layout>() -> impl Iterator<Item = u8> {
    (0..L::TAIL as u16).map(|at| if at % 2 == 0 { (at >> 8) as u8 + 1 } else { at as u8 })
}

/// The template of [`Config`] for IPv4. `network` is the internal network's address, of which the last two bytes are replaced;
/// `destination` is where packets are sent to.
#[must_use]
pub fn template_v4(source: [u8; 6], gateway: [u8; 6], network: [u8; 4], destination: [u8; 4], large: bool) -> [u32; WORDS] {
    let length = if large { LARGE } else { size_of::<FrameV4>() };
    let mut bytes = ethernet(source, gateway, [0x08, 0x00]);
    // Version 4 with 5 words of header; total length; don't fragment.
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
    bytes[20] = 0x40;
    bytes[22] = TTL;
    bytes[23] = Protocol::UDP.0;
    bytes[26..28].copy_from_slice(&network[..2]);
    bytes[30..34].copy_from_slice(&destination);
    bytes[38..40].copy_from_slice(&((length - 34) as u16).to_be_bytes());
    bytes[42..44].copy_from_slice(&MAGIC.to_ne_bytes());
    words(&bytes)
}

/// The same for IPv6.
#[must_use]
pub fn template_v6(source: [u8; 6], gateway: [u8; 6], network: [u8; 16], destination: [u8; 16], large: bool) -> [u32; WORDS] {
    let length = if large { LARGE } else { size_of::<FrameV6>() };
    let mut bytes = ethernet(source, gateway, [0x86, 0xdd]);
    bytes[14] = 0x60;
    let payload = ((length - 54) as u16).to_be_bytes();
    bytes[18..20].copy_from_slice(&payload);
    bytes[20] = Protocol::UDP.0;
    bytes[21] = TTL;
    bytes[22..36].copy_from_slice(&network[..14]);
    bytes[38..54].copy_from_slice(&destination);
    bytes[58..60].copy_from_slice(&payload);
    bytes[62..64].copy_from_slice(&MAGIC.to_ne_bytes());
    words(&bytes)
}

/// Both MACs of a frame, as words of the wire.
#[must_use]
pub fn macs(source: [u8; 6], destination: [u8; 6]) -> [u32; 3] {
    let [a, b, c, ..] = words(&ethernet(source, destination, [0; 2]));
    [a, b, c]
}

fn ethernet(source: [u8; 6], destination: [u8; 6], ethertype: [u8; 2]) -> [u8; WORDS * 4] {
    let mut bytes = [0u8; WORDS * 4];
    bytes[..6].copy_from_slice(&destination);
    bytes[6..12].copy_from_slice(&source);
    bytes[12..14].copy_from_slice(&ethertype);
    bytes
}

fn words(bytes: &[u8; WORDS * 4]) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    words
}
