//! Finding, inserting, changing and removing, for whoever holds the memory.

use core::hint::black_box;

use super::digest::{Digest, Places, Seed};
use super::entry::{Entry, Guard, Memory, Slot};
use super::{Insert, SLOTS};

/// A slot that holds the key, and the guard that said so.
#[derive(Clone, Copy, Debug)]
pub struct Found<S> {
    /// The slot.
    pub slot: S,
    /// Its guard, read before the key was.
    pub guard: Guard,
}

/// How often an operation looks at a slot again that somebody else has changed under its hands. Whoever holds one BUSY writes a dozen words
/// meanwhile.
const ATTEMPTS: u32 = 4;

/// How often an insertion looks for a place: once more than usual, when another CPU has taken the first one in the same moment.
const CHOICES: u32 = 2;

/// New keys go to their first bucket while it has this many; then to the emptier of both. A look-up is then most often done in the first
/// one, and the table holds as many as if every key had gone to the emptier bucket.
const CROWDED: u32 = 4;

/// Both buckets' slots in one row.
const BOTH: u32 = 2 * SLOTS;

#[inline(always)]
fn places<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Places {
    E::digest(key, Digest::new(memory.seed())).places(memory.buckets())
}

/// The same number, but the verifier forgets which one it is and walks what follows once, not once per value. It does not see that adding
/// and subtracting the same unknown number changes nothing; LLVM would, but for the box.
#[inline(always)]
fn forget(number: u32, unknown: u32) -> u32 {
    black_box(number.wrapping_add(unknown)).wrapping_sub(unknown)
}

/// The two buckets in which a key may stand.
#[must_use]
pub fn buckets_of<E: Entry>(key: &E::Key, seed: Seed, buckets: u32) -> [u32; 2] {
    let places = E::digest(key, Digest::new(seed)).places(buckets);
    [places.first, places.second]
}

/// The slot of that number in the row of both buckets.
#[inline(always)]
fn slot<E: Entry, M: Memory>(memory: &M, places: &Places, number: u32) -> Option<M::Slot> {
    let number = forget(number, places.first) % BOTH;
    let bucket = if number < SLOTS { places.first } else { places.second };
    Some(memory.bucket(bucket)?.nth((places.start + number) % SLOTS, E::WORDS))
}

/// The slot that holds the key now, whether it can be read or is being written.
#[inline(always)]
pub fn peek<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Option<Found<M::Slot>> {
    let places = places::<E, M>(memory, key);
    for index in [places.first, places.second] {
        let bucket = memory.bucket(index)?;
        let mut number = 0;
        while number < SLOTS {
            let slot = bucket.nth((places.start + number) % SLOTS, E::WORDS);
            let guard = slot.guard();
            if guard.phase() >= Guard::LIVE && E::holds(slot, key) {
                let number = forget(places.start + number, index) % SLOTS;
                return Some(Found { slot: bucket.nth(number, E::WORDS), guard });
            }
            number += 1;
        }
    }
    None
}

/// Finds what the fast path may use, and where it stands: one attempt, for whoever misses it has the slow path.
#[inline(always)]
pub fn established<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Option<(E::Value, M::Slot)> {
    let Found { slot, guard } = peek::<E, M>(memory, key)?;
    if !guard.is_live() {
        return None;
    }
    let value = E::value(slot, guard.payload());
    (slot.guard() == guard).then_some((value, slot))
}

/// The guard of a slot that still holds the key: for another attempt.
#[inline(always)]
fn still<E: Entry, S: Slot>(slot: S, key: &E::Key) -> Option<Guard> {
    let guard = slot.guard();
    (guard.phase() >= Guard::LIVE && E::holds(slot, key)).then_some(guard)
}

/// Copies the value of a key. False when there is none.
#[inline(always)]
pub fn look_up<E: Entry, M: Memory>(memory: &M, key: &E::Key, into: &mut E::Value) -> bool {
    let Some(Found { slot, mut guard }) = peek::<E, M>(memory, key) else { return false };
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        if guard.is_live() {
            *into = E::value(slot, guard.payload());
            if slot.guard() == guard {
                return true;
            }
        }
        let Some(now) = still::<E, _>(slot, key) else { return false };
        guard = now;
        attempt += 1;
    }
    false
}

/// Adds a key.
#[inline(always)]
pub fn insert<E: Entry, M: Memory>(memory: &M, key: &E::Key, value: &E::Value) -> Insert {
    let places = places::<E, M>(memory, key);
    let mut attempt = 0;
    while attempt < CHOICES {
        let Some(free) = free_slot::<E, M>(memory, &places, key) else { return Insert::Exists };
        if free >= BOTH {
            return Insert::Full;
        }
        let Some(slot) = slot::<E, M>(memory, &places, free) else { return Insert::Full };
        let guard = slot.guard();
        if guard.phase() == Guard::FREE && slot.exchange(guard, guard.to(Guard::CLAIMED)) {
            return publish::<E, M>(memory, &places, slot, key, value);
        }
        attempt += 1;
    }
    Insert::Full
}

/// The number of the slot that a new key goes to, [`BOTH`] when there is none. `None`: the key is there.
#[inline(always)]
fn free_slot<E: Entry, M: Memory>(memory: &M, places: &Places, key: &E::Key) -> Option<u32> {
    let (first, first_free) = survey::<E, M>(memory, places.first, places.start, key)?;
    let (second, second_free) = survey::<E, M>(memory, places.second, places.start, key)?;
    if first < CROWDED || first <= second { Some(if first_free < SLOTS { first_free } else { BOTH }) } else { Some(second_free + SLOTS) }
}

/// How many slots of a bucket are not free, and the first free one, counted from `start`; [`SLOTS`] when there is none. `None`: the key
/// is there.
#[inline(always)]
fn survey<E: Entry, M: Memory>(memory: &M, index: u32, start: u32, key: &E::Key) -> Option<(u32, u32)> {
    let Some(bucket) = memory.bucket(index) else { return Some((SLOTS, SLOTS)) };
    let (mut taken, mut free) = (0, SLOTS);
    let mut number = 0;
    while number < SLOTS {
        let slot = bucket.nth((start + number) % SLOTS, E::WORDS);
        let guard = slot.guard();
        if guard.phase() == Guard::FREE {
            if free == SLOTS {
                free = number;
            }
        } else {
            taken += 1;
            if guard.is_taken() && E::holds(slot, key) {
                return None;
            }
        }
        number += 1;
    }
    Some((forget(taken, index), forget(free, index)))
}

/// Fills a claimed slot, shows it, and stands back if another has shown the same key.
#[inline(always)]
fn publish<E: Entry, M: Memory>(memory: &M, places: &Places, slot: M::Slot, key: &E::Key, value: &E::Value) -> Insert {
    E::store_key(slot, key);
    E::store_value(slot, value);
    let claimed = slot.guard();
    let tentative = claimed.next(Guard::TENTATIVE, E::payload(value));
    // Nobody else exchanges a claimed or a tentative guard.
    let _ = slot.exchange(claimed, tentative);
    let alone = holders::<E, M>(memory, places.first, key) + other::<E, M>(memory, places, key) == 1;
    if alone {
        let _ = slot.exchange(tentative, tentative.to(Guard::LIVE));
        Insert::Done
    } else {
        let _ = slot.exchange(tentative, tentative.next(Guard::FREE, 0));
        Insert::Exists
    }
}

/// Holders in the second bucket, unless that is the first.
#[inline(always)]
fn other<E: Entry, M: Memory>(memory: &M, places: &Places, key: &E::Key) -> u32 {
    if places.second == places.first { 0 } else { holders::<E, M>(memory, places.second, key) }
}

/// How many slots of a bucket show the key.
#[inline(always)]
fn holders<E: Entry, M: Memory>(memory: &M, index: u32, key: &E::Key) -> u32 {
    let Some(bucket) = memory.bucket(index) else { return 0 };
    let mut holders = 0;
    let mut number = 0;
    while number < SLOTS {
        let slot = bucket.nth(number, E::WORDS);
        if slot.guard().is_taken() && E::holds(slot, key) {
            holders += 1;
        }
        number += 1;
    }
    forget(holders, index)
}

/// Replaces the value of a key that is there. False when it is not.
#[inline(always)]
pub fn replace<E: Entry, M: Memory>(memory: &M, key: &E::Key, value: &E::Value) -> bool {
    match hold::<E, M>(memory, key) {
        Some(Found { slot, guard }) => {
            E::store_value(slot, value);
            release(slot, guard, E::payload(value));
            true
        }
        None => false,
    }
}

/// Changes the value of a key that is there. False when it is not.
#[inline(always)]
pub fn modify<E: Entry, M: Memory>(memory: &M, key: &E::Key, change: impl FnOnce(&mut E::Value)) -> bool {
    match hold::<E, M>(memory, key) {
        Some(Found { slot, guard }) => {
            let mut value = E::value(slot, guard.payload());
            change(&mut value);
            E::store_value(slot, &value);
            release(slot, guard, E::payload(&value));
            true
        }
        None => false,
    }
}

/// Makes the key's slot BUSY; the guard is that of before.
#[inline(always)]
fn hold<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Option<Found<M::Slot>> {
    let found = peek::<E, M>(memory, key)?;
    let guard = exchange::<E, _>(found, key, |guard| guard.to(Guard::BUSY))?;
    Some(Found { slot: found.slot, guard })
}

/// Replaces the guard of a slot that holds the key, when it is LIVE or becomes so; the guard of before.
#[inline(always)]
fn exchange<E: Entry, S: Slot>(found: Found<S>, key: &E::Key, to: impl Fn(Guard) -> Guard) -> Option<Guard> {
    let Found { slot, mut guard } = found;
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        if guard.is_live() && slot.exchange(guard, to(guard)) {
            return Some(guard);
        }
        guard = still::<E, _>(slot, key)?;
        attempt += 1;
    }
    None
}

#[inline(always)]
fn release<S: Slot>(slot: S, guard: Guard, payload: u16) {
    let _ = slot.exchange(guard.to(Guard::BUSY), guard.next(Guard::LIVE, payload));
}

/// Removes a key. False when it was not there.
#[inline(always)]
pub fn remove<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> bool {
    peek::<E, M>(memory, key).and_then(|found| exchange::<E, _>(found, key, |guard| guard.next(Guard::FREE, 0))).is_some()
}
