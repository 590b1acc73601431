//! Where a key may stand.

use super::SLOTS;

/// What makes the places unpredictable: who could choose keys of the same buckets could have others refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

/// NH (UMAC, RFC 4418 section 5.2.1): the sum of products of keyed words. Two keys have the same sum with a probability of 2^-32, whoever
/// chose them; the multiplication and the shifts spread what differs over all bits.
#[derive(Clone, Copy)]
pub struct Digest {
    seed: Seed,
    sum: u64,
}

/// The golden ratio in 64 bits (Knuth, The Art of Computer Programming, section 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Digest {
    #[inline(always)]
    pub const fn new(seed: Seed) -> Self {
        Self { seed, sum: 0 }
    }

    /// Adds two words. `round` counts the calls from 0: each has its own pair of keys.
    #[inline(always)]
    pub const fn pair(self, round: u32, a: u32, b: u32) -> Self {
        let [even, odd] = self.seed.0;
        let chosen = if round & 1 == 0 { even } else { odd };
        // Beyond the first two pairs the seed is stretched; known at compile time for every round.
        let key = if round < 2 { chosen } else { (chosen ^ round as u64).wrapping_mul(SPREAD).rotate_left(31) };
        let product = (a.wrapping_add(key as u32) as u64).wrapping_mul(b.wrapping_add((key >> 32) as u32) as u64);
        // A word that meets its own key in the negative makes the product zero, whatever the other word is: the words themselves are added
        // too, so that such keys still differ. NH's bound holds for any constant difference.
        let words = (a as u64) << 32 | b as u64;
        Self { seed: self.seed, sum: self.sum.wrapping_add(product).wrapping_add(words) }
    }

    #[inline(always)]
    pub const fn places(self, buckets: u32) -> Places {
        let mixed = (self.sum ^ (self.sum >> 32)).wrapping_mul(SPREAD);
        let mixed = mixed ^ (mixed >> 29);
        Places {
            // Multiplication and shift in place of a division: the high bits choose, so the low ones are free for the first slot.
            first: (((mixed as u32) as u64 * buckets as u64) >> 32) as u32,
            second: (((mixed >> 32) * buckets as u64) >> 32) as u32,
            start: mixed as u32 % SLOTS,
            tag: (mixed >> 32) as u32 & 0x7f | 0x80,
        }
    }
}

/// A key's buckets, the slot that is tried first in either, and what it is tagged with there ([`super::tags`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub first: u32,
    pub second: u32,
    pub start: u32,
    pub tag: u32,
}
