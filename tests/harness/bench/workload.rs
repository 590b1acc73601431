//! What packets are sent, and what a gateway has to do with them.

use std::fmt;
use std::str::FromStr;

use gateway_ebpf::bench::{BLOCK, FLOWS};

/// The address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6, which nobody here translates.
    V6,
}

/// The translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// From the hosts out, to the gateway's own address.
    Source,
    /// From the hosts out, to sixteen addresses: one holds 64,512 endpoints.
    Pool,
    /// The other way round: the hosts' side is outside, and ports of the gateway are a server's.
    Forward,
    /// None: routing and the firewall.
    None,
}

/// What a gateway is set up for. One set-up serves workloads of several sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The address family.
    pub family: Family,
    /// The translation.
    pub nat: Nat,
    /// Flows that the tables shall hold.
    pub capacity: u32,
}

impl Setting {
    /// Flows that a workload of at most 100,000 needs tables for: a load of 0.4.
    pub const USUAL: u32 = 262_144;
    /// The same for a million flows: 0.5.
    pub const GREAT: u32 = 2_097_152;

    /// Masquerading with tables of the usual size: what most measurements use.
    #[must_use]
    pub fn masquerade() -> Self {
        Self { family: Family::V4, nat: Nat::Source, capacity: Self::USUAL }
    }

    /// The same to a pool: for measurements that open new flows again and again.
    #[must_use]
    pub fn pool() -> Self {
        Self { nat: Nat::Pool, ..Self::masquerade() }
    }
}

/// Sizes of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 64 bytes with the check sequence; with IPv6 76, the shortest that holds the numbers of a flow.
    Small,
    /// 1514 bytes without it: a full Ethernet frame.
    Large,
}

/// Packets of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The address family.
    pub family: Family,
    /// The translation.
    pub nat: Nat,
    /// The frames' size.
    pub size: Size,
    /// Flows that take turns.
    pub flows: u32,
}

/// The numbers of flows.
const COUNTS: [(u32, &str); 4] = [(1, "1"), (1000, "1k"), (BLOCK, "100k"), (FLOWS, "1m")];
const KINDS: [(Family, Nat, &str); 4] = [
    (Family::V4, Nat::Source, "v4-snat"),
    (Family::V4, Nat::Forward, "v4-forward"),
    (Family::V4, Nat::None, "v4-plain"),
    (Family::V6, Nat::None, "v6-plain"),
];
const SIZES: [(Size, &str); 2] = [(Size::Small, "64"), (Size::Large, "1514")];

impl Workload {
    /// Every one, in the order in which they are measured: those of one setting stand together, few flows before many, since flows that
    /// were opened stay in the tables.
    pub fn all() -> impl Iterator<Item = Self> {
        let settings = KINDS.into_iter().flat_map(|kind| [false, true].map(|great| (kind, great)));
        settings.flat_map(|((family, nat, _), great)| {
            let counts = COUNTS.into_iter().filter(move |(flows, _)| (*flows > BLOCK) == great);
            counts.flat_map(move |(flows, _)| SIZES.map(|(size, _)| Self { family, nat, size, flows }))
        })
    }

    /// Small packets with source NAT: what the quick form has room for.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        self.family == Family::V4 && self.nat == Nat::Source && self.size == Size::Small && self.flows <= BLOCK
    }

    /// Large packets differ by what is paid per byte, which does not depend on the number of flows; a million flows are measured with
    /// source NAT and, since an entry is larger there, with IPv6.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let million = self.flows == FLOWS;
        match self.size {
            Size::Large => self.flows == 1000,
            Size::Small if million => self.nat == Nat::Source || self.family == Family::V6,
            Size::Small => self.nat == Nat::Source || self.flows > 1,
        }
    }

    /// What a gateway has to be set up for.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let great = self.flows > BLOCK;
        let nat = if great && self.nat == Nat::Source { Nat::Pool } else { self.nat };
        Setting { family: self.family, nat, capacity: if great { Setting::GREAT } else { Setting::USUAL } }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().find(|(family, nat, _)| (*family, *nat) == (self.family, self.nat)).map_or("?", |(_, _, name)| name);
        let size = SIZES.iter().find(|(size, _)| *size == self.size).map_or("?", |(_, name)| name);
        let count = COUNTS.iter().find(|(flows, _)| *flows == self.flows).map_or("?", |(_, name)| name);
        write!(formatter, "{kind}-{size}-{count}")
    }
}

/// No workload has this name.
#[derive(Debug, thiserror::Error)]
#[error("no workload is named {name}; there are {}", Workload::all().map(|workload| workload.to_string()).collect::<Vec<_>>().join(", "))]
pub struct NoWorkload {
    name: String,
}

impl FromStr for Workload {
    type Err = NoWorkload;

    fn from_str(name: &str) -> Result<Self, NoWorkload> {
        Self::all().find(|workload| workload.to_string() == name).ok_or_else(|| NoWorkload { name: name.to_owned() })
    }
}
