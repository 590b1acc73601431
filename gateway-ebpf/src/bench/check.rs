//! What has to be left of a frame at the other end.

use super::frame::{Layout, first, half, halves, header_sum, put_half, second, udp_sum};
use super::{Config, MAGIC, Numbers};
use crate::abi::{Port, Protocol};
use crate::wire::checksum;

/// Whether this is a packet of the bench at all: the network's own chatter is not.
#[inline(always)]
#[must_use]
pub fn is_ours<L: Layout>(frame: &L) -> bool {
    second(frame.word(L::PORTS + 2)) == MAGIC
}

/// Whether its payload names the flow of these numbers.
#[inline(always)]
#[must_use]
pub fn is_of_flow<L: Layout>(frame: &L, numbers: Numbers) -> bool {
    let Numbers { host, port, service } = numbers;
    is_ours(frame) && frame.word(L::PORTS + 3) == halves(host, port.wire()) && first(frame.word(L::PORTS + 4)) == service.wire()
}

/// Whether all checksums are right; a UDP checksum of zero, which means "none" (RFC 768), is wrong here. `tail` is the sum of what
/// follows the numbers.
#[inline(always)]
#[must_use]
pub fn has_right_checksums<L: Layout>(frame: &L, tail: u32) -> bool {
    let header = !L::HEADER_CHECKSUM || checksum::fold(header_sum(frame)) == 0xffff;
    header && checksum::fold(udp_sum(frame) + tail as u64) == 0xffff && first(frame.word(L::PORTS + 2)) != 0
}

/// The IPv4 source address; of IPv6 its first four bytes.
#[inline(always)]
fn source<L: Layout>(frame: &L) -> u32 {
    halves(half(frame, L::SOURCE * 2 + 1), half(frame, L::SOURCE * 2 + 2))
}

/// The IPv4 destination address; of IPv6 its first four bytes.
#[inline(always)]
fn destination<L: Layout>(frame: &L) -> u32 {
    let at = L::SOURCE * 2 + 1 + L::ADDRESS;
    halves(half(frame, at), half(frame, at + 1))
}

/// Whether the address whose first half word is `at` is the internal host that the numbers name.
#[inline(always)]
fn is_internal<L: Layout>(frame: &L, config: &Config, at: usize) -> bool {
    let mut differs = half(frame, at + L::ADDRESS - 1) ^ first(frame.word(L::PORTS + 3));
    let mut part = 0;
    while part < L::ADDRESS - 1 {
        differs |= half(frame, at + part) ^ template_half(config, L::SOURCE * 2 + 1 + part);
        part += 1;
    }
    differs == 0
}

/// Whether the address whose first half word is `at` is the one that packets are sent to.
#[inline(always)]
fn is_target<L: Layout>(frame: &L, config: &Config, at: usize) -> bool {
    let mut differs = 0;
    let mut part = 0;
    while part < L::ADDRESS {
        differs |= half(frame, at + part) ^ template_half(config, L::SOURCE * 2 + 1 + L::ADDRESS + part);
        part += 1;
    }
    differs == 0
}

#[inline(always)]
fn template_half(config: &Config, at: usize) -> u16 {
    let word = config.template[at / 2];
    if at.is_multiple_of(2) { first(word) } else { second(word) }
}

/// Whether the hop limit is this one, and the protocol UDP.
#[inline(always)]
#[must_use]
pub fn has_right_hop<L: Layout>(frame: &L, ttl: u32) -> bool {
    let (ttl, udp) = (ttl as u8, Protocol::UDP.0);
    let bytes = if L::HOP.is_multiple_of(2) { [ttl, udp] } else { [udp, ttl] };
    half(frame, L::HOP / 2) == u16::from_ne_bytes(bytes)
}

/// Whether the frame has these MACs, and the generator's ethertype, version, traffic class and length. Without a branch: it is part of
/// what every packet of every subject costs.
#[inline(always)]
fn is_of_link<L: Layout>(frame: &L, config: &Config, macs: [u32; 3]) -> bool {
    let [a, b, c] = macs;
    let link = (frame.word(0) ^ a) | (frame.word(1) ^ b) | (frame.word(2) ^ c);
    link | (frame.word(3) ^ config.template[3]) | (frame.word(4) ^ config.template[4]) == 0
}

/// Two MACs, exchanged.
#[inline(always)]
fn exchanged([a, b, c]: [u32; 3]) -> [u32; 3] {
    [halves(second(b), first(c)), halves(second(c), first(a)), halves(second(a), first(b))]
}

/// What tells a frame from every other one of its run: its flow's numbers and its own, mixed so that sums of several frames differ when
/// the frames do.
#[inline(always)]
#[must_use]
pub fn mark<L: Layout>(frame: &L) -> u64 {
    let numbers = ((frame.word(L::PORTS + 3) as u64) << 32) | frame.word(L::PORTS + 4) as u64;
    let spread = numbers.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // Not linear: of four frames one apart, the outer two would have the sum of the inner two.
    spread ^ (spread >> 29)
}

/// Whether the headers are what forwarding should have made of them, in the original direction.
#[inline(always)]
#[must_use]
pub fn has_right_headers<L: Layout>(frame: &L, config: &Config) -> bool {
    let source_port = half(frame, L::PORTS * 2 + 1);
    let source_is_right = if config.external == 0 {
        is_internal(frame, config, L::SOURCE * 2 + 1) && source_port == second(frame.word(L::PORTS + 3))
    } else {
        // Which port is the gateway's to choose; that it is the flow's own, the replies show.
        source(frame) & config.external_mask == config.external && source_port != 0
    };
    // Only IPv4 is translated.
    let destination_is_right =
        if L::HEADER_CHECKSUM { destination(frame) == config.remote } else { is_target(frame, config, L::SOURCE * 2 + 1 + L::ADDRESS) };
    let service = u16::from_be(first(frame.word(L::PORTS + 4)));
    let port = Port::new(service.wrapping_add(config.shift as u16)).wire();
    source_is_right
        && destination_is_right
        && half(frame, L::PORTS * 2 + 2) == port
        && has_right_hop(frame, config.ttl)
        && is_of_link(frame, config, config.arrival)
}

/// Whether a reply has come back to the endpoint that its payload names, from the one that it was sent to.
#[inline(always)]
#[must_use]
pub fn is_right_reply<L: Layout>(frame: &L, config: &Config, tail: u32) -> bool {
    has_right_checksums(frame, tail)
        && is_target(frame, config, L::SOURCE * 2 + 1)
        && half(frame, L::PORTS * 2 + 1) == first(frame.word(L::PORTS + 4))
        && is_internal(frame, config, L::SOURCE * 2 + 1 + L::ADDRESS)
        && half(frame, L::PORTS * 2 + 2) == second(frame.word(L::PORTS + 3))
        && has_right_hop(frame, config.ttl.wrapping_sub(1))
        && is_of_link(frame, config, exchanged([config.template[0], config.template[1], config.template[2]]))
}

/// The packet as its receiver would answer it: both ends exchanged. The checksums stay right, since sums do not know an order.
#[inline(always)]
#[must_use]
pub fn answer<L: Layout>(frame: &L) -> L {
    let mut back = *frame;
    let [a, b, c] = exchanged([frame.word(0), frame.word(1), frame.word(2)]);
    back.put(0, a);
    back.put(1, b);
    back.put(2, c);
    let begin = L::SOURCE * 2 + 1;
    let mut part = 0;
    while part < L::ADDRESS {
        put_half(&mut back, begin + part, half(frame, begin + L::ADDRESS + part));
        put_half(&mut back, begin + L::ADDRESS + part, half(frame, begin + part));
        part += 1;
    }
    put_half(&mut back, L::PORTS * 2 + 1, half(frame, L::PORTS * 2 + 2));
    put_half(&mut back, L::PORTS * 2 + 2, half(frame, L::PORTS * 2 + 1));
    back
}
