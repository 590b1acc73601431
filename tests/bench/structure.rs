//! What flows could be kept in: the kernel's hash maps, and our own table.

use std::fmt;

/// One structure. All hold the same keys, and values of 64 bytes but for the last, whose entries are twice as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// The kernel's hash, preallocated, with keys of 12 bytes: addresses and ports alone.
    Hash12,
    /// The same with an IPv4 flow's key, 16 bytes: the yardstick.
    Hash16,
    /// The same with an IPv6 flow's key, 40 bytes.
    Hash40,
    /// The kernel's hash without preallocation, keys of 16 bytes.
    Demand,
    /// The kernel's LRU hash, keys of 16 bytes.
    Lru,
    /// Our table with IPv4 flows.
    TableV4,
    /// Our table with IPv6 flows.
    TableV6,
}

/// Which keys are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// Those that are there, as the fast path does.
    Present,
    /// Others, as the slow path does that opens a flow.
    Absent,
}

impl Structure {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 7] = [Self::Hash12, Self::Hash16, Self::Hash40, Self::Demand, Self::Lru, Self::TableV4, Self::TableV6];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash12 => "hash-12",
            Self::Hash16 => "hash-16",
            Self::Hash40 => "hash-40",
            Self::Demand => "hash-16-on-demand",
            Self::Lru => "hash-16-lru",
            Self::TableV4 => "table-v4",
            Self::TableV6 => "table-v6",
        }
    }

    /// What it is, in some words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Hash12 => "kernel hash, preallocated, 12-byte keys",
            Self::Hash16 => "kernel hash, preallocated, 16-byte keys (IPv4)",
            Self::Hash40 => "kernel hash, preallocated, 40-byte keys (IPv6)",
            Self::Demand => "kernel hash, not preallocated, 16-byte keys",
            Self::Lru => "kernel LRU hash, 16-byte keys",
            Self::TableV4 => "this gateway's table, IPv4",
            Self::TableV6 => "this gateway's table, IPv6",
        }
    }

    /// The structure of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|structure| structure.name() == name)
    }

    /// Whether it is our own.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::TableV4 | Self::TableV6)
    }

    /// Its map in the bench's object.
    #[must_use]
    pub fn map(self) -> &'static str {
        match self {
            Self::Hash12 => "HASH_12",
            Self::Hash16 => "HASH_16",
            Self::Hash40 => "HASH_40",
            Self::Demand => "HASH_DEMAND",
            Self::Lru => "HASH_LRU",
            Self::TableV4 => "TABLE_V4",
            Self::TableV6 => "TABLE_V6",
        }
    }

    /// The program that looks keys up.
    #[must_use]
    pub fn program(self, sought: Sought) -> &'static str {
        match (self, sought) {
            (Self::Hash12, _) => "bench_look_hash_12",
            (Self::Hash16, _) => "bench_look_hash_16",
            (Self::Hash40, _) => "bench_look_hash_40",
            (Self::Demand, _) => "bench_look_hash_demand",
            (Self::Lru, _) => "bench_look_hash_lru",
            (Self::TableV4, Sought::Present) => "bench_look_table_v4",
            (Self::TableV4, Sought::Absent) => "bench_peek_table_v4",
            (Self::TableV6, Sought::Present) => "bench_look_table_v6",
            (Self::TableV6, Sought::Absent) => "bench_peek_table_v6",
        }
    }

    /// The program that inserts keys; ours are inserted by the daemon's code.
    #[must_use]
    pub fn filler(self) -> Option<&'static str> {
        match self {
            Self::Hash12 => Some("bench_fill_hash_12"),
            Self::Hash16 => Some("bench_fill_hash_16"),
            Self::Hash40 => Some("bench_fill_hash_40"),
            Self::Demand => Some("bench_fill_hash_demand"),
            Self::Lru => Some("bench_fill_hash_lru"),
            Self::TableV4 | Self::TableV6 => None,
        }
    }

    /// The program that does all but the look-up, with keys of the same length.
    #[must_use]
    pub fn nothing(self) -> &'static str {
        match self {
            Self::Hash12 => "bench_look_nothing_12",
            Self::Hash16 | Self::Demand | Self::Lru | Self::TableV4 => "bench_look_nothing_16",
            Self::Hash40 | Self::TableV6 => "bench_look_nothing_40",
        }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.title())
    }
}
