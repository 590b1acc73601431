//! Finding, inserting, changing and removing, for whoever holds the memory.

use super::digest::{Digest, Places, Seed};
use super::entry::{Entry, Guard, Memory, Slot};
use super::tags::Row;
use super::{Insert, SLOTS};
use crate::verifier::forget;

/// A slot that holds the key, and the guard that said so.
#[derive(Clone, Copy, Debug)]
pub struct Found<S> {
    /// The slot.
    pub slot: S,
    /// Its guard, read before the key was.
    pub guard: Guard,
    row: Row<S>,
    number: u32,
}

/// How often an operation looks at a slot again that somebody else has changed under its hands. Whoever holds one BUSY writes a dozen words
/// meanwhile.
const ATTEMPTS: u32 = 4;

/// How often an insertion looks for a place: once more than usual, when another CPU has taken the first one in the same moment.
const CHOICES: u32 = 2;

/// In how many slots of the first bucket the fast path looks for itself. In a table half full four keys of five stand in the first of them
/// and nine of ten in these (three of four when it is full); the processor fetches lines in pairs. With one slot alone, 100,000 flows cost
/// a tenth more.
const NEAR: u32 = 3;

/// New keys go to their first bucket while it has this many; then to the emptier of both. A look-up is then most often done in the first
/// one, and the table holds as many as if every key had gone to the emptier bucket.
const CROWDED: u32 = 4;

#[inline(always)]
fn places<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Places {
    E::digest(key, Digest::new(memory.seed())).places(memory.buckets())
}

/// The two buckets in which a key may stand.
#[must_use]
pub fn buckets_of<E: Entry>(key: &E::Key, seed: Seed, buckets: u32) -> [u32; 2] {
    let places = E::digest(key, Digest::new(seed)).places(buckets);
    [places.first, places.second]
}

/// Finds what the fast path may use, and where it stands. One attempt, for whoever misses it has the slow path.
///
/// The lines in which a key stands most often are looked at before the tags are: then these are not needed.
#[inline(always)]
pub fn established<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Option<(E::Value, M::Slot)> {
    let places = places::<E, M>(memory, key);
    let first = memory.bucket(places.first)?;
    let mut number = 0;
    while number < NEAR {
        let slot = first.nth((places.start + number) % SLOTS, E::WORDS);
        let guard = slot.guard();
        if guard.is_live() && E::holds(slot, key) {
            return whole::<E, _>(slot, guard);
        }
        number += 1;
    }
    let Found { slot, guard, .. } = peek_at::<E, M>(memory, &places, key)?;
    if guard.is_live() { whole::<E, _>(slot, guard) } else { None }
}

/// What the fast path uses of a slot, if nobody has changed it since its guard was read.
#[inline(always)]
fn whole<E: Entry, S: Slot>(slot: S, guard: Guard) -> Option<(E::Value, S)> {
    let value = E::answer(slot, guard.payload());
    (slot.guard() == guard).then_some((value, slot))
}

/// The slot that holds the key now, whether it can be read or is being written.
#[inline(always)]
pub fn peek<E: Entry, M: Memory>(memory: &M, key: &E::Key) -> Option<Found<M::Slot>> {
    peek_at::<E, M>(memory, &places::<E, M>(memory, key), key)
}

#[inline(always)]
fn peek_at<E: Entry, M: Memory>(memory: &M, places: &Places, key: &E::Key) -> Option<Found<M::Slot>> {
    for index in [places.first, places.second] {
        let row = Row::of::<E, M>(memory, index)?;
        let mut marked = row.tags().matching(places.tag);
        let mut turn = 0;
        while turn < SLOTS && !marked.is_empty() {
            let number = marked.lowest();
            let slot = memory.bucket(index)?.nth(number, E::WORDS);
            let guard = slot.guard();
            if guard.phase() >= Guard::LIVE && E::holds(slot, key) {
                return Some(Found { slot, guard, row, number });
            }
            marked = marked.others();
            turn += 1;
        }
    }
    None
}

/// The guard of a slot that still holds the key: for another attempt.
#[inline(always)]
fn still<E: Entry, S: Slot>(slot: S, key: &E::Key) -> Option<Guard> {
    let guard = slot.guard();
    (guard.phase() >= Guard::LIVE && E::holds(slot, key)).then_some(guard)
}

/// The slots of a bucket that may hold an entry, by their tags: of the others no memory is touched.
pub fn occupied<E: Entry, M: Memory>(memory: &M, bucket: u32) -> impl Iterator<Item = M::Slot> {
    let mut left = Row::of::<E, M>(memory, bucket).map(|row| row.tags().marked());
    let first = memory.bucket(bucket);
    core::iter::from_fn(move || {
        let marked = left.filter(|marked| !marked.is_empty())?;
        left = Some(marked.others());
        Some(first?.nth(marked.lowest(), E::WORDS))
    })
}

/// Copies the value of a key. False when there is none.
#[inline(always)]
pub fn look_up<E: Entry, M: Memory>(memory: &M, key: &E::Key, into: &mut E::Value) -> bool {
    let Some(Found { slot, mut guard, .. }) = peek::<E, M>(memory, key) else { return false };
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
    if holders::<E, M>(memory, &places, key) != 0 {
        return Insert::Exists;
    }
    let (mut start, mut attempt) = (places.start, 0);
    while attempt < CHOICES {
        let Some((row, bucket)) = choose::<E, M>(memory, &places) else { return Insert::Full };
        let Some(number) = row.tags().free(start) else { return Insert::Full };
        let slot = bucket.nth(number, E::WORDS);
        let guard = slot.guard();
        if guard.phase() == Guard::FREE && slot.exchange(guard, guard.to(Guard::CLAIMED)) {
            return publish::<E, M>(memory, &places, Found { slot, guard: guard.to(Guard::CLAIMED), row, number }, key, value);
        }
        // Its new owner has not tagged it yet.
        start = number + 1;
        attempt += 1;
    }
    Insert::Full
}

/// The bucket that a new key goes to.
#[inline(always)]
fn choose<E: Entry, M: Memory>(memory: &M, places: &Places) -> Option<(Row<M::Slot>, M::Slot)> {
    let (first, second) = (Row::of::<E, M>(memory, places.first)?, Row::of::<E, M>(memory, places.second)?);
    let taken = first.tags().taken();
    if taken < CROWDED || taken <= second.tags().taken() {
        Some((first, memory.bucket(places.first)?))
    } else {
        Some((second, memory.bucket(places.second)?))
    }
}

/// Fills a claimed slot, shows it, and stands back if another has shown the same key.
#[inline(always)]
fn publish<E: Entry, M: Memory>(memory: &M, places: &Places, claimed: Found<M::Slot>, key: &E::Key, value: &E::Value) -> Insert {
    let Found { slot, guard, row, number } = claimed;
    row.mark::<E>(number, places.tag);
    E::store_key(slot, key);
    E::store_value(slot, value);
    let tentative = guard.next(Guard::TENTATIVE, E::payload(value));
    // Nobody else exchanges a claimed or a tentative guard.
    let _ = slot.exchange(guard, tentative);
    if holders::<E, M>(memory, places, key) == 1 {
        let _ = slot.exchange(tentative, tentative.to(Guard::LIVE));
        Insert::Done
    } else {
        row.clear::<E>(number);
        let _ = slot.exchange(tentative, tentative.next(Guard::FREE, 0));
        Insert::Exists
    }
}

/// How many slots show the key.
#[inline(always)]
fn holders<E: Entry, M: Memory>(memory: &M, places: &Places, key: &E::Key) -> u32 {
    let second = if places.second == places.first { 0 } else { holders_in::<E, M>(memory, places.second, places.tag, key) };
    holders_in::<E, M>(memory, places.first, places.tag, key) + second
}

#[inline(always)]
fn holders_in<E: Entry, M: Memory>(memory: &M, index: u32, tag: u32, key: &E::Key) -> u32 {
    let Some(row) = Row::of::<E, M>(memory, index) else { return 0 };
    let mut marked = row.tags().matching(tag);
    let (mut holders, mut turn) = (0, 0);
    while turn < SLOTS && !marked.is_empty() {
        let Some(bucket) = memory.bucket(index) else { return 0 };
        let slot = bucket.nth(marked.lowest(), E::WORDS);
        if slot.guard().is_taken() && E::holds(slot, key) {
            holders += 1;
        }
        marked = marked.others();
        turn += 1;
    }
    forget(holders, index)
}

/// Replaces the value of a key that is there. False when it is not.
#[inline(always)]
pub fn replace<E: Entry, M: Memory>(memory: &M, key: &E::Key, value: &E::Value) -> bool {
    match hold::<E, M>(memory, key) {
        Some(Found { slot, guard, .. }) => {
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
        Some(Found { slot, guard, .. }) => {
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
    let mut found = peek::<E, M>(memory, key)?;
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        let Found { slot, guard, .. } = found;
        if guard.is_live() && slot.exchange(guard, guard.to(Guard::BUSY)) {
            return Some(found);
        }
        found.guard = still::<E, _>(slot, key)?;
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
    match hold::<E, M>(memory, key) {
        Some(Found { slot, guard, row, number }) => {
            row.clear::<E>(number);
            let _ = slot.exchange(guard.to(Guard::BUSY), guard.next(Guard::FREE, 0));
            true
        }
        None => false,
    }
}
