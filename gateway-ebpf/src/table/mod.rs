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
//! The kernel's preallocated hash was here before: 144 bytes of table per IPv4 entry of 80 (48 of header, 16 of bucket), 288 per flow,
//! against 194 here at [`capacity`]; and on its way to an entry it misses the cache in the bucket, in the header and in the value,
//! while here one line is most often all. Prototypes of a bare NAT in XDP, 64-byte packets, added to a generator on a veth:
//!
//! | | 1 k flows | 100 k | 1 M |
//! |---|---|---|---|
//! | kernel hash, preallocated | 72 ns | 287 | 315 |
//! | LRU hash: evicts live flows when it fills, so it cannot be used | 85 | 287 | 443 |
//! | tags in a line of their own, entries apart | 66 | 180 | 309 |
//! | four slots per bucket, key and value together in 64 bytes | 62 | 148 | 184-221 |
//!
//! The whole gateway, source NAT and filter by XDP, went from 81 to 67 ns at 1 k flows and from 267 to 222 at 100 k.
//!
//! Without tags a key that is not there was looked for in sixteen lines of memory, a dozen times for each new flow: by
//! `cargo xtask bench --micro` a new IPv4 flow took 2.69 µs and takes 1.98, an IPv6 one 3.15 and 2.03, a refused packet 0.63 and 0.43. They
//! cost two bytes per flow and mapping.
//!
//! Buckets of four refuse one new key of a thousand when the table is two thirds full; of eight, one of ten million (by simulation of forty
//! tables). A hash without preallocation fails with `ENOMEM` in bursts and is no smaller.

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
pub use operate::{Found, buckets_of, established, insert, look_up, modify, peek, remove, replace};
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
