//! The memory of a table of flows or mappings, shared with the programs: [`gateway_ebpf::table`] over a mapped array.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use aya::Ebpf;
use aya::maps::Map;
use gateway_ebpf::table::{self, Entry, Insert, Memory, SLOTS, Seed, Slot, Words};

use super::error::DatapathError;

/// A table, mapped into this process: reading and writing it takes no system call.
pub struct Shared<E> {
    words: Mapping,
    buckets: u32,
    seed: Seed,
    /// Held so that the table is found among the daemon's descriptors, by whoever asks what it takes.
    _map: Map,
    entry: std::marker::PhantomData<E>,
}

/// Memory of the kernel's, of whole words.
struct Mapping {
    start: NonNull<AtomicU32>,
    words: usize,
}

// SAFETY: plain memory that every thread may read and write by atomic operations, and nothing else is done with it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn of(map: &aya::maps::MapData, words: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address of the kernel's choice, of an array that was made to be mapped; the descriptor is open.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                words * size_of::<u32>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, words })
    }

    fn words(&self) -> &[AtomicU32] {
        // SAFETY: mapped for as long as `self` lives; page-aligned; atomics are valid for every bit pattern and shared by nature.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the very mapping that was made; no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<u32>()) };
    }
}

/// A table as its operations see it.
struct View<'a, E> {
    shared: &'a Shared<E>,
}

impl<'a, E: Entry> Memory for View<'a, E> {
    type Slot = Words<'a>;

    fn buckets(&self) -> u32 {
        self.shared.buckets
    }

    fn seed(&self) -> Seed {
        self.shared.seed
    }

    fn bucket(&self, index: u32) -> Option<Words<'a>> {
        self.shared.words.words().get(index as usize * SLOTS as usize * E::WORDS..).map(Words)
    }
}

impl<E: Entry> Shared<E> {
    /// Maps the table of that name. `buckets` and `seed` are what the programs were told.
    ///
    /// # Errors
    /// The object lacks the map, or the kernel does not map it.
    pub fn take(ebpf: &mut Ebpf, name: &'static str, buckets: u32, seed: Seed) -> Result<Self, DatapathError> {
        let map = ebpf.take_map(name).ok_or(DatapathError::Object { what: name })?;
        let Map::Array(data) = &map else { return Err(DatapathError::Object { what: name }) };
        let words = table::elements::<E>(buckets) as usize * SLOTS as usize * E::WORDS;
        let words = Mapping::of(data, words).map_err(|source| DatapathError::Walk { source })?;
        Ok(Self { words, buckets, seed, _map: map, entry: std::marker::PhantomData })
    }

    fn view(&self) -> View<'_, E> {
        View { shared: self }
    }

    /// Calls `visit` for every entry. Entries that change meanwhile may be missed or seen twice, but are never seen half.
    pub fn for_each(&self, mut visit: impl FnMut(E::Key, E::Value)) {
        let view = self.view();
        for slot in (0..self.buckets).flat_map(|bucket| table::occupied::<E, _>(&view, bucket)) {
            while slot.guard().is_live() {
                let guard = slot.guard();
                let (key, value) = (E::key(slot), E::value(slot, guard.payload()));
                if slot.guard() == guard && guard.is_live() {
                    visit(key, value);
                    break;
                }
            }
        }
    }

    /// The entry of that key.
    #[must_use]
    pub fn get(&self, key: E::Key) -> Option<E::Value>
    where
        E::Value: Default,
    {
        let mut value = E::Value::default();
        table::look_up::<E, _>(&self.view(), &key, &mut value).then_some(value)
    }

    /// Adds an entry, or replaces it. False: there is no room.
    pub fn set(&mut self, key: E::Key, value: E::Value) -> bool {
        match table::insert::<E, _>(&self.view(), &key, &value) {
            Insert::Done => true,
            Insert::Exists => table::replace::<E, _>(&self.view(), &key, &value),
            Insert::Full => false,
        }
    }

    /// Removes an entry; absent ones are no error.
    pub fn remove(&mut self, key: E::Key) {
        table::remove::<E, _>(&self.view(), &key);
    }
}
