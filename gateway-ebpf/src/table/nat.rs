//! Mappings and external endpoints in their slots: 32 bytes each, two to a cache line.

use super::digest::Digest;
use super::entry::{Entry, Slot};
use crate::abi::{Endpoint, EndpointKey, Ipv4, Mapping, MappingKey, Port, Protocol, RuleId, Tick, V4};

/// A mapping's entry.
#[derive(Clone, Copy, Debug)]
pub struct MappingEntry;

/// An external endpoint's entry.
#[derive(Clone, Copy, Debug)]
pub struct EndpointEntry;

const WORDS: usize = 8;

#[inline(always)]
const fn pack(low: u16, high: u16) -> u32 {
    low as u32 | (high as u32) << 16
}

impl MappingEntry {
    const LAST_USED: usize = 7;

    /// Notes that a flow was opened through it.
    #[inline(always)]
    pub fn touch<S: Slot>(slot: S, now: Tick) {
        slot.store(Self::LAST_USED, now.0);
    }
}

impl Entry for MappingEntry {
    type Key = MappingKey<V4>;
    type Value = Mapping;
    const WORDS: usize = WORDS;

    #[inline(always)]
    fn digest(key: &MappingKey<V4>, digest: Digest) -> Digest {
        digest.pair(0, key.internal.0, key.external.0).pair(1, pack(key.internal_port.wire(), key.rule.0), key.protocol.0 as u32)
    }

    #[inline(always)]
    fn holds<S: Slot>(slot: S, key: &MappingKey<V4>) -> bool {
        slot.load(3) == pack(key.internal_port.wire(), key.rule.0)
            && slot.load(1) == key.internal.0
            && slot.load(2) == key.external.0
            && slot.load(4) == key.protocol.0 as u32
    }

    #[inline(always)]
    fn key<S: Slot>(slot: S) -> MappingKey<V4> {
        let (internal, external, ports, protocol) = (slot.load(1), slot.load(2), slot.load(3), slot.load(4));
        MappingKey {
            internal: Ipv4(internal),
            external: Ipv4(external),
            internal_port: Port::from_wire(ports as u16),
            rule: RuleId((ports >> 16) as u16),
            protocol: Protocol(protocol as u8),
            zero: [0; 3],
        }
    }

    #[inline(always)]
    fn value<S: Slot>(slot: S, payload: u16) -> Mapping {
        Mapping {
            external_port: Port::from_wire(payload),
            zero: 0,
            created: Tick(slot.load(6)),
            last_used: Tick(slot.load(Self::LAST_USED)),
        }
    }

    #[inline(always)]
    fn store_key<S: Slot>(slot: S, key: &MappingKey<V4>) {
        slot.store(1, key.internal.0);
        slot.store(2, key.external.0);
        slot.store(3, pack(key.internal_port.wire(), key.rule.0));
        slot.store(4, key.protocol.0 as u32);
    }

    #[inline(always)]
    fn store_value<S: Slot>(slot: S, mapping: &Mapping) {
        slot.store(6, mapping.created.0);
        slot.store(Self::LAST_USED, mapping.last_used.0);
    }

    #[inline(always)]
    fn payload(mapping: &Mapping) -> u16 {
        mapping.external_port.wire()
    }
}

impl Entry for EndpointEntry {
    type Key = EndpointKey<V4>;
    type Value = Endpoint<V4>;
    const WORDS: usize = WORDS;

    #[inline(always)]
    fn digest(key: &EndpointKey<V4>, digest: Digest) -> Digest {
        digest.pair(0, key.address.0, pack(key.port.wire(), key.protocol.0 as u16))
    }

    #[inline(always)]
    fn holds<S: Slot>(slot: S, key: &EndpointKey<V4>) -> bool {
        slot.load(2) == pack(key.port.wire(), key.protocol.0 as u16) && slot.load(1) == key.address.0
    }

    #[inline(always)]
    fn key<S: Slot>(slot: S) -> EndpointKey<V4> {
        let (address, port) = (slot.load(1), slot.load(2));
        EndpointKey { address: Ipv4(address), port: Port::from_wire(port as u16), protocol: Protocol((port >> 16) as u8), zero: 0 }
    }

    #[inline(always)]
    fn value<S: Slot>(slot: S, payload: u16) -> Endpoint<V4> {
        Endpoint { internal: Ipv4(slot.load(3)), port: Port::from_wire(payload), rule: RuleId(slot.load(4) as u16), open: slot.load(5) }
    }

    #[inline(always)]
    fn store_key<S: Slot>(slot: S, key: &EndpointKey<V4>) {
        slot.store(1, key.address.0);
        slot.store(2, pack(key.port.wire(), key.protocol.0 as u16));
    }

    #[inline(always)]
    fn store_value<S: Slot>(slot: S, endpoint: &Endpoint<V4>) {
        slot.store(3, endpoint.internal.0);
        slot.store(4, endpoint.rule.0 as u32);
        slot.store(5, endpoint.open);
    }

    #[inline(always)]
    fn payload(endpoint: &Endpoint<V4>) -> u16 {
        endpoint.port.wire()
    }
}
