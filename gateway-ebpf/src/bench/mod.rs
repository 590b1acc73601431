//! The traffic of `cargo xtask bench`: what a generated frame looks like, and what has to be left of it at the other end.
//!
//! Frames are 60 bytes (64 with the check sequence): Ethernet, IPv4, UDP and 18 bytes of payload, in which each frame carries the
//! numbers of its flow. So the receiver can tell a wrong packet by itself, without a table.

use crate::abi::{Abi, Ipv4, Port, Protocol};
use crate::wire::checksum;

/// Bytes of a frame, without the check sequence.
pub const FRAME: usize = 60;
/// Internal hosts: one external address cannot hold 100,000 endpoints.
pub const HOSTS: u32 = 20;
/// Source ports per internal host.
pub const PORTS: u32 = 1000;
/// Destination ports at the remote. Hosts, ports and these make [`FLOWS`].
pub const SERVICES: u32 = 5;
/// Flows that can be told apart.
pub const FLOWS: u32 = HOSTS * PORTS * SERVICES;
/// From one packet's flow to the next one's: a prime, so that each flow has its turn once per pass, far from its neighbour's memory.
pub const STRIDE: u32 = 7919;
/// The hop limit that the generator writes.
pub const TTL: u8 = 64;

/// The lowest host number of the internal network, as the last byte of its address.
pub const FIRST_HOST: u8 = 10;
const FIRST_PORT: u16 = 10_000;
const FIRST_SERVICE: u16 = 5000;
/// Marks the bench's packets (first two bytes of the payload).
const MAGIC: u16 = 0x6e62;

/// What the programs are told. One element of the map `BENCH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// The frame of host 0 with zeros in place of everything that differs between flows, as words of the wire.
    pub template: [u32; FRAME / 4],
    /// Where the generator sends: an interface index of its own namespace.
    pub generate_to: u32,
    /// Where the plain redirect sends: an interface index of its own namespace.
    pub forward_to: u32,
    /// Where the sink returns packets to, with both ends exchanged: its own interface index. 0: it drops them.
    pub return_to: u32,
    /// How many flows the generator takes in turn, at most [`FLOWS`].
    pub flows: u32,
    /// From one packet's flow to the next one's: [`STRIDE`] modulo `flows`.
    pub stride: u32,
    /// The source address after translation; 0: untranslated, so each frame must still have its own.
    pub external: u32,
    /// The remote's address.
    pub remote: u32,
    /// The hop limit at the sink. A reply arrives with one less.
    pub ttl: u32,
}

impl Abi for Config {}

/// What is counted, by index into the map `COUNTERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Right packets at the sink.
    Received = 0,
    /// Packets at the sink with a wrong IPv4 or UDP checksum.
    BadChecksum = 1,
    /// Packets at the sink with wrong addresses, ports, or hop limit.
    BadHeader = 2,
    /// Right replies.
    Replies = 3,
    /// Replies with a wrong checksum or header.
    BadReplies = 4,
    /// Frames that the generator has made: its place in the round of flows.
    Sent = 5,
}

/// How many [`Counter`]s there are.
pub const COUNTERS: u32 = 6;

/// The numbers that tell one flow from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The last two bytes of the internal address, as on the wire.
    pub host: u16,
    /// The internal port.
    pub port: Port,
    /// The port at the remote.
    pub service: Port,
}

impl Numbers {
    /// Those of flow `flow`, counted from 0.
    #[inline(always)]
    #[must_use]
    pub fn of(flow: u32) -> Self {
        let rest = flow / HOSTS;
        Self {
            host: u16::from_ne_bytes([0, FIRST_HOST.wrapping_add((flow % HOSTS) as u8)]),
            port: Port::new(FIRST_PORT.wrapping_add((rest % PORTS) as u16)),
            service: Port::new(FIRST_SERVICE.wrapping_add((rest / PORTS) as u16)),
        }
    }
}

/// The template of [`Config`]. `network` is the internal network's address, of which the last two bytes are replaced.
#[must_use]
pub fn template(source: [u8; 6], destination: [u8; 6], network: [u8; 4], remote: [u8; 4]) -> [u32; FRAME / 4] {
    let mut bytes = [0u8; FRAME];
    bytes[..6].copy_from_slice(&destination);
    bytes[6..12].copy_from_slice(&source);
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    // Version 4 with 5 words of header; total length; don't fragment.
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&((FRAME - 14) as u16).to_be_bytes());
    bytes[20] = 0x40;
    bytes[22] = TTL;
    bytes[23] = Protocol::UDP.0;
    bytes[26..28].copy_from_slice(&network[..2]);
    bytes[30..34].copy_from_slice(&remote);
    bytes[38..40].copy_from_slice(&((FRAME - 34) as u16).to_be_bytes());
    bytes[42..44].copy_from_slice(&MAGIC.to_ne_bytes());
    let mut words = [0; FRAME / 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    words
}

/// Both halves of a word, in the order of the wire.
#[inline(always)]
fn halves(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

#[inline(always)]
fn first(word: u32) -> u16 {
    let [a, b, _, _] = word.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

#[inline(always)]
fn second(word: u32) -> u16 {
    let [_, _, a, b] = word.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// The frame of a flow, complete with checksums.
#[inline(always)]
#[must_use]
pub fn stamp(template: &[u32; FRAME / 4], numbers: Numbers) -> [u32; FRAME / 4] {
    let mut frame = *template;
    let Numbers { host, port, service } = numbers;
    frame[7] = halves(host, second(frame[7]));
    frame[8] = halves(first(frame[8]), port.wire());
    frame[9] = halves(service.wire(), second(frame[9]));
    frame[11] = halves(host, port.wire());
    frame[12] = halves(service.wire(), 0);
    let ip = !checksum::fold(ip_sum(&frame));
    frame[6] = halves(ip, second(frame[6]));
    let udp = match !checksum::fold(udp_sum(&frame)) {
        0 => 0xffff,
        sum => sum,
    };
    frame[10] = halves(udp, second(frame[10]));
    frame
}

#[inline(always)]
fn ip_sum(frame: &[u32; FRAME / 4]) -> u64 {
    second(frame[3]) as u64 + frame[4] as u64 + frame[5] as u64 + frame[6] as u64 + frame[7] as u64 + first(frame[8]) as u64
}

#[inline(always)]
fn udp_sum(frame: &[u32; FRAME / 4]) -> u64 {
    let pseudo = second(frame[6]) as u64 + frame[7] as u64 + first(frame[8]) as u64 + second(frame[9]) as u64;
    let mut sum = pseudo + (Protocol::UDP.0 as u16).to_be() as u64 + second(frame[8]) as u64;
    let mut word = 9;
    while word < FRAME / 4 {
        sum += frame[word] as u64;
        word += 1;
    }
    sum
}

/// Whether this is a packet of the bench at all: the network's own chatter is not.
#[inline(always)]
#[must_use]
pub fn is_ours(frame: &[u32; FRAME / 4]) -> bool {
    second(frame[10]) == MAGIC
}

/// Whether both checksums are right; a UDP checksum of zero, which means "none" (RFC 768), is wrong here.
#[inline(always)]
#[must_use]
pub fn has_right_checksums(frame: &[u32; FRAME / 4]) -> bool {
    checksum::fold(ip_sum(frame)) == 0xffff && checksum::fold(udp_sum(frame)) == 0xffff && first(frame[10]) != 0
}

#[inline(always)]
fn source(frame: &[u32; FRAME / 4]) -> Ipv4 {
    Ipv4(halves(second(frame[6]), first(frame[7])))
}

#[inline(always)]
fn destination(frame: &[u32; FRAME / 4]) -> Ipv4 {
    Ipv4(halves(second(frame[7]), first(frame[8])))
}

#[inline(always)]
fn ttl(frame: &[u32; FRAME / 4]) -> u32 {
    frame[5].to_ne_bytes()[2] as u32
}

/// The internal address that the payload names.
#[inline(always)]
fn internal(frame: &[u32; FRAME / 4], config: &Config) -> Ipv4 {
    // The template's own source address has zeros in the place of the host.
    Ipv4(halves(second(config.template[6]), first(frame[11])))
}

/// Whether the headers are what forwarding should have made of them, in the original direction.
#[inline(always)]
#[must_use]
pub fn has_right_headers(frame: &[u32; FRAME / 4], config: &Config) -> bool {
    let source = source(frame);
    let source_is_right = if config.external == 0 {
        source == internal(frame, config) && second(frame[8]) == second(frame[11])
    } else {
        // Which port is the gateway's to choose; that it is the flow's own, the replies show.
        source == Ipv4(config.external) && second(frame[8]) != 0
    };
    source_is_right && destination(frame) == Ipv4(config.remote) && first(frame[9]) == first(frame[12]) && ttl(frame) == config.ttl
}

/// Whether a reply has come back to the endpoint that its payload names.
#[inline(always)]
#[must_use]
pub fn is_right_reply(frame: &[u32; FRAME / 4], config: &Config) -> bool {
    has_right_checksums(frame)
        && source(frame) == Ipv4(config.remote)
        && second(frame[8]) == first(frame[12])
        && destination(frame) == internal(frame, config)
        && first(frame[9]) == second(frame[11])
        && ttl(frame) + 1 == config.ttl
}

/// The packet as its receiver would answer it: both ends exchanged. The checksums stay right, since sums do not know an order.
#[inline(always)]
#[must_use]
pub fn answer(frame: &[u32; FRAME / 4]) -> [u32; FRAME / 4] {
    let mut back = *frame;
    back[0] = halves(second(frame[1]), first(frame[2]));
    back[1] = halves(second(frame[2]), first(frame[0]));
    back[2] = halves(second(frame[0]), first(frame[1]));
    back[6] = halves(first(frame[6]), second(frame[7]));
    back[7] = halves(first(frame[8]), second(frame[6]));
    back[8] = halves(first(frame[7]), first(frame[9]));
    back[9] = halves(second(frame[8]), second(frame[9]));
    back
}

#[cfg(test)]
mod tests;
