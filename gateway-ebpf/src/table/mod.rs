//! A table of keys that come and go while every CPU looks into it: set-associative, in one array, shared by the programs and the daemon.
//!
//! ```text
//!  key ── digest ─┬─▶ first bucket  ▏slot 0 … 7▕   a slot: guard | key and value      a flow's is one cache line (IPv6: two)
//!                 ├─▶ second bucket ▏slot 0 … 7▕
//!                 └─▶ tags          ▏8 bytes▕▏8 bytes▕ … behind the last bucket: what stands in which slot
//! ```
//!
//! A key stands in one of 16 slots, eight in either of two buckets: the first free one from a slot of the key's own on. The fast path looks
//! there, and asks the tags only if the key is elsewhere. All others ask the tags. The array never moves, so the daemon maps it into its
//! memory and walks it without a system call.
//!
//! # Who may do what at the same time
//!
//! Everybody everything: look-ups take no lock, and nobody waits for anybody. The guard is the one word that is written by
//! compare-and-exchange. It holds the slot's phase and a version that changes whenever the slot's meaning does:
//!
//! ```text
//!  FREE ─▶ CLAIMED ─▶ TENTATIVE ─▶ LIVE ⇄ BUSY
//!   ▲                     │                │
//!   └─────────────────────┴────────────────┘
//! ```
//!
//! - A reader takes the guard, compares the key, copies, and takes the guard again: unless both are the same and LIVE, it has seen
//!   nothing. Both reads are of the slot's own cache line.
//! - A writer of a known key makes it BUSY, writes, and makes it LIVE under the next version.
//! - Two CPUs that insert one key at the same time must not both succeed, though they may choose different slots. Each shows its own as
//!   TENTATIVE, *then* looks for the other; the exchange between is a full barrier, so at least one of the two sees the other and
//!   withdraws. Both may: the packet is dropped then, and comes again.
//! - Whoever removes makes BUSY the very guard that it has seen, so nobody removes what has taken the place meanwhile.
//! - A slot's tag is written after CLAIMED and cleared before FREE, by the one who may: what is LIVE has its tag.
//!
//! Counters are written without the guard: in the moment between a removal and the next insertion a packet of the old flow may count in
//! the new one. Loads are in program order, which x86 keeps by itself; for a machine that does not, [`Slot::guard`] has to be a load with
//! acquire semantics (`BPF_LOAD_ACQ`, Linux 6.15).
//!
//! # What was tried
//!
//! `cargo xtask bench --micro` holds this table against the kernel's hash maps: one look-up at a time, each far from the one before, all
//! of what is found read and checked (a flow's counters too, when these figures were taken; the fast path has no use for them). Nanoseconds
//! over a program that does all but the look-up, and the memory that the kernel counts by entry; values of 64 bytes; Linux 6.18 on a busy
//! virtual machine, medians of nine rounds, the mean of two runs:
//!
//! | | there: 1 k | 100 k | 1 M | not there: 1 k | 100 k | 1 M | bytes |
//! |---|---|---|---|---|---|---|---|
//! | kernel hash, preallocated, keys of 12 bytes | 19 | 182 | 535 | 14 | 202 | 396 | 145 |
//! | keys of 16 bytes, as of IPv4 | 21 | 249 | 523 | 18 | 210 | 393 | 145 |
//! | keys of 40 bytes, as of IPv6 | 31 | 258 | 597 | 25 | 218 | 438 | 169 |
//! | not preallocated, 16 bytes | 24 | 314 | 520 | 18 | 210 | 400 | 153 |
//! | LRU, 16 bytes | 19 | 254 | 544 | 16 | 206 | 408 | 145 |
//! | this table, IPv4 (established, or peek) | 15 | 159 | 309 | 10 | 29 | 67 | 97 |
//! | this table, IPv6 | 19 | 220 | 370 | 12 | 30 | 79 | 193 |
//!
//! At 1 M the two runs agree to a tenth (this table's keys that are not there: a fifth), at 100 k some lie two fifths apart: there only
//! the ratios within a run say something, which the command shows.
//!
//! - Misses are what counts: the hash has them in the bucket, in the header and in the value, and in whatever else hangs in the bucket;
//!   here one line is most often all. IPv4 flows are found 1.5 to 1.8 times as fast as in the hash from 100 k on. IPv6 flows, two lines
//!   each, are found 1.6 times as fast as in the hash of their own keys at 1 M, and 1.0 to 1.3 times at 100 k. Cached, all differ by few
//!   nanoseconds.
//! - That a key is not there the tags tell five to eight times as fast as the hash from 100 k on.
//! - A key of 40 bytes costs 7 to 10 ns more than one of 16 where all is cached, and some 70 at 1 M, as the entry is longer. One of 12
//!   bytes takes the same memory as one of 16 and is no faster at 1 M; why it was found a quarter faster at 100 k is not known. A flow
//!   needs 16.
//! - Without preallocation nothing is won: a fifth to a third slower at 100 k, the same at 1 M, and eight bytes more. Here it took a
//!   million insertions one after the other; in a prototype it failed with `ENOMEM` in bursts.
//! - The LRU hash is as fast as the hash, given room to spare. Filled to its size it evicted live flows, in that prototype: it cannot be used.
//! - An IPv6 entry takes more than the hash's: slots are a power of two, so that none crosses a line that it need not.
//!
//! The whole gateway, source NAT and filter by XDP, went from 81 to 67 ns at 1 k flows and from 267 to 222 at 100 k.
//!
//! Without tags a key that is not there was looked for in sixteen lines of memory, a dozen times for each new flow: by
//! `cargo xtask bench --micro`, medians of nine rounds without and with them, a new IPv4 flow took 3.43 and 2.83 µs, an IPv6 one 3.17 and
//! 2.08, a refused packet 0.63 and 0.44. They cost two bytes per flow and mapping.
//!
//! Buckets of four refuse one new key of a thousand when the table is two thirds full; of eight, one of ten million (by simulation of forty
//! tables).

mod digest;
mod entry;
mod flow;
mod nat;
mod operate;
mod tags;
#[cfg(test)]
mod tests;
#[cfg(target_has_atomic = "32")]
mod words;

pub use digest::Seed;
pub use entry::{Entry, Guard, Memory, Slot};
pub use flow::FlowEntry;
pub use nat::{EndpointEntry, MappingEntry};
pub use operate::{Found, buckets_of, established, insert, look_up, modify, occupied, peek, remove, replace};
pub use tags::elements;
#[cfg(target_has_atomic = "32")]
pub use words::Words;

/// How an insertion ended. Nothing that exists is ever overwritten or evicted (RFC 6888 REQ-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// Done.
    Done,
    /// The key is there already.
    Exists,
    /// No room.
    Full,
}

/// Slots in a bucket.
pub const SLOTS: u32 = 8;

/// How many buckets a table has that is to hold `entries`: two thirds full, then.
/// Filled once it refuses one key of ten million; where as many end as begin for a long time, one of three thousand. It holds half as many
/// again before it is full.
#[must_use]
pub const fn capacity(entries: u32) -> u32 {
    let slots = (entries as u64 * 100).div_ceil(67);
    // Two, so that a key has two buckets. The largest table has 2^31 slots.
    let buckets = slots.div_ceil(SLOTS as u64);
    if buckets < 2 { 2 } else { buckets as u32 }
}
