//! The seams: what a slot is to whoever holds the memory, and what an entry is made of.

use super::digest::{Digest, Seed};

/// The word that says what its slot is: 16 bits of the entry's own, 3 of phase, 13 of version.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard(pub u32);

impl Guard {
    pub(super) const FREE: u32 = 0;
    pub(super) const CLAIMED: u32 = 1;
    pub(super) const TENTATIVE: u32 = 2;
    pub(super) const LIVE: u32 = 3;
    pub(super) const BUSY: u32 = 4;

    const PHASE: u32 = 16;
    const VERSION: u32 = 19;

    /// The entry's own 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn payload(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    pub(super) const fn phase(self) -> u32 {
        (self.0 >> Self::PHASE) & 7
    }

    /// Whether the slot's key can be read and keeps others out.
    #[inline(always)]
    pub(super) const fn is_taken(self) -> bool {
        self.phase() >= Self::TENTATIVE
    }

    /// Whether there is an entry to be read.
    #[inline(always)]
    #[must_use]
    pub const fn is_live(self) -> bool {
        self.phase() == Self::LIVE
    }

    /// Another phase under the same version.
    #[inline(always)]
    pub(super) const fn to(self, phase: u32) -> Self {
        Self((self.0 & !(7 << Self::PHASE)) | (phase << Self::PHASE))
    }

    /// Another phase under the next version, with this payload. The version wraps.
    #[inline(always)]
    pub(super) const fn next(self, phase: u32, payload: u16) -> Self {
        let version = (self.0 >> Self::VERSION).wrapping_add(1);
        Self((version << Self::VERSION) | (phase << Self::PHASE) | payload as u32)
    }
}

/// A slot's words, which others read and write at the same time. Word 0 is the guard.
pub trait Slot: Copy {
    /// Reads a word; never torn, and in the order of the calls.
    fn load(self, word: usize) -> u32;
    /// Writes a word; never torn, and in the order of the calls.
    fn store(self, word: usize, value: u32);
    /// Sets bits of a word, in one step.
    fn set(self, word: usize, bits: u32);
    /// Clears bits of a word, in one step.
    fn clear(self, word: usize, bits: u32);
    /// Replaces the guard if it is still `old`: a full barrier.
    fn exchange(self, old: Guard, new: Guard) -> bool;
    /// The slot so many slots further on; `words` is [`Entry::WORDS`].
    fn nth(self, slot: u32, words: usize) -> Self;

    /// Reads the guard.
    #[inline(always)]
    fn guard(self) -> Guard {
        Guard(self.load(0))
    }
}

/// A table's memory.
pub trait Memory {
    /// Its slots.
    type Slot: Slot;
    /// How many buckets there are: [`super::capacity`].
    fn buckets(&self) -> u32;
    /// What the digest is keyed with.
    fn seed(&self) -> Seed;
    /// The first slot of a bucket; behind the last one follow the tags: [`super::elements`].
    fn bucket(&self, index: u32) -> Option<Self::Slot>;
}

/// How a kind of entry lies in its slot.
pub trait Entry {
    /// What it is found by.
    type Key: Copy;
    /// What is kept.
    type Value: Copy;
    /// Words of a slot, the guard's included.
    const WORDS: usize;

    /// The key's digest.
    fn digest(key: &Self::Key, digest: Digest) -> Digest;
    /// Whether the slot holds that key.
    fn holds<S: Slot>(slot: S, key: &Self::Key) -> bool;
    /// The slot's key.
    fn key<S: Slot>(slot: S) -> Self::Key;
    /// The slot's value; `payload` is the guard's.
    fn value<S: Slot>(slot: S, payload: u16) -> Self::Value;
    /// What of the value the fast path uses; the rest is left at its default.
    fn answer<S: Slot>(slot: S, payload: u16) -> Self::Value {
        Self::value(slot, payload)
    }
    /// Writes the key.
    fn store_key<S: Slot>(slot: S, key: &Self::Key);
    /// Writes the value, but for what goes into the guard.
    fn store_value<S: Slot>(slot: S, value: &Self::Value);
    /// What goes into the guard.
    fn payload(value: &Self::Value) -> u16;
}
