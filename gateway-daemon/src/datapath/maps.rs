//! The object's maps, typed by the ABI.

use std::os::fd::{AsFd, OwnedFd};

use aya::Ebpf;
use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use gateway_ebpf::abi::{Abi, BankHeader, Config, Family, Interface, Ipv4, Rule, SetBits, SetKey, V4, V6};
use gateway_ebpf::table::{EndpointEntry, FlowEntry, MappingEntry, Seed};

use super::error::DatapathError;
use super::load::Capacity;
use super::raw::{Cursor, Raw, next_batch};
use super::shared::Shared;

/// A typed hash map.
pub struct Table<K: Abi, V: Abi> {
    map: HashMap<MapData, Raw<K>, Raw<V>>,
    // The same map, for the batched walk: aya's type does not give its descriptor away.
    fd: OwnedFd,
}

/// A typed array.
pub type Cells<T> = Array<MapData, Raw<T>>;

/// Entries read by one system call. A batch must hold the fullest bucket, which is a few entries.
const BATCH: usize = 1024;

impl<K: Abi + Default, V: Abi + Default> Table<K, V> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, DatapathError> {
        let map = ebpf.take_map(name).ok_or(DatapathError::Object { what: name })?;
        let Map::HashMap(data) = &map else { return Err(DatapathError::Object { what: name }) };
        let fd = data.fd().as_fd().try_clone_to_owned().map_err(|source| DatapathError::Walk { source })?;
        Ok(Self { map: map.try_into()?, fd })
    }

    /// Calls `visit` for every entry. Entries that change meanwhile may be missed or seen twice.
    ///
    /// # Errors
    /// The kernel's.
    pub fn for_each(&self, mut visit: impl FnMut(K, V)) -> Result<(), DatapathError> {
        let mut keys = vec![K::default(); BATCH];
        let mut values = vec![V::default(); BATCH];
        let mut cursor = Cursor::default();
        loop {
            let read = next_batch(self.fd.as_fd(), &mut cursor, &mut keys, &mut values).map_err(|source| DatapathError::Walk { source })?;
            if read == 0 {
                return Ok(());
            }
            keys.iter().zip(&values).take(read).for_each(|(key, value)| visit(*key, *value));
        }
    }

    /// The entry of that key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<V> {
        self.map.get(&Raw(key), 0).ok().map(|raw| raw.0)
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// The kernel's: `E2BIG` when the table is full.
    pub fn set(&mut self, key: K, value: V) -> Result<(), DatapathError> {
        Ok(self.map.insert(Raw(key), Raw(value), 0)?)
    }

    /// Removes an entry; absent ones are no error.
    pub fn remove(&mut self, key: K) {
        let _ = self.map.remove(&Raw(key));
    }
}

/// One family's tables.
pub struct FamilyMaps<F: Family>
where
    SetKey<F>: Abi,
{
    /// Flows in which both sides have spoken.
    pub flows: Shared<FlowEntry<F>>,
    /// Flows in which only one has.
    pub half_open: Shared<FlowEntry<F>>,
    /// Set membership by longest prefix.
    pub sets: LpmTrie<MapData, Raw<SetKey<F>>, Raw<SetBits>>,
    /// The gateway's own addresses.
    pub own: Table<F::Address, u32>,
    /// Flows opened per host.
    pub hosts: Table<F::Address, u32>,
    /// Flows ended per host.
    pub hosts_ended: Table<F::Address, u32>,
}

/// Every map.
pub struct Maps {
    /// The configuration.
    pub config: Cells<Config>,
    /// Bank headers.
    pub banks: Cells<BankHeader>,
    /// Rules.
    pub rules: Cells<Rule>,
    /// Pool addresses.
    pub pool: Cells<Ipv4>,
    /// Interfaces.
    pub interfaces: Cells<Interface>,
    /// IPv4.
    pub v4: FamilyMaps<V4>,
    /// IPv6.
    pub v6: FamilyMaps<V6>,
    /// Mappings.
    pub mappings: Shared<MappingEntry>,
    /// External endpoints.
    pub endpoints: Shared<EndpointEntry>,
    /// Packets not forwarded, by reason.
    pub reasons: PerCpuArray<MapData, u64>,
    /// Matches, by rule.
    pub rule_hits: PerCpuArray<MapData, u64>,
    /// Logged events.
    pub events: Option<RingBuf<MapData>>,
    /// Refused packets that deserve an answer.
    pub answers: Option<RingBuf<MapData>>,
}

macro_rules! take {
    ($ebpf:expr, $name:expr) => {
        $ebpf.take_map($name).ok_or(DatapathError::Object { what: $name })?.try_into()?
    };
}

macro_rules! take_family {
    ($ebpf:expr, $buckets:expr, $seed:expr, $flows:literal, $half_open:literal, $sets:literal, $own:literal, $hosts:literal, $ended:literal) => {
        FamilyMaps {
            flows: Shared::take($ebpf, $flows, $buckets.flows, $seed)?,
            half_open: Shared::take($ebpf, $half_open, $buckets.half_open, $seed)?,
            sets: take!($ebpf, $sets),
            own: Table::take($ebpf, $own)?,
            hosts: Table::take($ebpf, $hosts)?,
            hosts_ended: Table::take($ebpf, $ended)?,
        }
    };
}

impl Maps {
    /// Takes every map out of a loaded object.
    ///
    /// # Errors
    /// A map is missing or of another type: the object and the daemon are not of one build.
    pub fn take(ebpf: &mut Ebpf, capacity: Capacity, seed: Seed) -> Result<Self, DatapathError> {
        let (v4, v6) = (capacity.buckets_v4(), capacity.buckets_v6());
        Ok(Self {
            config: take!(ebpf, "CONFIG"),
            banks: take!(ebpf, "BANKS"),
            rules: take!(ebpf, "RULES"),
            pool: take!(ebpf, "POOL"),
            interfaces: take!(ebpf, "INTERFACES"),
            v4: take_family!(ebpf, v4, seed, "FLOWS_V4", "HALF_OPEN_V4", "SETS_V4", "OWN_V4", "HOSTS_V4", "HOSTS_ENDED_V4"),
            v6: take_family!(ebpf, v6, seed, "FLOWS_V6", "HALF_OPEN_V6", "SETS_V6", "OWN_V6", "HOSTS_V6", "HOSTS_ENDED_V6"),
            mappings: Shared::take(ebpf, "MAPPINGS_V4", capacity.mapping_buckets(), seed)?,
            endpoints: Shared::take(ebpf, "ENDPOINTS_V4", capacity.mapping_buckets(), seed)?,
            reasons: take!(ebpf, "REASONS"),
            rule_hits: take!(ebpf, "RULE_HITS"),
            events: Some(take!(ebpf, "EVENTS")),
            answers: Some(take!(ebpf, "ANSWERS")),
        })
    }
}
