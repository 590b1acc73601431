//! The table against ordinary collections, against an operation at every moment of another, and under threads.

mod entries;
mod moments;
mod threads;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::abi::{Endpoint, EndpointKey, Ipv4, Port, Protocol, RuleId, V4};

/// A table in ordinary memory.
pub struct Plain {
    words: Vec<AtomicU32>,
    buckets: u32,
    entry: usize,
    seed: Seed,
}

impl Plain {
    fn of<E: Entry>(buckets: u32, seed: u64) -> Self {
        let words = elements::<E>(buckets) as usize * SLOTS as usize * E::WORDS;
        Self { words: (0..words).map(|_| AtomicU32::new(0)).collect(), buckets, entry: E::WORDS, seed: Seed([seed, !seed]) }
    }

    fn slots(&self) -> impl Iterator<Item = Words<'_>> {
        self.words.chunks(self.entry).map(Words).take((self.buckets * SLOTS) as usize)
    }

    fn live<E: Entry>(&self) -> Vec<(E::Key, E::Value)> {
        self.slots().filter(|slot| slot.guard().is_live()).map(|slot| (E::key(slot), E::value(slot, slot.guard().payload()))).collect()
    }

    fn is_at_rest(&self) -> bool {
        let tags =
            self.words[(self.buckets * SLOTS) as usize * self.entry..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        self.slots().zip(tags).all(|(slot, tag)| match slot.guard().phase() {
            Guard::FREE => tag == 0,
            Guard::LIVE => tag != 0,
            _ => false,
        })
    }
}

impl<'a> Memory for &'a Plain {
    type Slot = Words<'a>;
    fn buckets(&self) -> u32 {
        self.buckets
    }
    fn seed(&self) -> Seed {
        self.seed
    }
    fn bucket(&self, index: u32) -> Option<Words<'a>> {
        self.words.get(index as usize * SLOTS as usize * self.entry..).map(Words)
    }
}

/// A key of few words, and a value that tells whose it is.
fn key(n: u32) -> EndpointKey<V4> {
    EndpointKey { address: Ipv4(n >> 16), port: Port::from_wire(n as u16), protocol: Protocol::UDP, zero: 0 }
}

fn value(n: u32, version: u16) -> Endpoint<V4> {
    Endpoint { internal: Ipv4(n), port: Port::from_wire(version), rule: RuleId(version), open: n ^ u32::from(version) }
}

fn is_whole(n: u32, value: &Endpoint<V4>) -> bool {
    value.internal.0 == n && value.port.wire() == value.rule.0 && value.open == n ^ u32::from(value.rule.0)
}

fn found(table: &Plain, n: u32) -> Option<Endpoint<V4>> {
    let mut value = Endpoint::default();
    look_up::<EndpointEntry, _>(&table, &key(n), &mut value).then_some(value)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, u16),
    Replace(u32, u16),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = 0..60u32;
    prop_oneof![
        3 => (keys.clone(), any::<u16>()).prop_map(|(n, version)| Step::Insert(n, version)),
        1 => (keys.clone(), any::<u16>()).prop_map(|(n, version)| Step::Replace(n, version)),
        2 => keys.prop_map(Step::Remove),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_an_ordinary_map_holds(seed: u64, buckets in 2..12u32, steps in prop::collection::vec(step(), 1..300)) {
        let table = Plain::of::<EndpointEntry>(buckets, seed);
        let mut map = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(n, version) => match insert::<EndpointEntry, _>(&&table, &key(n), &value(n, version)) {
                    Insert::Done => prop_assert!(map.insert(n, value(n, version)).is_none()),
                    Insert::Exists => prop_assert!(map.contains_key(&n)),
                    Insert::Full => prop_assert!(!map.contains_key(&n) && map.len() >= SLOTS as usize),
                },
                Step::Replace(n, version) => {
                    let was = replace::<EndpointEntry, _>(&&table, &key(n), &value(n, version));
                    prop_assert_eq!(was, map.get_mut(&n).map(|held| *held = value(n, version)).is_some());
                }
                Step::Remove(n) => prop_assert_eq!(remove::<EndpointEntry, _>(&&table, &key(n)), map.remove(&n).is_some()),
            }
            for n in 0..60 {
                prop_assert_eq!(found(&table, n), map.get(&n).copied());
            }
        }
        prop_assert_eq!(table.live::<EndpointEntry>().len(), map.len());
        prop_assert!(table.is_at_rest());
    }
}

#[test]
fn it_holds_what_it_is_made_for() {
    const ENTRIES: u32 = 200_000;
    for seed in [1, 0x1234_5678_9abc_def0, u64::MAX] {
        let table = Plain::of::<EndpointEntry>(capacity(ENTRIES), seed);
        let refused = (0..ENTRIES).filter(|n| insert::<EndpointEntry, _>(&&table, &key(*n), &value(*n, 0)) == Insert::Full).count();
        // By simulation one of ten million; a digest that spread badly would show at once.
        assert!(refused <= 1, "{refused} of {ENTRIES} keys in a row found no place");
        assert_eq!(table.live::<EndpointEntry>().len() + refused, ENTRIES as usize);
    }
}

#[test]
fn most_keys_stand_in_their_first_bucket() {
    const ENTRIES: u32 = 100_000;
    for (filled, least) in [(ENTRIES / 2, 0.92), (ENTRIES, 0.77)] {
        let table = Plain::of::<EndpointEntry>(capacity(ENTRIES), 7);
        (0..filled).for_each(|n| {
            let _ = insert::<EndpointEntry, _>(&&table, &key(n), &value(n, 0));
        });
        let bucket = SLOTS as usize * EndpointEntry::WORDS;
        let first = table
            .slots()
            .enumerate()
            .filter(|(_, slot)| slot.guard().is_live())
            .filter(|(n, slot)| {
                let [first, _] = buckets_of::<EndpointEntry>(&EndpointEntry::key(*slot), table.seed, table.buckets);
                n * EndpointEntry::WORDS / bucket == first as usize
            })
            .count();
        let share = first as f64 / f64::from(filled);
        assert!(share >= least, "{share:.3} of {filled} keys are found in their first bucket");
    }
}
