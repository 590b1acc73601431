//! The table under threads that all want the same few keys.

use std::sync::Barrier;
use std::thread;

use super::{Plain, found, is_whole, key, value};
use crate::table::*;

const THREADS: u32 = 4;
const KEYS: u32 = 24;
const ROUNDS: u32 = 60_000;

#[test]
fn values_are_whole_and_keys_stand_once_whatever_others_do() {
    // Two buckets: all keys meet.
    let table = Plain::of::<EndpointEntry>(2, 11);
    let start = Barrier::new(THREADS as usize);
    let done: u32 = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (table, start) = (&table, &start);
                scope.spawn(move || {
                    start.wait();
                    let (mut random, mut done) = (thread + 1, 0);
                    for round in 0..ROUNDS {
                        // xorshift32 (Marsaglia 2003): a different walk for each thread, the same in every run.
                        random ^= random << 13;
                        random ^= random >> 17;
                        random ^= random << 5;
                        let n = random % KEYS;
                        match random >> 29 {
                            0..3 => done += u32::from(insert::<EndpointEntry, _>(&table, &key(n), &value(n, round as u16)) == Insert::Done),
                            3..5 => {
                                let _ = remove::<EndpointEntry, _>(&table, &key(n));
                            }
                            5 => {
                                let _ = replace::<EndpointEntry, _>(&table, &key(n), &value(n, round as u16));
                            }
                            _ => {}
                        }
                        if let Some(seen) = found(table, n) {
                            assert!(is_whole(n, &seen), "key {n}: {seen:?}");
                        }
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no thread fails")).sum()
    });
    assert!(done > ROUNDS / 10, "{done} insertions succeeded: the threads stood in each other's way");
    assert!(table.is_at_rest());
    let mut held: Vec<_> = table.live::<EndpointEntry>().into_iter().map(|(key, _)| key.port.wire()).collect();
    let all = held.len();
    held.sort_unstable();
    held.dedup();
    assert_eq!(held.len(), all, "a key stands twice");
}
