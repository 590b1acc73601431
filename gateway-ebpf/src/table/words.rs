//! A table's memory where the language has atomics: the daemon's mapping, and the tests' own. BPF has its slots in `hooks/places.rs`.

use core::sync::atomic::{AtomicU32, Ordering};

use super::entry::{Guard, Slot};

/// A slot, and all that follows it.
#[derive(Clone, Copy)]
pub struct Words<'a>(pub &'a [AtomicU32]);

impl Slot for Words<'_> {
    fn load(self, word: usize) -> u32 {
        self.0[word].load(Ordering::Acquire)
    }

    fn store(self, word: usize, value: u32) {
        self.0[word].store(value, Ordering::Release);
    }

    fn set(self, word: usize, bits: u32) {
        self.0[word].fetch_or(bits, Ordering::SeqCst);
    }

    fn clear(self, word: usize, bits: u32) {
        self.0[word].fetch_and(!bits, Ordering::SeqCst);
    }

    fn exchange(self, old: Guard, new: Guard) -> bool {
        self.0[0].compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn nth(self, slot: u32, words: usize) -> Self {
        Self(&self.0[slot as usize * words..])
    }
}
