//! The traffic of `cargo xtask bench`: what a generated frame looks like, and what has to be left of it at the other end.
//!
//! A frame is Ethernet, IPv4 or IPv6, UDP, and a payload in which it carries the numbers of its flow. So the receiver can tell a wrong
//! packet by itself, without a table. Small frames end behind the numbers; large ones have a tail, which nobody on the way may touch.

mod check;
mod fault;
mod frame;
pub mod structures;

pub use check::{answer, has_right_checksums, has_right_headers, has_right_hop, is_of_flow, is_ours, is_right_reply, mark};
pub use fault::{Fault, SPOILT, spoil};
pub use frame::{FrameV4, FrameV6, Layout, TAIL_V4, TAIL_V6, macs, stamp, tail, template_v4, template_v6};

use crate::abi::{Abi, Port};

/// Internal hosts of one block of flows: one external address cannot hold 100,000 endpoints.
pub const HOSTS: u32 = 20;
/// Source ports per internal host.
pub const PORTS: u32 = 1000;
/// Destination ports at the remote. Hosts, ports and these make a block.
pub const SERVICES: u32 = 5;
/// Flows of a block.
pub const BLOCK: u32 = HOSTS * PORTS * SERVICES;
/// Flows that can be told apart: ten blocks, each with hosts of its own.
pub const FLOWS: u32 = BLOCK * 10;
/// From one packet's flow to the next one's: a prime, so that each flow has its turn once per pass, far from its neighbour's memory.
pub const STRIDE: u32 = 7919;
/// The hop limit that the generator writes.
pub const TTL: u8 = 64;
/// Bytes of a large frame, without the check sequence.
pub const LARGE: usize = 1514;

/// The lowest host number of the internal network, as the last byte of its address.
pub const FIRST_HOST: u8 = 10;
/// The lowest destination port.
pub const FIRST_SERVICE: u16 = 5000;
const FIRST_PORT: u16 = 10_000;
/// Marks the bench's packets (first two bytes of the payload).
const MAGIC: u16 = 0x6e62;
/// Words of the longest header with its numbers.
const WORDS: usize = 18;

/// What the programs are told. One element of the map `BENCH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// The frame of host 0 with zeros in place of everything that differs between flows, as words of the wire.
    pub template: [u32; WORDS],
    /// The MACs with which frames arrive at the sink, as words of the wire: [`macs`]. A reply arrives with those of the template, exchanged.
    pub arrival: [u32; 3],
    /// Where the generator sends: an interface index of its own namespace.
    pub generate_to: u32,
    /// The gateway's interface on the generator's side: an index of the gateway's namespace.
    pub inside: u32,
    /// The gateway's interface on the sink's side.
    pub outside: u32,
    /// Where the sink returns packets to, with both ends exchanged: its own interface index. 0: it drops them.
    pub return_to: u32,
    /// The first flow of the round.
    pub first: u32,
    /// How many flows the generator takes in turn, at most [`FLOWS`] together with `first`.
    pub flows: u32,
    /// From one packet's flow to the next one's: [`STRIDE`] modulo `flows`.
    pub stride: u32,
    /// The IPv4 source address after translation, or the network that it is of; 0: untranslated, so each frame must still have its own.
    pub external: u32,
    /// The bits of `external` that count.
    pub external_mask: u32,
    /// The remote's IPv4 address, where packets arrive. Behind a port forward it is not the one that they were sent to.
    pub remote: u32,
    /// By how much a port forward raises the destination port.
    pub shift: u32,
    /// The hop limit at the sink. A reply arrives with one less.
    pub ttl: u32,
    /// Whether frames have a tail.
    pub large: u32,
    /// The tail's sum, as one's complement words of the wire.
    pub tail_sum: u32,
    /// What the faulty forwarder does with the packets of flow [`SPOILT`]: [`Fault`].
    pub fault: u32,
}

impl Abi for Config {}

/// What is counted, by index into the one element of the map `COUNTERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Right packets at the sink.
    Received = 0,
    /// Packets at the sink with a wrong IPv4 or UDP checksum.
    BadChecksum = 1,
    /// Packets at the sink with wrong MACs, ethertype, addresses, ports, length, or hop limit.
    BadHeader = 2,
    /// Right replies.
    Replies = 3,
    /// Replies with a wrong checksum or header.
    BadReplies = 4,
    /// Frames that the generator has made: its place in the round of flows.
    Sent = 5,
    /// The sum of the [`mark`]s of all frames that the generator has made.
    SentMarks = 6,
    /// The same of the right packets at the sink: a lost packet and a repeated one cancel out in a count, but not here.
    ReceivedMarks = 7,
    /// The same of the right replies.
    ReplyMarks = 8,
    /// One program at a time: repetitions that found the frame as the one before should have left it.
    Left = 9,
}

/// How many [`Counter`]s there are.
pub const COUNTERS: usize = 10;

/// The numbers that tell one flow from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The last two bytes of the internal address, as on the wire.
    pub host: u16,
    /// The internal port.
    pub port: Port,
    /// The port that it sends to.
    pub service: Port,
}

impl Numbers {
    /// Those of flow `flow`, counted from 0. The flows of a block stay the same however many blocks there are.
    #[inline(always)]
    #[must_use]
    pub fn of(flow: u32) -> Self {
        let (block, flow) = (flow / BLOCK, flow % BLOCK);
        let rest = flow / HOSTS;
        Self {
            host: u16::from_ne_bytes([0, FIRST_HOST.wrapping_add((block * HOSTS + flow % HOSTS) as u8)]),
            port: Port::new(FIRST_PORT.wrapping_add((rest % PORTS) as u16)),
            service: Port::new(FIRST_SERVICE.wrapping_add((rest / PORTS) as u16)),
        }
    }
}

#[cfg(test)]
mod tests;
