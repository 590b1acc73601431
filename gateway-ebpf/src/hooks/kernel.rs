//! The world as the kernel shows it: every question of the core, answered from maps and helpers.

use core::marker::PhantomData;
use core::ops::ControlFlow;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::cty::c_void;
use aya_ebpf::helpers::generated::bpf_loop;
use gateway_ebpf::abi::{
    Allocation, Bank, BankHeader, Config, Endpoint, EndpointKey, Event, Flow, FlowKey, FlowState, Generation, INTERFACES_LEN, IfIndex,
    Interface, Ipv4, Mapping, MappingKey, Port, Rule, RuleId, Search, SetBits, Tick,
};
use gateway_ebpf::env::{Env, Insert, RouteAnswer, RouteKind, RouteQuery, Table};
use gateway_ebpf::table::{self, FlowEntry};
use gateway_ebpf::{nat, search};

use super::fib;
use super::places::Words;
use super::tables::Tables;
use crate::maps;

/// The kernel, seen by a program of one family.
pub struct Kernel<F> {
    context: *mut c_void,
    family: PhantomData<F>,
}

impl<F: Tables> Kernel<F> {
    /// `context` is the program's own.
    #[inline(always)]
    pub fn new(context: *mut c_void) -> Self {
        Self { context, family: PhantomData }
    }
}

/// One step of a rule search, called by `bpf_loop`: 1 stops it. The search stands in its per-CPU map, where both sides find it.
extern "C" fn step<F: Tables>(position: u32, _context: *mut c_void) -> i64 {
    let Some(search) = search_memory() else { return 1 };
    let kernel = Kernel::<F>::new(core::ptr::null_mut());
    stop(search::step(search, &kernel, position))
}

/// One attempt of a search for an external port, called by `bpf_loop`.
extern "C" fn attempt<F: Tables>(number: u32, _context: *mut c_void) -> i64 {
    let Some(allocation) = F::allocation() else { return 1 };
    stop(nat::attempt(allocation, &mut Kernel::<F>::new(core::ptr::null_mut()), number))
}

/// What `bpf_loop` wants to hear.
#[inline(always)]
fn stop(flow: ControlFlow<()>) -> i64 {
    match flow {
        ControlFlow::Continue(()) => 0,
        ControlFlow::Break(()) => 1,
    }
}

#[inline(always)]
fn search_memory() -> Option<&'static mut Search> {
    // SAFETY: per CPU, and the program is not interrupted by another instance of itself.
    maps::SEARCH.get_ptr_mut(0).map(|p| unsafe { &mut *p })
}

impl<F: Tables> Env<'static, F> for Kernel<F> {
    type Place = Words;

    #[inline(always)]
    fn config(&self) -> Option<Config> {
        let config = maps::CONFIG.get_ptr(0)?;
        // SAFETY: an array element lives as long as the program. Volatile, so that the copy stays one: LLVM may otherwise read the map
        // again later, when the daemon has written it.
        let config = unsafe { config.read_volatile() };
        // The daemon's first write makes the generation non-zero.
        if config.policy.0 == 0 { None } else { Some(config) }
    }

    #[inline(always)]
    fn generation(&self) -> Option<Generation> {
        let config = maps::CONFIG.get_ptr(0)?;
        // SAFETY: as above. Both generations in one load: they are the first two members.
        let both = unsafe { config.cast::<u64>().read_volatile() };
        let (policy, routing) = (both as u32, (both >> 32) as u32);
        if policy == 0 { None } else { Some(Generation(policy.wrapping_add(routing))) }
    }

    #[inline(always)]
    fn bank(&self, bank: Bank) -> Option<&'static BankHeader> {
        maps::BANKS.get(bank.0)
    }

    #[inline(always)]
    fn interface(&self, index: IfIndex) -> Option<&'static Interface> {
        maps::INTERFACES.get(index.0 % INTERFACES_LEN).filter(|interface| interface.index == index)
    }

    #[inline(always)]
    fn rule(&self, index: u32) -> Option<&'static Rule> {
        maps::RULES.get(index)
    }

    #[inline(always)]
    fn pool(&self, index: u32) -> Option<Ipv4> {
        maps::POOL.get(index).copied()
    }

    #[inline(always)]
    fn sets(&self, bank: Bank, address: F::Address) -> Option<&'static SetBits> {
        F::sets(bank, address)
    }

    #[inline(always)]
    fn search(&mut self) -> Option<&mut Search> {
        search_memory()
    }

    #[inline(always)]
    fn run_search(&mut self, len: u32) {
        // SAFETY: the callback has the signature that `bpf_loop` wants, and takes no context.
        unsafe { bpf_loop(len, step::<F> as *mut c_void, core::ptr::null_mut(), 0) };
    }

    #[inline(always)]
    fn allocation(&mut self) -> Option<&mut Allocation<F>> {
        F::allocation()
    }

    #[inline(always)]
    fn run_allocation(&mut self, attempts: u32) {
        // SAFETY: as for the search.
        unsafe { bpf_loop(attempts, attempt::<F> as *mut c_void, core::ptr::null_mut(), 0) };
    }

    #[inline(always)]
    fn route(&mut self, query: &RouteQuery<F>, answer: &mut RouteAnswer<F>) -> RouteKind {
        fib::look_up(self.context, query, answer)
    }

    #[inline(always)]
    fn established(&mut self, key: &FlowKey<F>) -> Option<(Flow<F>, Words)> {
        table::established::<FlowEntry<F>, _>(&F::FLOWS, key)
    }

    #[inline(always)]
    fn count_flow(&mut self, place: Words, now: Tick, length: u32) {
        FlowEntry::<F>::count(place, now, length);
    }

    #[inline(always)]
    fn read_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &mut Flow<F>) -> bool {
        F::read_flow(table, key, flow)
    }

    #[inline(always)]
    fn has_flow(&mut self, table: Table, key: &FlowKey<F>) -> bool {
        F::has_flow(table, key)
    }

    #[inline(always)]
    fn insert_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>) -> Insert {
        F::insert_flow(table, key, flow)
    }

    #[inline(always)]
    fn update_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>) {
        F::replace_flow(table, key, flow);
    }

    #[inline(always)]
    fn set_state(&mut self, table: Table, key: &FlowKey<F>, state: FlowState) {
        F::set_state(table, key, state);
    }

    #[inline(always)]
    fn remove_flow(&mut self, table: Table, key: &FlowKey<F>) {
        F::remove_flow(table, key);
    }

    #[inline(always)]
    fn use_mapping(&mut self, key: &MappingKey<F>, now: Tick) -> Option<Port> {
        F::use_mapping(key, now)
    }

    #[inline(always)]
    fn insert_mapping(&mut self, key: &MappingKey<F>, mapping: &Mapping) -> Insert {
        F::insert_mapping(key, mapping)
    }

    #[inline(always)]
    fn remove_mapping(&mut self, key: &MappingKey<F>) {
        F::remove_mapping(key);
    }

    #[inline(always)]
    fn endpoint(&self, key: &EndpointKey<F>) -> Option<Endpoint<F>> {
        F::endpoint(key)
    }

    #[inline(always)]
    fn insert_endpoint(&mut self, key: &EndpointKey<F>, endpoint: &Endpoint<F>) -> Insert {
        F::insert_endpoint(key, endpoint)
    }

    #[inline(always)]
    fn remove_endpoint(&mut self, key: &EndpointKey<F>) {
        F::remove_endpoint(key);
    }

    #[inline(always)]
    fn host_flows(&self, host: F::Address) -> u32 {
        let Some(opened) = F::hosts().get_ptr(host) else { return 0 };
        // SAFETY: a copy of one word of a preallocated entry.
        let opened = unsafe { *opened };
        // SAFETY: likewise.
        let ended = F::hosts_ended().get_ptr(host).map_or(0, |p| unsafe { *p });
        // The daemon's count may be a sweep ahead or behind; below zero means none.
        let held = opened.wrapping_sub(ended);
        if held > u32::MAX / 2 { 0 } else { held }
    }

    #[inline(always)]
    fn count_host(&mut self, host: F::Address) {
        match F::hosts().get_ptr_mut(host) {
            // SAFETY: one word of a preallocated entry. Two CPUs may lose an increment; the daemon's sweep counts anew.
            Some(counter) => unsafe { *counter = (*counter).wrapping_add(1) },
            None => {
                let _ = F::hosts().insert(host, 1, BPF_ANY as u64);
            }
        }
    }

    #[inline(always)]
    fn rate(&mut self, rule: RuleId) -> Option<&mut u64> {
        // SAFETY: an array element lives as long as the program.
        maps::RATES.get_ptr_mut(rule.0 as u32).map(|p| unsafe { &mut *p })
    }

    #[inline(always)]
    fn count_rule(&mut self, rule: RuleId) {
        if let Some(counter) = maps::RULE_HITS.get_ptr_mut(rule.0 as u32) {
            // SAFETY: per CPU.
            unsafe { *counter += 1 };
        }
    }

    #[inline(always)]
    fn report(&mut self, event: &Event) {
        // A full ring buffer loses the report, not the packet.
        let _ = maps::EVENTS.output::<Event>(event, 0);
    }
}
