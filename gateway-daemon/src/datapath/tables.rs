//! Brings the tables to what a plan wants. The policy has two banks: the new one is written where no packet reads, then one word makes it
//! current. Whatever fails before that word changes nothing that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aya::maps::MapData;
use aya::maps::lpm_trie::{Key, LpmTrie};
use gateway_ebpf::abi::{
    Abi, Bank, BankHeader, Config, Family, Generation, INTERFACES_LEN, Interface, Ipv4, Ipv6, POOL_LEN, Rule, RuleList, SetBits, SetKey,
    V4, V6, rule_index,
};

use super::error::DatapathError;
use super::maps::{Cells, Maps, Table};
use super::raw::Raw;
use crate::inventory::IfIndex;
use crate::plan::{Plan, PolicyTables};

/// Bits of the bank in front of the address.
const BANK_BITS: u32 = 32;

/// What the tables hold.
pub struct Written {
    config: Config,
    banks: [PolicyTables; 2],
    policy: Option<PolicyTables>,
    interfaces: BTreeMap<IfIndex, Interface>,
    own_v4: BTreeSet<Ipv4Addr>,
    own_v6: BTreeSet<Ipv6Addr>,
    routing_changes: u64,
    /// Interfaces or own addresses were written that [`Config::routing`] does not tell of yet.
    rerouted: bool,
}

impl Written {
    /// Empty tables, and the key of the port hash.
    pub fn new(secret: [u64; 2]) -> Self {
        Self {
            // Routing begins at 1, because 0 is never current; the policy does so with the first plan.
            config: Config { routing: Generation(1), secret, ..Default::default() },
            banks: Default::default(),
            policy: None,
            interfaces: BTreeMap::new(),
            own_v4: BTreeSet::new(),
            own_v6: BTreeSet::new(),
            routing_changes: 0,
            rerouted: false,
        }
    }

    /// Writes what is different. True when flows will be decided anew.
    ///
    /// # Errors
    /// A table cannot be written; the policy in force is still the old one.
    pub fn write(&mut self, maps: &mut Maps, plan: &Plan) -> Result<bool, DatapathError> {
        let mut config = Config { flows_per_host: plan.flows_per_host, ..self.config };
        // Noted before each write: what fails half way is still told of by the next one that succeeds.
        self.rerouted |= self.own_v4 != plan.own_v4 || self.own_v6 != plan.own_v6;
        write_own(&mut maps.v4.own, &mut self.own_v4, &plan.own_v4, |address| Ipv4::from_octets(address.octets()))?;
        write_own(&mut maps.v6.own, &mut self.own_v6, &plan.own_v6, |address| Ipv6::from_octets(address.octets()))?;
        self.write_interfaces(maps, plan)?;
        if self.rerouted || self.routing_changes != plan.routing_changes {
            config.routing = next(config.routing);
        }
        if self.policy.as_ref() != Some(&plan.policy) {
            config.policy = next(config.policy);
            self.write_policy(maps, config.policy.bank(), &plan.policy)?;
        }
        let changed = config != self.config;
        if changed {
            maps.config.set(0, Raw(config), 0)?;
        }
        self.config = config;
        self.policy = Some(plan.policy.clone());
        self.routing_changes = plan.routing_changes;
        self.rerouted = false;
        Ok(changed)
    }

    fn write_interfaces(&mut self, maps: &mut Maps, plan: &Plan) -> Result<(), DatapathError> {
        for (index, planned) in &plan.interfaces {
            if self.interfaces.get(index) != Some(&planned.entry) {
                self.rerouted = true;
                maps.interfaces.set(index.0 % INTERFACES_LEN, Raw(planned.entry), 0)?;
                self.interfaces.insert(*index, planned.entry);
            }
        }
        let gone: Vec<IfIndex> = self.interfaces.keys().filter(|index| !plan.interfaces.contains_key(index)).copied().collect();
        for index in gone {
            self.rerouted = true;
            let slot = index.0 % INTERFACES_LEN;
            let reused = plan.interfaces.keys().any(|other| other.0 % INTERFACES_LEN == slot);
            if !reused {
                maps.interfaces.set(slot, Raw(Interface::default()), 0)?;
            }
            self.interfaces.remove(&index);
        }
        Ok(())
    }

    fn write_policy(&mut self, maps: &mut Maps, bank: Bank, policy: &PolicyTables) -> Result<(), DatapathError> {
        let held = &mut self.banks[(bank.0 & 1) as usize];
        // Until all is written the bank may hold either, and what a failure leaves there has to go the next time.
        held.sets_v4.extend(&policy.sets_v4);
        held.sets_v6.extend(&policy.sets_v6);
        write_sets::<V4, _>(&mut maps.v4.sets, bank, &held.sets_v4, &policy.sets_v4, |net| {
            (net.prefix_len(), Ipv4::from_octets(net.network().octets()))
        })?;
        write_sets::<V6, _>(&mut maps.v6.sets, bank, &held.sets_v6, &policy.sets_v6, |net| {
            (net.prefix_len(), Ipv6::from_octets(net.network().octets()))
        })?;
        for (list, rules) in lists(policy) {
            write_list(&mut maps.rules, bank, list, rules)?;
        }
        for (position, address) in (0..POOL_LEN).zip(&policy.pool) {
            maps.pool.set(bank.0 * POOL_LEN + position, Raw(Ipv4::from_octets(address.octets())), 0)?;
        }
        let header = BankHeader::of(policy.default, &policy.firewall, &policy.source_nat, &policy.destination_nat);
        maps.banks.set(bank.0, Raw(header), 0)?;
        *held = policy.clone();
        Ok(())
    }
}

fn next(generation: Generation) -> Generation {
    // 0 is never current.
    Generation(generation.0.checked_add(1).unwrap_or(2))
}

fn lists(policy: &PolicyTables) -> [(RuleList, &[Rule]); 3] {
    [(RuleList::Firewall, &policy.firewall), (RuleList::SourceNat, &policy.source_nat), (RuleList::DestinationNat, &policy.destination_nat)]
}

fn write_list(rules: &mut Cells<Rule>, bank: Bank, list: RuleList, wanted: &[Rule]) -> Result<(), DatapathError> {
    for (position, rule) in (0..).zip(wanted) {
        rules.set(rule_index(bank, list, position), Raw(*rule), 0)?;
    }
    Ok(())
}

fn write_own<A: Abi + Default, N: Ord + Copy>(
    table: &mut Table<A, u32>,
    held: &mut BTreeSet<N>,
    wanted: &BTreeSet<N>,
    key: impl Fn(N) -> A,
) -> Result<(), DatapathError> {
    for address in wanted.difference(held) {
        table.set(key(*address), 1)?;
    }
    for address in held.difference(wanted) {
        table.remove(key(*address));
    }
    *held = wanted.clone();
    Ok(())
}

fn write_sets<F: Family, N: Ord + Copy + Hash>(
    trie: &mut LpmTrie<MapData, Raw<SetKey<F>>, Raw<SetBits>>,
    bank: Bank,
    before: &BTreeMap<N, SetBits>,
    wanted: &BTreeMap<N, SetBits>,
    split: impl Fn(&N) -> (u8, F::Address),
) -> Result<(), DatapathError>
where
    SetKey<F>: Abi,
{
    let key = |net: &N| {
        let (prefix, address) = split(net);
        Key::new(BANK_BITS + u32::from(prefix), Raw(SetKey::<F> { bank, address }))
    };
    for net in before.keys().filter(|net| !wanted.contains_key(net)) {
        // Absent ones are no error: a plan that failed half way may have left fewer.
        let _ = trie.remove(&key(net));
    }
    for (net, bits) in wanted {
        insert_patiently(trie, &key(net), *bits)?;
    }
    Ok(())
}

/// The trie cannot be preallocated, and the kernel's allocator for it refills from interrupt context: a burst of insertions can outrun it
/// and see `ENOMEM` for a moment.
fn insert_patiently<F: Family>(
    trie: &mut LpmTrie<MapData, Raw<SetKey<F>>, Raw<SetBits>>,
    key: &Key<Raw<SetKey<F>>>,
    bits: SetBits,
) -> Result<(), DatapathError>
where
    SetKey<F>: Abi,
{
    const ATTEMPTS: u32 = 100;
    for _ in 1..ATTEMPTS {
        match trie.insert(key, Raw(bits), 0) {
            Err(aya::maps::MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOMEM) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return Ok(other?),
        }
    }
    Ok(trie.insert(key, Raw(bits), 0)?)
}
