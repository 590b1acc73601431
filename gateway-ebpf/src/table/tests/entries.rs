//! What goes into a slot comes out of it.

use proptest::prelude::*;

use super::Plain;
use crate::abi::{
    Address, Endpoint, EndpointKey, Family, Flow, FlowFlags, FlowKey, FlowState, Generation, IfIndex, Ipv4, Link, Mac, Mapping, MappingKey,
    Port, Protocol, RuleId, Tick, V4, V6,
};
use crate::table::*;

fn flow<F: Family>() -> impl Strategy<Value = (FlowKey<F>, Flow<F>)> {
    let words = prop::array::uniform12(any::<u32>());
    (words, any::<[u16; 10]>(), any::<[u32; 5]>(), any::<[u8; 3]>(), any::<[u64; 2]>()).prop_map(
        |(words, halves, numbers, bytes, counts)| {
            let address = |n: usize| F::Address::from_words([words[n], words[n + 1], words[n + 2], words[n + 3]]);
            let link = Link::new(IfIndex(numbers[0] & Link::MAX_IFINDEX), Protocol(bytes[0]));
            let key = FlowKey::new(address(0), address(4), Port::from_wire(halves[0]), Port::from_wire(halves[1]), link);
            let flow = Flow {
                source: address(8),
                destination: address(2),
                source_port: Port::from_wire(halves[2]),
                destination_port: Port::from_wire(halves[3]),
                mtu: halves[4],
                egress: IfIndex(numbers[1] & Link::MAX_IFINDEX),
                next_mac: Mac([halves[5], halves[6], halves[7]]),
                decided: Generation(numbers[2]),
                last_seen: Tick(numbers[3]),
                state: FlowState(bytes[1]),
                flags: FlowFlags(bytes[2]),
                rule: RuleId(halves[8]),
                packets: counts[0] & ((1 << 40) - 1),
                bytes: counts[1] & ((1 << 48) - 1),
            };
            (key, flow)
        },
    )
}

/// `answer`: what the fast path sees of the value.
fn comes_out<E: Entry<Value: PartialEq + Default + core::fmt::Debug>>(key: &E::Key, value: &E::Value, answer: &E::Value) {
    let table = Plain::of::<E>(2, 3);
    assert_eq!(insert::<E, _>(&&table, key, value), Insert::Done);
    let mut out = E::Value::default();
    assert!(look_up::<E, _>(&&table, key, &mut out));
    assert_eq!(out, *value);
    let (found, _) = established::<E, _>(&&table, key).unwrap();
    assert_eq!(found, *answer);
}

fn without_counters<F: Family>(flow: &Flow<F>) -> Flow<F> {
    Flow { last_seen: Tick::default(), packets: 0, bytes: 0, ..*flow }
}

proptest! {
    #[test]
    fn flows_of_both_families((key4, flow4) in flow::<V4>(), (key6, flow6) in flow::<V6>()) {
        comes_out::<FlowEntry<V4>>(&key4, &flow4, &without_counters(&flow4));
        comes_out::<FlowEntry<V6>>(&key6, &flow6, &without_counters(&flow6));
    }

    #[test]
    fn every_part_of_a_key_counts((key, flow) in flow::<V6>(), other in flow::<V6>()) {
        let table = Plain::of::<FlowEntry<V6>>(2, 3);
        prop_assert_eq!(insert::<FlowEntry<V6>, _>(&&table, &key, &flow), Insert::Done);
        let other = other.0;
        for changed in [
            FlowKey::new(other.source, key.destination, key.source_port, key.destination_port, key.link()),
            FlowKey::new(key.source, other.destination, key.source_port, key.destination_port, key.link()),
            FlowKey::new(key.source, key.destination, other.source_port, key.destination_port, key.link()),
            FlowKey::new(key.source, key.destination, key.source_port, other.destination_port, key.link()),
            FlowKey::new(key.source, key.destination, key.source_port, key.destination_port, other.link()),
        ] {
            prop_assert_eq!(peek::<FlowEntry<V6>, _>(&&table, &changed).is_some(), changed == key);
        }
    }

    #[test]
    fn mappings_and_endpoints(words: [u32; 6], halves: [u16; 4], byte: u8) {
        let protocol = Protocol(byte);
        let key = MappingKey {
            internal: Ipv4(words[0]),
            external: Ipv4(words[1]),
            internal_port: Port::from_wire(halves[0]),
            rule: RuleId(halves[1]),
            protocol,
            zero: [0; 3],
        };
        let mapping = Mapping { external_port: Port::from_wire(halves[2]), zero: 0, created: Tick(words[2]), last_used: Tick(words[3]) };
        comes_out::<MappingEntry>(&key, &mapping, &mapping);
        let key = EndpointKey { address: Ipv4(words[0]), port: Port::from_wire(halves[0]), protocol, zero: 0 };
        let endpoint = Endpoint { internal: Ipv4(words[4]), port: Port::from_wire(halves[2]), rule: RuleId(halves[3]), open: words[5] };
        comes_out::<EndpointEntry>(&key, &endpoint, &endpoint);
    }
}

#[test]
fn sizes_are_those_the_design_counts_on() {
    assert_eq!(4 * FlowEntry::<V4>::WORDS, 64);
    assert_eq!(4 * FlowEntry::<V6>::WORDS, 128);
    assert_eq!((4 * MappingEntry::WORDS, 4 * EndpointEntry::WORDS), (32, 32));
}

#[test]
fn counters_carry_beyond_their_first_word() {
    let table = Plain::of::<FlowEntry<V4>>(2, 3);
    let key = FlowKey::<V4>::default();
    let full = Flow { packets: u64::from(u32::MAX), bytes: u64::from(u32::MAX) - 10, state: FlowState::ESTABLISHED, ..Default::default() };
    assert_eq!(insert::<FlowEntry<V4>, _>(&&table, &key, &full), Insert::Done);
    for _ in 0..2 {
        let (_, slot) = established::<FlowEntry<V4>, _>(&&table, &key).unwrap();
        FlowEntry::<V4>::count(slot, Tick(9), 1500);
    }
    let mut counted = Flow::default();
    assert!(look_up::<FlowEntry<V4>, _>(&&table, &key, &mut counted));
    assert_eq!((counted.packets, counted.bytes), (full.packets + 2, full.bytes + 3000));
    assert_eq!((counted.last_seen, counted.state), (Tick(9), FlowState::ESTABLISHED));
}
