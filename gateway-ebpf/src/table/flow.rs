//! One direction of a flow in its slot.
//!
//! | word | IPv4 | IPv6 | |
//! |---|---|---|---|
//! | guard | 0 | 0 | with the rule |
//! | decided | 1 | 1 | the generation |
//! | key | 2-5 | 2-11 | addresses, both ports, link |
//! | rewrite | 6-8 | 12-20 | addresses, both ports |
//! | egress | 9 | 21 | 24 bits, with the flags |
//! | next hop | 10-11 | 22-23 | MAC and MTU |
//! | last seen | 12 | 24 | |
//! | packets, bytes | 13-14 | 25-26 | the low 32 bits |
//! | rest | 15 | 27 | 16 more bits of the bytes, 8 of the packets, the state |
//!
//! 64 bytes for IPv4: one cache line for everything that an established packet reads and writes. The egress interface's own MAC is not
//! here: the table of interfaces has it. Nor are the differences for the checksums: they are four additions.

use core::marker::PhantomData;

use super::digest::Digest;
use super::entry::{Entry, Slot};
use crate::abi::{Address, Family, Flow, FlowFlags, FlowKey, FlowState, Generation, IfIndex, Link, Mac, Port, RuleId, Tick};

/// A flow's entry.
#[derive(Clone, Copy, Debug)]
pub struct FlowEntry<F>(PhantomData<F>);

const DECIDED: usize = 1;
const KEY: usize = 2;

impl<F: Family> FlowEntry<F> {
    const ADDRESS: usize = F::Address::BYTES / 4;
    const KEY_PORTS: usize = KEY + 2 * Self::ADDRESS;
    const KEY_LINK: usize = Self::KEY_PORTS + 1;
    const REWRITE: usize = Self::KEY_LINK + 1;
    const PORTS: usize = Self::REWRITE + 2 * Self::ADDRESS;
    const EGRESS: usize = Self::PORTS + 1;
    const NEXT_HOP: usize = Self::EGRESS + 1;
    const LAST_SEEN: usize = Self::NEXT_HOP + 2;
    const PACKETS: usize = Self::LAST_SEEN + 1;
    const BYTES: usize = Self::PACKETS + 1;
    const REST: usize = Self::BYTES + 1;

    #[inline(always)]
    fn address<S: Slot>(slot: S, word: usize) -> F::Address {
        let mut words = [0; 4];
        let mut n = 0;
        while n < Self::ADDRESS {
            words[n] = slot.load(word + n);
            n += 1;
        }
        F::Address::from_words(words)
    }

    #[inline(always)]
    fn store_address<S: Slot>(slot: S, word: usize, address: F::Address) {
        let words = address.words();
        let mut n = 0;
        while n < Self::ADDRESS {
            slot.store(word + n, words[n]);
            n += 1;
        }
    }

    #[inline(always)]
    fn has_address<S: Slot>(slot: S, word: usize, address: F::Address) -> bool {
        let words = address.words();
        let mut n = 0;
        while n < Self::ADDRESS {
            if slot.load(word + n) != words[n] {
                return false;
            }
            n += 1;
        }
        true
    }

    /// Counts a packet of `length` bytes in the flow's own line. Not under the guard: see [`super`].
    #[inline(always)]
    pub fn count<S: Slot>(slot: S, now: Tick, length: u32) {
        let packets = slot.load(Self::PACKETS).wrapping_add(1);
        let bytes = slot.load(Self::BYTES).wrapping_add(length);
        slot.store(Self::LAST_SEEN, now.0);
        slot.store(Self::PACKETS, packets);
        slot.store(Self::BYTES, bytes);
        // A carry, once in four thousand million. It writes the state's byte too: what another CPU has made of it in this very moment
        // would be lost, and then the flow ends by its timeout.
        if packets == 0 || bytes < length {
            let rest = slot.load(Self::REST);
            let high_bytes = (rest as u16).wrapping_add((bytes < length) as u16);
            let high_packets = ((rest >> 16) as u8).wrapping_add((packets == 0) as u8);
            slot.store(Self::REST, pack_rest(high_bytes, high_packets, FlowState((rest >> 24) as u8)));
        }
    }
}

#[inline(always)]
const fn pack_rest(bytes: u16, packets: u8, state: FlowState) -> u32 {
    bytes as u32 | (packets as u32) << 16 | (state.0 as u32) << 24
}

#[inline(always)]
const fn pack_ports(source: Port, destination: Port) -> u32 {
    source.wire() as u32 | (destination.wire() as u32) << 16
}

#[inline(always)]
const fn unpack_ports(word: u32) -> (Port, Port) {
    (Port::from_wire(word as u16), Port::from_wire((word >> 16) as u16))
}

impl<F: Family> Entry for FlowEntry<F> {
    type Key = FlowKey<F>;
    type Value = Flow<F>;
    /// A power of two: a slot never crosses a line that it need not.
    const WORDS: usize = (Self::REST + 1).next_power_of_two();

    #[inline(always)]
    fn digest(key: &FlowKey<F>, mut digest: Digest) -> Digest {
        let (source, destination) = (key.source.words(), key.destination.words());
        let mut n = 0;
        while n < Self::ADDRESS {
            digest = digest.pair(n as u32, source[n], destination[n]);
            n += 1;
        }
        digest.pair(n as u32, pack_ports(key.source_port, key.destination_port), key.link().word())
    }

    #[inline(always)]
    fn holds<S: Slot>(slot: S, key: &FlowKey<F>) -> bool {
        // The ports first: they are what differs between a host's flows.
        slot.load(Self::KEY_PORTS) == pack_ports(key.source_port, key.destination_port)
            && Self::has_address(slot, KEY, key.source)
            && Self::has_address(slot, KEY + Self::ADDRESS, key.destination)
            && slot.load(Self::KEY_LINK) == key.link().word()
    }

    #[inline(always)]
    fn key<S: Slot>(slot: S) -> FlowKey<F> {
        let (source_port, destination_port) = unpack_ports(slot.load(Self::KEY_PORTS));
        FlowKey::new(
            Self::address(slot, KEY),
            Self::address(slot, KEY + Self::ADDRESS),
            source_port,
            destination_port,
            Link::from_word(slot.load(Self::KEY_LINK)),
        )
    }

    #[inline(always)]
    fn value<S: Slot>(slot: S, payload: u16) -> Flow<F> {
        let rest = slot.load(Self::REST);
        Flow {
            last_seen: Tick(slot.load(Self::LAST_SEEN)),
            packets: slot.load(Self::PACKETS) as u64 | ((rest as u64 >> 16) & 0xff) << 32,
            bytes: slot.load(Self::BYTES) as u64 | (rest as u64 & 0xffff) << 32,
            ..Self::answer(slot, payload)
        }
    }

    /// All but the counters, which are read when they are written: [`FlowEntry::count`].
    #[inline(always)]
    fn answer<S: Slot>(slot: S, payload: u16) -> Flow<F> {
        let (source_port, destination_port) = unpack_ports(slot.load(Self::PORTS));
        let egress = slot.load(Self::EGRESS);
        let (first, second) = (slot.load(Self::NEXT_HOP), slot.load(Self::NEXT_HOP + 1));
        let rest = slot.load(Self::REST);
        Flow {
            source: Self::address(slot, Self::REWRITE),
            destination: Self::address(slot, Self::REWRITE + Self::ADDRESS),
            source_port,
            destination_port,
            mtu: (second >> 16) as u16,
            egress: IfIndex(egress >> 8),
            next_mac: Mac([first as u16, (first >> 16) as u16, second as u16]),
            decided: Generation(slot.load(DECIDED)),
            state: FlowState((rest >> 24) as u8),
            flags: FlowFlags(egress as u8),
            rule: RuleId(payload),
            last_seen: Tick::default(),
            packets: 0,
            bytes: 0,
        }
    }

    #[inline(always)]
    fn store_key<S: Slot>(slot: S, key: &FlowKey<F>) {
        Self::store_address(slot, KEY, key.source);
        Self::store_address(slot, KEY + Self::ADDRESS, key.destination);
        slot.store(Self::KEY_PORTS, pack_ports(key.source_port, key.destination_port));
        slot.store(Self::KEY_LINK, key.link().word());
    }

    #[inline(always)]
    fn store_value<S: Slot>(slot: S, flow: &Flow<F>) {
        let [a, b, c] = flow.next_mac.0;
        slot.store(DECIDED, flow.decided.0);
        Self::store_address(slot, Self::REWRITE, flow.source);
        Self::store_address(slot, Self::REWRITE + Self::ADDRESS, flow.destination);
        slot.store(Self::PORTS, pack_ports(flow.source_port, flow.destination_port));
        slot.store(Self::EGRESS, (flow.egress.0 << 8) | flow.flags.0 as u32);
        slot.store(Self::NEXT_HOP, a as u32 | (b as u32) << 16);
        slot.store(Self::NEXT_HOP + 1, c as u32 | (flow.mtu as u32) << 16);
        slot.store(Self::LAST_SEEN, flow.last_seen.0);
        slot.store(Self::PACKETS, flow.packets as u32);
        slot.store(Self::BYTES, flow.bytes as u32);
        slot.store(Self::REST, pack_rest((flow.bytes >> 32) as u16, (flow.packets >> 32) as u8, flow.state));
    }

    #[inline(always)]
    fn payload(flow: &Flow<F>) -> u16 {
        flow.rule.0
    }
}
