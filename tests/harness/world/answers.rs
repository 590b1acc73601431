//! The second seam of the core, answered from collections.

use gateway_ebpf::abi::{
    Allocation, Bank, BankHeader, Config, Endpoint, EndpointKey, Event, Flow, FlowKey, FlowState, Generation, INTERFACES_LEN, IfIndex,
    Interface, Ipv4, Mapping, MappingKey, Port, Rule, RuleId, Search, SetBits, Tick,
};
use gateway_ebpf::env::{Env, Insert, RouteAnswer, RouteKind, RouteQuery, Table};
use gateway_ebpf::{nat, search};

use super::routing::{Routing, ip};
use super::tables::{HostFamily, PolicyTables, State};

/// Rule numbers that have counters and rate states (gateway-ebpf/src/maps.rs).
const RULE_IDS: u16 = 4096;

/// A world lent to the core for one packet.
pub struct Lent<'m> {
    pub(super) policy: &'m PolicyTables,
    pub(super) routing: &'m Routing,
    pub(super) state: &'m mut State,
}

impl<'m, F: HostFamily> Env<'m, F> for Lent<'m> {
    type Place = FlowKey<F>;

    fn config(&self) -> Option<Config> {
        Some(self.policy.config).filter(|config| config.policy.0 != 0)
    }

    fn bank(&self, bank: Bank) -> Option<&'m BankHeader> {
        self.policy.banks.get(bank.0 as usize)
    }

    fn interface(&self, index: IfIndex) -> Option<&'m Interface> {
        self.policy.interfaces.get((index.0 % INTERFACES_LEN) as usize).filter(|interface| interface.index == index)
    }

    fn rule(&self, index: u32) -> Option<&'m Rule> {
        self.policy.rules.get(index as usize)
    }

    fn pool(&self, index: u32) -> Option<Ipv4> {
        self.policy.pool.get(index as usize).copied()
    }

    fn sets(&self, bank: Bank, address: F::Address) -> Option<&'m SetBits> {
        let address = ip(address);
        let around = self.policy.sets.iter().filter(|(of, prefix, _)| *of == bank && prefix.contains(&address));
        around.max_by_key(|(_, prefix, _)| prefix.prefix_len()).map(|(_, _, bits)| bits)
    }

    fn search(&mut self) -> Option<&mut Search> {
        Some(&mut self.state.search)
    }

    fn run_search(&mut self, len: u32) {
        let mut search = self.state.search;
        for position in 0..len {
            if search::step::<F, Self>(&mut search, self, position).is_break() {
                break;
            }
        }
        self.state.search = search;
    }

    fn allocation(&mut self) -> Option<&mut Allocation<F>> {
        F::allocation(self.state)
    }

    fn run_allocation(&mut self, attempts: u32) {
        let Some(mut allocation) = F::allocation(self.state).copied() else { return };
        for number in 0..attempts {
            if nat::attempt(&mut allocation, self, number).is_break() {
                break;
            }
        }
        if let Some(memory) = F::allocation(self.state) {
            *memory = allocation;
        }
    }

    fn route(&mut self, query: &RouteQuery<F>, answer: &mut RouteAnswer<F>) -> RouteKind {
        self.routing.answer(query, answer)
    }

    fn generation(&self) -> Option<Generation> {
        Env::<F>::config(self).map(|config| config.generation())
    }

    fn established(&mut self, key: &FlowKey<F>) -> Option<(Flow<F>, FlowKey<F>)> {
        let flow = F::tables(self.state).flows.get(key)?;
        Some((Flow { last_seen: Tick::default(), packets: 0, bytes: 0, ..flow }, *key))
    }

    fn count_flow(&mut self, place: FlowKey<F>, now: Tick, length: u32) {
        if let Some(flow) = F::tables_mut(self.state).flows.get_mut(&place) {
            flow.last_seen = now;
            flow.packets += 1;
            flow.bytes += u64::from(length);
        }
    }

    fn read_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &mut Flow<F>) -> bool {
        F::tables_mut(self.state).table(table).get(key).map(|found| *flow = found).is_some()
    }

    fn has_flow(&mut self, table: Table, key: &FlowKey<F>) -> bool {
        F::tables_mut(self.state).table(table).get(key).is_some()
    }

    fn insert_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>) -> Insert {
        F::tables_mut(self.state).table(table).insert(*key, *flow)
    }

    fn update_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>) {
        if let Some(entry) = F::tables_mut(self.state).table(table).get_mut(key) {
            *entry = *flow;
        }
    }

    fn set_state(&mut self, table: Table, key: &FlowKey<F>, state: FlowState) {
        if let Some(entry) = F::tables_mut(self.state).table(table).get_mut(key) {
            entry.state = state;
        }
    }

    fn remove_flow(&mut self, table: Table, key: &FlowKey<F>) {
        F::tables_mut(self.state).table(table).remove(key);
    }

    fn use_mapping(&mut self, key: &MappingKey<F>, now: Tick) -> Option<Port> {
        let mapping = F::tables_mut(self.state).mappings.get_mut(key)?;
        mapping.last_used = now;
        Some(mapping.external_port)
    }

    fn insert_mapping(&mut self, key: &MappingKey<F>, mapping: &Mapping) -> Insert {
        F::tables_mut(self.state).mappings.insert(*key, *mapping)
    }

    fn remove_mapping(&mut self, key: &MappingKey<F>) {
        F::tables_mut(self.state).mappings.remove(key);
    }

    fn endpoint(&self, key: &EndpointKey<F>) -> Option<Endpoint<F>> {
        F::tables(self.state).endpoints.get(key)
    }

    fn insert_endpoint(&mut self, key: &EndpointKey<F>, endpoint: &Endpoint<F>) -> Insert {
        F::tables_mut(self.state).endpoints.insert(*key, *endpoint)
    }

    fn remove_endpoint(&mut self, key: &EndpointKey<F>) {
        F::tables_mut(self.state).endpoints.remove(key);
    }

    fn host_flows(&self, host: F::Address) -> u32 {
        let tables = F::tables(self.state);
        let Some(opened) = tables.hosts.get(&host) else { return 0 };
        let held = opened.wrapping_sub(tables.hosts_ended.get(&host).unwrap_or(0));
        if held > u32::MAX / 2 { 0 } else { held }
    }

    fn count_host(&mut self, host: F::Address) {
        let hosts = &mut F::tables_mut(self.state).hosts;
        match hosts.get_mut(&host) {
            Some(counter) => *counter = counter.wrapping_add(1),
            None => {
                let _ = hosts.insert(host, 1);
            }
        }
    }

    fn rate(&mut self, rule: RuleId) -> Option<&mut u64> {
        (rule.0 < RULE_IDS).then(|| self.state.rates.entry(rule.0).or_default())
    }

    fn count_rule(&mut self, rule: RuleId) {
        if rule.0 < RULE_IDS {
            *self.state.rule_hits.entry(rule.0).or_default() += 1;
        }
    }

    fn report(&mut self, event: &Event) {
        self.state.events.push(*event);
    }
}
