//! The tables: those that the daemon writes, and those that packets change.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use gateway_ebpf::abi::{
    Allocation, Bank, BankHeader, Config, Endpoint, EndpointKey, Event, Family, Flow, FlowKey, Generation, INTERFACES_LEN, Interface, Ipv4,
    Mapping, MappingKey, POOL_LEN, RULES_LEN, Rule, RuleList, Search, SetBits, V4, V6, rule_index,
};
use gateway_ebpf::env::{Insert, Table};
use ipnet::IpNet;

use super::policy::Policy;

/// A hash table of limited size, with the semantics of a preallocated BPF hash: an existing key is told before a full table is.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounded<K: Eq + Hash, V> {
    map: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash + Copy, V: Copy> Bounded<K, V> {
    /// An empty table.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { map: HashMap::new(), capacity }
    }

    /// Adds an entry if the key is new and there is room.
    pub fn insert(&mut self, key: K, value: V) -> Insert {
        if self.map.contains_key(&key) {
            return Insert::Exists;
        }
        if self.map.len() >= self.capacity {
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
        self.map.remove(key);
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
    /// Mappings.
    pub mappings: usize,
    /// External endpoints.
    pub endpoints: usize,
    /// Hosts.
    pub hosts: usize,
}

impl Default for Capacities {
    fn default() -> Self {
        Self { flows: 4096, half_open: 4096, mappings: 4096, endpoints: 4096, hosts: 65_536 }
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
            flows: Bounded::new(capacities.flows),
            half_open: Bounded::new(capacities.half_open),
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
        Self {
            v4: FamilyTables::new(capacities),
            v6: FamilyTables::new(capacities),
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
