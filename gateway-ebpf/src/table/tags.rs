//! What stands in a bucket, at a glance: one byte for each of its slots.
//!
//! A slot's tag is some bits of its key's digest, zero when the slot is free. The tags of a bucket are two words in a row behind the last
//! bucket of the array. A key that is not there is told by two such rows, and not by the sixteen cache lines in which it might have stood:
//! that is what a new flow asks most often. Established flows seldom ask: most stand in the lines that the fast path looks at first.
//!
//! A tag is written and cleared by whoever holds the slot alone: it is there before anybody can see the entry, and gone before the slot is
//! anybody's again. So an entry that can be seen has its tag, while a tag alone says nothing.

use core::hint::black_box;

use super::SLOTS;
use super::entry::{Entry, Memory, Slot};

/// A byte of one in each slot's place.
const EACH: u64 = 0x0101_0101_0101_0101;
/// The highest bit in each slot's place: set in every tag.
const HIGH: u64 = 0x80 * EACH;

/// One bucket's tags.
#[derive(Clone, Copy, Debug)]
pub struct Tags(u64);

impl Tags {
    /// How many slots are taken.
    #[inline(always)]
    pub fn taken(self) -> u32 {
        // The sum of all bytes arrives in the highest.
        (((self.0 & HIGH) >> 7).wrapping_mul(EACH) >> 56) as u32
    }

    /// The slots that are taken.
    #[inline(always)]
    pub fn marked(self) -> Marked {
        Marked(self.0 & HIGH)
    }

    /// The first free slot, counted from `start` on and around.
    #[inline(always)]
    pub fn free(self, start: u32) -> Option<u32> {
        let turned = !self.0.rotate_right(8 * (start % SLOTS)) & HIGH;
        if turned == 0 { None } else { Some((Marked(turned).lowest() + start) % SLOTS) }
    }

    /// The slots that may hold a key of this tag. What follows the first true one may be marked in error: the key itself decides.
    #[inline(always)]
    pub fn matching(self, tag: u32) -> Marked {
        // A byte of zero where the tag is that one (Hacker's Delight, section 6-1).
        let differs = self.0 ^ (tag as u64).wrapping_mul(EACH);
        Marked(differs.wrapping_sub(EACH) & !differs & HIGH)
    }
}

/// Some slots of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Marked(u64);

impl Marked {
    /// There is none.
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first one.
    #[inline(always)]
    pub fn lowest(self) -> u32 {
        // A single bit at 8n + 7. Multiplied, it shifts the byte n to the top: the target has no instruction that counts zeros.
        let bit = self.0 & self.0.wrapping_neg();
        ((bit >> 7).wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32 % SLOTS
    }

    /// All but the first one.
    #[inline(always)]
    pub fn others(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }
}

/// Where one bucket's tags stand.
#[derive(Clone, Copy, Debug)]
pub struct Row<S> {
    words: S,
    at: usize,
}

/// Rows in an element of the array, which is as long as a bucket.
const fn rows<E: Entry>() -> u32 {
    SLOTS * E::WORDS as u32 / 2
}

/// Elements of the array of a table of so many buckets: the buckets, and their tags.
#[must_use]
pub const fn elements<E: Entry>(buckets: u32) -> u32 {
    buckets + buckets.div_ceil(rows::<E>())
}

impl<S: Slot> Row<S> {
    /// The row of a bucket.
    #[inline(always)]
    pub fn of<E: Entry, M: Memory<Slot = S>>(memory: &M, bucket: u32) -> Option<Self> {
        let words = memory.bucket(memory.buckets() + bucket / rows::<E>())?;
        Some(Self { words, at: (bucket % rows::<E>()) as usize * 2 })
    }

    /// Reads it. Each slot's tag is whole.
    #[inline(always)]
    pub fn tags(self) -> Tags {
        Tags(self.words.load(self.at) as u64 | (self.words.load(self.at + 1) as u64) << 32)
    }

    /// Gives a slot its tag.
    #[inline(always)]
    pub fn mark<E: Entry>(self, slot: u32, tag: u32) {
        self.words.set(self.word::<E>(slot), tag << (8 * (slot % 4)));
    }

    /// Takes a slot's tag away.
    #[inline(always)]
    pub fn clear<E: Entry>(self, slot: u32) {
        self.words.clear(self.word::<E>(slot), 0xff << (8 * (slot % 4)));
    }

    /// The word in which a slot's tag stands. LLVM writes the sum as an "or", of which the verifier of Linux 6.1 knows no bounds; the
    /// remainder tells it, and the box keeps LLVM from seeing that it changes nothing.
    #[inline(always)]
    fn word<E: Entry>(self, slot: u32) -> usize {
        black_box(self.at + (slot / 4) as usize) % (rows::<E>() as usize * 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tags_tell_what_their_bytes_do(bytes: [u8; 8], tag in 0x80..0x100u32, start in 0..SLOTS) {
            let bytes = bytes.map(|byte| if byte & 0x80 == 0 { 0 } else { byte });
            let tags = Tags(u64::from_le_bytes(bytes));
            prop_assert_eq!(tags.taken() as usize, bytes.iter().filter(|byte| **byte != 0).count());
            let free = (0..SLOTS).map(|n| (start + n) % SLOTS).find(|slot| bytes[*slot as usize] == 0);
            prop_assert_eq!(tags.free(start), free);
            let (mut marked, mut slots) = (tags.matching(tag), Vec::new());
            while !marked.is_empty() {
                slots.push(marked.lowest());
                marked = marked.others();
            }
            let holders = (0..SLOTS).filter(|slot| u32::from(bytes[*slot as usize]) == tag);
            prop_assert!(holders.clone().all(|slot| slots.contains(&slot)), "{slots:?}");
            prop_assert_eq!(slots.is_empty(), holders.count() == 0);
        }
    }
}
