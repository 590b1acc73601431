//! Every map of the object. Sizes here are the smallest that load; the daemon sets the real ones from the policy.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use gateway_ebpf::abi::{
    Allocation, BankHeader, Config, INTERFACES_LEN, Interface, Ipv4, Ipv6, POOL_LEN, RULES_LEN, Reason, Rule, Search, SetBits, SetKey, V4,
    V6,
};
use gateway_ebpf::pipeline::Scratch;
use gateway_ebpf::table::{EndpointEntry, Entry, FlowEntry, MappingEntry, SLOTS};

/// Read-only numbers that the loader finds by name and sets before the programs are verified.
macro_rules! globals {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $value:literal;)*) => {
        $($(#[$doc])*
        #[allow(unsafe_code)]
        // SAFETY: the object is linked alone; the loader finds the value by this name.
        #[unsafe(no_mangle)]
        pub static $name: Global<$kind> = Global::new($value);)*
    };
}

globals! {
    /// Nanoseconds that stand in for the clock when not 0: the parity tests need both sides to see one time.
    FIXED_NOW: u64 = 0;
    /// How many buckets the tables have, as their maps: what the programs choose a bucket by.
    FLOW_BUCKETS_V4: u32 = 2;
    FLOW_BUCKETS_V6: u32 = 2;
    HALF_OPEN_BUCKETS_V4: u32 = 2;
    HALF_OPEN_BUCKETS_V6: u32 = 2;
    MAPPING_BUCKETS: u32 = 2;
    /// The two halves of [`gateway_ebpf::table::Seed`].
    SEED_EVEN: u64 = 0;
    SEED_ODD: u64 = 0;
}

/// Rule numbers that have counters and rate states.
pub const RULE_IDS: u32 = 4096;

#[map]
pub static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
pub static BANKS: Array<BankHeader> = Array::with_max_entries(2, 0);
#[map]
pub static RULES: Array<Rule> = Array::with_max_entries(RULES_LEN, 0);
#[map]
pub static POOL: Array<Ipv4> = Array::with_max_entries(POOL_LEN * 2, 0);
#[map]
pub static INTERFACES: Array<Interface> = Array::with_max_entries(INTERFACES_LEN, 0);
#[map]
pub static SETS_V4: LpmTrie<SetKey<V4>, SetBits> = LpmTrie::with_max_entries(32768, 0);
#[map]
pub static SETS_V6: LpmTrie<SetKey<V6>, SetBits> = LpmTrie::with_max_entries(32768, 0);
/// Every address of the gateway itself.
#[map]
pub static OWN_V4: HashMap<Ipv4, u32> = HashMap::with_max_entries(4096, 0);
#[map]
pub static OWN_V6: HashMap<Ipv6, u32> = HashMap::with_max_entries(4096, 0);

/// A bucket of a [`gateway_ebpf::table`].
pub type Bucket<const WORDS: usize> = [[u32; WORDS]; SLOTS as usize];
#[map]
pub static FLOWS_V4: Array<Bucket<{ FlowEntry::<V4>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static FLOWS_V6: Array<Bucket<{ FlowEntry::<V6>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static HALF_OPEN_V4: Array<Bucket<{ FlowEntry::<V4>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static HALF_OPEN_V6: Array<Bucket<{ FlowEntry::<V6>::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static MAPPINGS_V4: Array<Bucket<{ MappingEntry::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub static ENDPOINTS_V4: Array<Bucket<{ EndpointEntry::WORDS }>> = Array::with_max_entries(2, BPF_F_MMAPABLE);

/// Flows that a host has opened: written by the programs only.
#[map]
pub static HOSTS_V4: HashMap<Ipv4, u32> = HashMap::with_max_entries(16384, 0);
#[map]
pub static HOSTS_V6: HashMap<Ipv6, u32> = HashMap::with_max_entries(16384, 0);
/// Flows of a host that have ended: written by the daemon only. The difference is what it holds, without a shared write.
#[map]
pub static HOSTS_ENDED_V4: HashMap<Ipv4, u32> = HashMap::with_max_entries(16384, 0);
#[map]
pub static HOSTS_ENDED_V6: HashMap<Ipv6, u32> = HashMap::with_max_entries(16384, 0);

/// Packets that were not forwarded, by [`Reason::index`].
#[map]
pub static REASONS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reason::LEN, 0);
/// Matches, by rule number.
#[map]
pub static RULE_HITS: PerCpuArray<u64> = PerCpuArray::with_max_entries(RULE_IDS, 0);
/// When the next flow of a limited rule is due, by rule number.
#[map]
pub static RATES: Array<u64> = Array::with_max_entries(RULE_IDS, 0);
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);
/// Refused packets that deserve an answer ([`gateway_ebpf::abi::Refused`]): some 400, which is what one burst may bring. The rest of a
/// flood stays unanswered, at the cost of a failed reservation.
#[map]
pub static ANSWERS: RingBuf = RingBuf::with_byte_size(64 * 1024, 0);

/// The kernel's stack has 512 bytes. A program runs to its end on one CPU with bottom halves off, so one of each per CPU is enough.
#[map]
pub static SEARCH: PerCpuArray<Search> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static ALLOCATION_V4: PerCpuArray<Allocation<V4>> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static SCRATCH_V4: PerCpuArray<Scratch<V4>> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub static SCRATCH_V6: PerCpuArray<Scratch<V6>> = PerCpuArray::with_max_entries(1, 0);
