//! The tables: those that the daemon writes, and those that packets change.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use gateway_ebpf::abi::{
    Allocation, Bank, BankHeader, Config, Endpoint, EndpointKey, Event, Family, Flow, FlowKey, Generation, INTERFACES_LEN, Interface, Ipv4,
    Mapping, MappingKey, POOL_LEN, RULES_LEN, Rule, RuleList, Search, SetBits, V4, V6, rule_index,
};
use gateway_ebpf::env::{Insert, Table};
use gateway_ebpf::table::{self, EndpointEntry, Entry, FlowEntry, MappingEntry, Seed};
use ipnet::IpNet;

use super::policy::Policy;

/// A table of limited size: an existing key is told before a full table is.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded<K: Eq + Hash, V> {
    map: HashMap<K, V>,
    room: Room<K>,
}

/// When a table is full.
#[derive(Clone, Debug)]
enum Room<K> {
    /// It holds so many entries.
    Entries(usize),
    /// It has buckets, as [`gateway_ebpf::table`] has: full for a key is when its bucket is.
    Buckets { places: fn(&K, Seed, u32) -> [u32; 2], seed: Seed, buckets: u32, chosen: HashMap<K, u32>, taken: HashMap<u32, u32> },
}

/// Where entries stand is not what a table holds.
impl<K> PartialEq for Room<K> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<K: Eq + Hash + Copy> Room<K> {
    /// Takes a place for a new key, when there is one. The choice of the bucket is told anew here, and not asked of the core.
    fn take(&mut self, held: usize, key: K) -> bool {
        match self {
            Self::Entries(capacity) => held < *capacity,
            Self::Buckets { places, seed, buckets, chosen, taken } => {
                let [first, second] = places(&key, *seed, *buckets);
                let in_bucket = |bucket| taken.get(&bucket).copied().unwrap_or(0);
                let bucket = if in_bucket(first) < 4 || in_bucket(first) <= in_bucket(second) { first } else { second };
                let fits = in_bucket(bucket) < 8;
                if fits {
                    *taken.entry(bucket).or_default() += 1;
                    chosen.insert(key, bucket);
                }
                fits
            }
        }
    }

    fn leave(&mut self, key: &K) {
        if let Self::Buckets { chosen, taken, .. } = self
            && let Some(count) = chosen.remove(key).and_then(|bucket| taken.get_mut(&bucket))
        {
            *count -= 1;
        }
    }
}

impl<K: Eq + Hash + Copy, V: Copy> Bounded<K, V> {
    /// An empty table of so many entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { map: HashMap::new(), room: Room::Entries(capacity) }
    }

    /// An empty table that is full exactly when the programs' is. `entries` is what it is made for.
    #[must_use]
    pub fn of<E: Entry<Key = K, Value = V>>(entries: usize, seed: Option<Seed>) -> Self {
        let Some(seed) = seed else { return Self::new(entries) };
        let buckets = table::capacity(u32::try_from(entries).expect("a table's size fits 32 bits"));
        let room = Room::Buckets { places: table::buckets_of::<E>, seed, buckets, chosen: HashMap::new(), taken: HashMap::new() };
        Self { map: HashMap::new(), room }
    }

    /// Adds an entry if the key is new and there is room.
    pub fn insert(&mut self, key: K, value: V) -> Insert {
        if self.map.contains_key(&key) {
            return Insert::Exists;
        }
        if !self.room.take(self.map.len(), key) {
            return Insert::Full;
        }
        self.map.insert(key, value);
        Insert::Done
    }

    /// Finds an entry.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// A copy of an entry.
    pub fn get(&self, key: &K) -> Option<V> {
        self.map.get(key).copied()
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: &K) {
        if self.map.remove(key).is_some() {
            self.room.leave(key);
        }
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter()
    }

    /// All entries, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.map.iter_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// Sizes of the tables, in entries. A flow has two.
#[derive(Clone, Copy, Debug)]
pub struct Capacities {
    /// Main flow table.
    pub flows: usize,
    /// Half-open flow table.
    pub half_open: usize,
    /// IPv6's two, when they are others.
    pub v6: Option<[usize; 2]>,
    /// Mappings.
    pub mappings: usize,
    /// External endpoints.
    pub endpoints: usize,
    /// Hosts.
    pub hosts: usize,
    /// The tables are the programs' with this seed, made for so many entries; without one they hold exactly so many.
    pub seed: Option<Seed>,
}

impl Default for Capacities {
    fn default() -> Self {
        Self { flows: 4096, half_open: 4096, v6: None, mappings: 4096, endpoints: 4096, hosts: 65_536, seed: None }
    }
}

/// One family's tables that packets change.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyTables<F: Family> {
    /// Flows in which both sides have spoken.
    pub flows: Bounded<FlowKey<F>, Flow<F>>,
    /// Flows in which only one has.
    pub half_open: Bounded<FlowKey<F>, Flow<F>>,
    /// Mappings.
    pub mappings: Bounded<MappingKey<F>, Mapping>,
    /// External endpoints.
    pub endpoints: Bounded<EndpointKey<F>, Endpoint<F>>,
    /// Flows opened per host.
    pub hosts: Bounded<F::Address, u32>,
    /// Flows ended per host.
    pub hosts_ended: Bounded<F::Address, u32>,
}

impl<F: Family> FamilyTables<F> {
    fn new(capacities: Capacities) -> Self {
        Self {
            flows: Bounded::of::<FlowEntry<F>>(capacities.flows, capacities.seed),
            half_open: Bounded::of::<FlowEntry<F>>(capacities.half_open, capacities.seed),
            mappings: Bounded::new(capacities.mappings),
            endpoints: Bounded::new(capacities.endpoints),
            hosts: Bounded::new(capacities.hosts),
            hosts_ended: Bounded::new(capacities.hosts),
        }
    }

    /// The flow table of that kind.
    pub fn table(&mut self, table: Table) -> &mut Bounded<FlowKey<F>, Flow<F>> {
        match table {
            Table::Main => &mut self.flows,
            Table::HalfOpen => &mut self.half_open,
        }
    }
}

/// Which tables belong to which family.
pub trait HostFamily: Family {
    /// Its tables.
    fn tables(state: &State) -> &FamilyTables<Self>;
    /// Its tables, to be changed.
    fn tables_mut(state: &mut State) -> &mut FamilyTables<Self>;
    /// The memory of a search for an external port; `None` for a family that is not translated.
    fn allocation(state: &mut State) -> Option<&mut Allocation<Self>>;
}

impl HostFamily for V4 {
    fn tables(state: &State) -> &FamilyTables<Self> {
        &state.v4
    }
    fn tables_mut(state: &mut State) -> &mut FamilyTables<Self> {
        &mut state.v4
    }
    fn allocation(state: &mut State) -> Option<&mut Allocation<Self>> {
        Some(&mut state.allocation)
    }
}

impl HostFamily for V6 {
    fn tables(state: &State) -> &FamilyTables<Self> {
        &state.v6
    }
    fn tables_mut(state: &mut State) -> &mut FamilyTables<Self> {
        &mut state.v6
    }
    fn allocation(_: &mut State) -> Option<&mut Allocation<Self>> {
        None
    }
}

/// Every table that a dropped packet must leave as it was.
pub type Snapshot = (FamilyTables<V4>, FamilyTables<V6>);

/// What packets change.
#[derive(Clone, Debug)]
pub struct State {
    /// IPv4.
    pub v4: FamilyTables<V4>,
    /// IPv6.
    pub v6: FamilyTables<V6>,
    /// The memory of a rule search.
    pub search: Search,
    /// The memory of a search for an external port.
    pub allocation: Allocation<V4>,
    /// Packets not forwarded, by [`gateway_ebpf::abi::Reason::index`].
    pub reasons: Vec<u64>,
    /// Matches by rule number.
    pub rule_hits: HashMap<u16, u64>,
    /// When the next flow of a limited rule is due.
    pub rates: HashMap<u16, u64>,
    /// Reported events, oldest first.
    pub events: Vec<Event>,
}

impl State {
    pub(super) fn new(capacities: Capacities) -> Self {
        let [flows, half_open] = capacities.v6.unwrap_or([capacities.flows, capacities.half_open]);
        let mut v4 = FamilyTables::new(capacities);
        v4.mappings = Bounded::of::<MappingEntry>(capacities.mappings, capacities.seed);
        v4.endpoints = Bounded::of::<EndpointEntry>(capacities.endpoints, capacities.seed);
        Self {
            v4,
            v6: FamilyTables::new(Capacities { flows, half_open, ..capacities }),
            search: Search::default(),
            allocation: Allocation::default(),
            reasons: vec![0; gateway_ebpf::abi::Reason::LEN as usize],
            rule_hits: HashMap::new(),
            rates: HashMap::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        (self.v4.clone(), self.v6.clone())
    }
}

/// What the daemon writes.
#[derive(Clone, Debug)]
pub struct PolicyTables {
    /// The configuration.
    pub config: Config,
    /// Bank headers.
    pub banks: [BankHeader; 2],
    /// Rules of both banks.
    pub rules: Vec<Rule>,
    /// Pool addresses of both banks.
    pub pool: Vec<Ipv4>,
    /// Interfaces by `ifindex % INTERFACES_LEN`.
    pub interfaces: Vec<Interface>,
    /// Set membership, looked up by longest prefix.
    pub sets: Vec<(Bank, IpNet, SetBits)>,
    /// The gateway's own addresses, and the broadcast addresses of its networks.
    pub own: HashSet<IpAddr>,
}

impl PolicyTables {
    /// Nothing configured yet.
    #[must_use]
    pub fn empty(own: HashSet<IpAddr>) -> Self {
        let secret = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        Self {
            config: Config { routing: Generation(1), secret, ..Default::default() },
            banks: [BankHeader::default(); 2],
            rules: vec![Rule::default(); RULES_LEN as usize],
            pool: vec![Ipv4::default(); 2 * POOL_LEN as usize],
            interfaces: vec![Interface::default(); INTERFACES_LEN as usize],
            sets: Vec::new(),
            own,
        }
    }

    pub(super) fn install(&mut self, policy: &Policy) {
        let generation = Generation(self.config.policy.0 + 1);
        let bank = generation.bank();
        for (list, rules) in [
            (RuleList::Firewall, &policy.firewall),
            (RuleList::SourceNat, &policy.source_nat),
            (RuleList::DestinationNat, &policy.destination_nat),
        ] {
            let first = rule_index(bank, list, 0) as usize;
            self.rules[first..first + rules.len()].copy_from_slice(rules);
        }
        self.banks[bank.0 as usize] = policy.header();
        let first = (bank.0 * POOL_LEN) as usize;
        self.pool[first..first + policy.pool.len()].copy_from_slice(&policy.pool);
        self.sets.retain(|(of, _, _)| *of != bank);
        self.sets.extend(policy.members().into_iter().map(|(prefix, bits)| (bank, prefix, bits)));
        self.interfaces.fill(Interface::default());
        for interface in &policy.interfaces {
            self.interfaces[(interface.index.0 % INTERFACES_LEN) as usize] = *interface;
        }
        self.config.flows_per_host = policy.flows_per_host;
        self.config.policy = generation;
    }
}
