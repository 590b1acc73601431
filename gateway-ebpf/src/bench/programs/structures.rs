//! One look-up in each structure that flows could be kept in, under `BPF_PROG_TEST_RUN` with repetitions.
//!
//! Each run makes a key, looks it up and checks what it has found, all of the value. [`bench_look_nothing_16`] and its like do all but the
//! look-up: what has to be subtracted.
//!
//! Two look-ups must not overlap: the processor would begin the next one, and its cache misses, while it waits for this one's, and between
//! two packets there is too much else for that. So each key depends on the clock, which is read when every load before it has ended
//! (arch/x86/include/asm/msr.h, `rdtsc_ordered`). A locked instruction is not enough: it slowed down only those structures whose keys
//! are read back from the stack in other pieces than they were written in, and made ours look twice as good as it is.

use core::hint::black_box;

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, LruHashMap};
use aya_ebpf::programs::XdpContext;
use gateway_ebpf::abi::{FlowKey, V4, V6};
use gateway_ebpf::bench::structures::{Key, Look, Value, is_flow_of, is_value_of, value_of};
use gateway_ebpf::table::{self, Entry, FlowEntry, Guard, Memory, SLOTS, Seed, Slot};

#[map]
static LOOK: Array<Look> = Array::with_max_entries(1, 0);

// Keys are words, as the kernel's hash function reads them. Sizes here are the smallest that load; whoever compares sets the real ones.
#[map]
static HASH_12: HashMap<[u32; 3], Value> = HashMap::with_max_entries(1, 0);
#[map]
static HASH_16: HashMap<[u32; 4], Value> = HashMap::with_max_entries(1, 0);
#[map]
static HASH_40: HashMap<[u32; 10], Value> = HashMap::with_max_entries(1, 0);
#[map]
static HASH_DEMAND: HashMap<[u32; 4], Value> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
static HASH_LRU: LruHashMap<[u32; 4], Value> = LruHashMap::with_max_entries(1, 0);

type Bucket<const WORDS: usize> = [[u32; WORDS]; SLOTS as usize];
#[map]
static TABLE_V4: Array<Bucket<{ FlowEntry::<V4>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
static TABLE_V6: Array<Bucket<{ FlowEntry::<V6>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);

macro_rules! globals {
    ($($name:ident: $kind:ty = $value:literal;)*) => {
        $(// SAFETY: the object is linked alone; the loader finds the value by this name.
        #[unsafe(no_mangle)]
        static $name: Global<$kind> = Global::new($value);)*
    };
}

globals! {
    LOOK_BUCKETS: u32 = 2;
    LOOK_SEED_EVEN: u64 = 0;
    LOOK_SEED_ODD: u64 = 0;
}

/// A slot of our table, to be read only: the daemon's own code has filled it.
#[derive(Clone, Copy)]
struct Words(*const u32);

impl Slot for Words {
    #[inline(always)]
    fn load(self, word: usize) -> u32 {
        // SAFETY: within the array element, as the verifier checks. Volatile, as in the gateway.
        unsafe { self.0.add(word).read_volatile() }
    }

    #[inline(always)]
    fn store(self, _: usize, _: u32) {}

    #[inline(always)]
    fn set(self, _: usize, _: u32) {}

    #[inline(always)]
    fn clear(self, _: usize, _: u32) {}

    #[inline(always)]
    fn exchange(self, _: Guard, _: Guard) -> bool {
        false
    }

    #[inline(always)]
    fn nth(self, slot: u32, words: usize) -> Self {
        // SAFETY: as above.
        Self(unsafe { self.0.add(slot as usize * words) })
    }
}

macro_rules! shelf {
    ($name:ident, $map:ident) => {
        struct $name;

        impl Memory for $name {
            type Slot = Words;

            #[inline(always)]
            fn buckets(&self) -> u32 {
                LOOK_BUCKETS.load()
            }

            #[inline(always)]
            fn seed(&self) -> Seed {
                Seed([LOOK_SEED_EVEN.load(), LOOK_SEED_ODD.load()])
            }

            #[inline(always)]
            fn bucket(&self, index: u32) -> Option<Words> {
                $map.get_ptr(index).map(|bucket| Words(bucket.cast()))
            }
        }
    };
}

shelf!(TableV4, TABLE_V4);
shelf!(TableV6, TABLE_V6);

/// What one run asks.
struct Question<K> {
    key: K,
    number: u32,
    present: bool,
}

/// The next run has the next key.
#[inline(always)]
fn go_on(look: &mut Look) {
    let after = look.next.wrapping_add(look.stride);
    look.next = if after >= look.keys { after.wrapping_sub(look.keys) } else { after };
}

/// One run: `ask` says whether the answer was right.
#[inline(always)]
fn run<K: Key>(ask: impl FnOnce(&Question<K>) -> bool) -> u32 {
    let Some(look) = LOOK.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: the element lives as long as the program; one run at a time.
    let look = unsafe { &mut *look };
    // SAFETY: a helper without arguments. Its highest bit is zero for 292 years after the start, which nobody tells the processor.
    let nothing = (unsafe { bpf_ktime_get_ns() } >> 63) as u32;
    let number = look.first.wrapping_add(look.next).wrapping_add(nothing);
    go_on(look);
    if !ask(&Question { key: K::of(number), number, present: look.present != 0 }) {
        look.wrong += 1;
        return XDP_ABORTED;
    }
    look.right += 1;
    XDP_PASS
}

/// One insertion. A key that is refused is the next run's again.
#[inline(always)]
fn fill<K: Key>(insert: impl FnOnce(&K, &Value) -> Result<(), i32>) -> u32 {
    let Some(look) = LOOK.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: as in `run`.
    let look = unsafe { &mut *look };
    let number = look.first.wrapping_add(look.next);
    let stored = if number == look.spoilt { number.wrapping_add(1) } else { number };
    if let Err(refusal) = insert(&K::of(number), &value_of(stored)) {
        look.refusal = refusal;
        look.wrong += 1;
        return XDP_ABORTED;
    }
    look.right += 1;
    go_on(look);
    XDP_PASS
}

/// All but the look-up.
#[inline(always)]
fn nothing<K: Key>() -> u32 {
    run::<K>(|question| {
        black_box(&question.key);
        true
    })
}

/// What was found in a map of the kernel's.
#[inline(always)]
fn is_right<K>(question: &Question<K>, found: Option<*const Value>) -> bool {
    match found {
        // SAFETY: an element that the kernel has found; nobody writes it meanwhile.
        Some(value) => question.present && is_value_of(question.number, unsafe { &*value }),
        None => !question.present,
    }
}

macro_rules! kernel_s {
    ($($map:ident, $key:ty: $look:ident, $fill:ident;)*) => {
        $(/// Looks up.
        #[xdp]
        pub fn $look(_ctx: XdpContext) -> u32 {
            run::<$key>(|question| is_right(question, $map.get_ptr(&question.key)))
        }

        /// Inserts.
        #[xdp]
        pub fn $fill(_ctx: XdpContext) -> u32 {
            fill::<$key>(|key, value| $map.insert(key, value, BPF_NOEXIST as u64))
        })*
    };
}

kernel_s! {
    HASH_12, [u32; 3]: bench_look_hash_12, bench_fill_hash_12;
    HASH_16, [u32; 4]: bench_look_hash_16, bench_fill_hash_16;
    HASH_40, [u32; 10]: bench_look_hash_40, bench_fill_hash_40;
    HASH_DEMAND, [u32; 4]: bench_look_hash_demand, bench_fill_hash_demand;
    HASH_LRU, [u32; 4]: bench_look_hash_lru, bench_fill_hash_lru;
}

macro_rules! ours {
    ($($table:ident, $family:ty: $established:ident, $peek:ident;)*) => {
        $(/// As the fast path looks up.
        #[xdp]
        pub fn $established(_ctx: XdpContext) -> u32 {
            run::<FlowKey<$family>>(|question| match table::established::<FlowEntry<$family>, _>(&$table, &question.key) {
                Some((flow, _)) => question.present && is_flow_of(question.number, &flow),
                None => !question.present,
            })
        }

        /// As the slow path asks whether a key is taken.
        #[xdp]
        pub fn $peek(_ctx: XdpContext) -> u32 {
            run::<FlowKey<$family>>(|question| {
                table::peek::<FlowEntry<$family>, _>(&$table, &question.key).is_some() == question.present
            })
        })*
    };
}

ours! {
    TableV4, V4: bench_look_table_v4, bench_peek_table_v4;
    TableV6, V6: bench_look_table_v6, bench_peek_table_v6;
}

macro_rules! nothings {
    ($($key:ty: $nothing:ident;)*) => {
        $(/// All but the look-up.
        #[xdp]
        pub fn $nothing(_ctx: XdpContext) -> u32 {
            nothing::<$key>()
        })*
    };
}

nothings! {
    [u32; 3]: bench_look_nothing_12;
    FlowKey<V4>: bench_look_nothing_16;
    FlowKey<V6>: bench_look_nothing_40;
}
