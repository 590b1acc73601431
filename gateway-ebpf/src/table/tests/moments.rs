//! One operation at every moment of another: before each of its accesses to memory in turn.

use std::cell::{Cell, RefCell};

use super::{Plain, found, is_whole, key, value};
use crate::abi::{Endpoint, V4};
use crate::table::*;

/// What comes between.
type Other<'a> = &'a dyn Fn(&Plain);

/// A table that is interrupted once.
struct Interrupted<'a> {
    table: &'a Plain,
    accesses: Cell<u32>,
    at: u32,
    other: RefCell<Option<Other<'a>>>,
}

impl<'a> Interrupted<'a> {
    fn new(table: &'a Plain, at: u32, other: Other<'a>) -> Self {
        Self { table, accesses: Cell::new(0), at, other: RefCell::new(Some(other)) }
    }

    fn tick(&self) {
        self.accesses.set(self.accesses.get() + 1);
        if self.accesses.get() == self.at
            && let Some(other) = self.other.take()
        {
            other(self.table);
        }
    }
}

#[derive(Clone, Copy)]
struct Watched<'a, 'b>(Words<'b>, &'a Interrupted<'b>);

impl Slot for Watched<'_, '_> {
    fn load(self, word: usize) -> u32 {
        self.1.tick();
        self.0.load(word)
    }
    fn store(self, word: usize, value: u32) {
        self.1.tick();
        self.0.store(word, value);
    }
    fn set(self, word: usize, bits: u32) {
        self.1.tick();
        self.0.set(word, bits);
    }
    fn clear(self, word: usize, bits: u32) {
        self.1.tick();
        self.0.clear(word, bits);
    }
    fn exchange(self, old: Guard, new: Guard) -> bool {
        self.1.tick();
        self.0.exchange(old, new)
    }
    fn nth(self, slot: u32, words: usize) -> Self {
        Self(self.0.nth(slot, words), self.1)
    }
}

impl<'a, 'b> Memory for &'a Interrupted<'b> {
    type Slot = Watched<'a, 'b>;
    fn buckets(&self) -> u32 {
        self.table.buckets()
    }
    fn seed(&self) -> Seed {
        self.table.seed()
    }
    fn bucket(&self, index: u32) -> Option<Watched<'a, 'b>> {
        Some(Watched((&self.table).bucket(index)?, self))
    }
}

/// Runs `first` with `other` at each of its moments, on a table prepared anew; how many moments there were.
fn at_every_moment(prepare: impl Fn(&Plain), first: impl Fn(&Interrupted<'_>), other: impl Fn(&Plain), check: impl Fn(&Plain, u32)) -> u32 {
    for at in 1.. {
        let table = Plain::of::<EndpointEntry>(2, 5);
        prepare(&table);
        let interrupted = Interrupted::new(&table, at, &other);
        first(&interrupted);
        if interrupted.other.borrow().is_some() {
            return at - 1;
        }
        check(&table, at);
        assert!(table.is_at_rest(), "moment {at}: a slot was left unfinished");
    }
    unreachable!()
}

const N: u32 = 77;
const M: u32 = 78;

#[test]
fn two_insertions_of_one_key_leave_it_once_at_most() {
    let outcomes = RefCell::new((0, 0));
    let moments = at_every_moment(
        |_| {},
        |memory| {
            let done = insert::<EndpointEntry, _>(&memory, &key(N), &value(N, 1)) == Insert::Done;
            outcomes.borrow_mut().0 += u32::from(done);
        },
        |table| {
            let done = insert::<EndpointEntry, _>(&table, &key(N), &value(N, 2)) == Insert::Done;
            outcomes.borrow_mut().1 += u32::from(done);
        },
        |table, at| {
            let held = table.live::<EndpointEntry>();
            assert!(held.len() <= 1, "moment {at}: {held:?}");
            assert!(held.iter().all(|(_, value)| is_whole(N, value)), "moment {at}: {held:?}");
        },
    );
    let (first, second) = outcomes.into_inner();
    assert!(moments > 15 && first > 0 && second > 0, "{moments} moments, {first} and {second} times done");
    assert!(first + second <= moments + 1, "{moments} moments, {first} and {second} times done: both succeeded once");
}

#[test]
fn a_look_up_sees_the_old_or_the_new_value_and_never_half_of_each() {
    for removed in [false, true] {
        let moments = at_every_moment(
            |table| assert_eq!(insert::<EndpointEntry, _>(&table, &key(N), &value(N, 1)), Insert::Done),
            |memory| {
                let mut seen = Endpoint::<V4>::default();
                if look_up::<EndpointEntry, _>(&memory, &key(N), &mut seen) {
                    assert!(is_whole(N, &seen), "{seen:?}");
                } else {
                    assert!(removed, "a replaced entry is always there");
                }
            },
            |table| {
                if removed {
                    // Another key in its place: both buckets are full of other keys then.
                    assert!(remove::<EndpointEntry, _>(&table, &key(N)));
                    (M..M + 40).for_each(|n| {
                        let _ = insert::<EndpointEntry, _>(&table, &key(n), &value(n, 3));
                    });
                } else {
                    assert!(replace::<EndpointEntry, _>(&table, &key(N), &value(N, 2)));
                }
            },
            |_, _| {},
        );
        assert!(moments > 5, "{moments}");
    }
}

#[test]
fn nobody_removes_or_replaces_what_has_taken_the_place() {
    let take_the_place = |table: &Plain| {
        let _ = remove::<EndpointEntry, _>(&table, &key(N));
        (M..M + 40).for_each(|n| {
            let _ = insert::<EndpointEntry, _>(&table, &key(n), &value(n, 3));
        });
    };
    let before = |table: &Plain| assert_eq!(insert::<EndpointEntry, _>(&table, &key(N), &value(N, 1)), Insert::Done);
    let others_are_whole = |table: &Plain, at: u32| {
        for n in M..M + 40 {
            assert!(found(table, n).is_none_or(|value| is_whole(n, &value)), "moment {at}: {n}");
        }
        // Sixteen places; the key itself may have kept one, when it was being written.
        assert!(table.live::<EndpointEntry>().iter().filter(|(held, _)| *held != key(N)).count() >= 15, "moment {at}");
    };
    let removing = |memory: &Interrupted<'_>| {
        let _ = remove::<EndpointEntry, _>(&memory, &key(N));
    };
    let replacing = |memory: &Interrupted<'_>| {
        let _ = replace::<EndpointEntry, _>(&memory, &key(N), &value(N, 2));
    };
    assert!(at_every_moment(before, removing, take_the_place, others_are_whole) > 2);
    assert!(at_every_moment(before, replacing, take_the_place, others_are_whole) > 6);
}
