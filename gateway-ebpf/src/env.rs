//! The second seam: every question about the world.
//!
//! In the kernel the answers come from BPF maps and helpers, in tests from ordinary collections. References with the lifetime `'m` live
//! as long as the tables, so that they can be held while flows change.

use crate::abi::{
    Allocation, Bank, BankHeader, Config, Endpoint, EndpointKey, Event, Family, Flow, FlowKey, FlowState, Generation, IfIndex, Interface,
    Ipv4, Mac, Mapping, MappingKey, Port, Protocol, Rule, RuleId, Search, SetBits, Tick,
};

/// What the hook knows of a packet besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The interface it came from.
    pub ifindex: IfIndex,
    /// Coarse monotonic time in nanoseconds.
    pub now_ns: u64,
    /// Bytes of payload per segment of a GSO packet; 0 for an ordinary one.
    pub gso_size: u16,
    /// A VLAN tag that the driver has already taken off: the whole TCI, 0 for none.
    pub vlan: u16,
}

impl Arrival {
    /// The time as flows keep it.
    #[inline(always)]
    #[must_use]
    pub const fn now(&self) -> Tick {
        Tick::from_ns(self.now_ns)
    }
}

/// Which table a flow stands in. Half-open flows live apart, so that a flood of first packets cannot fill the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Flows in which both sides have spoken.
    Main,
    /// Flows in which only one has.
    HalfOpen,
}

pub use crate::table::Insert;

/// A question to the kernel's routing tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteQuery<F: Family> {
    /// Where the packet comes from, for policy routes.
    pub source: F::Address,
    /// Where it is to go.
    pub destination: F::Address,
    /// The interface it arrived on.
    pub arrival: IfIndex,
    /// Its protocol.
    pub protocol: Protocol,
}

/// The answer. A plain structure and not an enum with data, because the kernel fills it in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteAnswer<F: Family> {
    /// Egress interface.
    pub egress: IfIndex,
    /// MTU towards the destination, in bytes.
    pub mtu: u16,
    /// The next hop's MAC, when resolved.
    pub next_mac: Mac,
    /// The next hop's address.
    pub gateway: F::Address,
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forward; the MAC is valid.
    Resolved,
    /// Forward; the next hop's MAC is not known yet.
    Unresolved,
    /// The gateway's own address, or a broadcast address.
    Local,
    /// There is no route, or one that says so.
    Unreachable,
    /// The kernel may not forward on the arrival interface.
    ForwardingOff,
}

/// The world, for one address family.
pub trait Env<'m, F: Family> {
    /// Where a flow stands, for [`Env::count_flow`].
    type Place: Copy;

    /// A copy of the configuration; `None` before the daemon has written one. Taken once per packet: a flow must not be judged by one
    /// policy and stamped with the generation of the next.
    fn config(&self) -> Option<Config>;
    /// [`Config::generation`] alone, for the fast path; `None` before the daemon has written one.
    fn generation(&self) -> Option<Generation>;
    /// A bank's header.
    fn bank(&self, bank: Bank) -> Option<&'m BankHeader>;
    /// An interface that is in a zone.
    fn interface(&self, index: IfIndex) -> Option<&'m Interface>;
    /// An entry of the rule table.
    fn rule(&self, index: u32) -> Option<&'m Rule>;
    /// An entry of the pool table.
    fn pool(&self, index: u32) -> Option<Ipv4>;
    /// Which sets an address is in; `None` when in none.
    fn sets(&self, bank: Bank, address: F::Address) -> Option<&'m SetBits>;

    /// The memory of a rule search; it has its own place because the kernel's stack has 512 bytes.
    fn search(&mut self) -> Option<&mut Search>;
    /// Runs [`crate::search::step`] for 0, 1, … up to `len`, until it says stop.
    fn run_search(&mut self, len: u32);

    /// The memory of a search for an external port; `None` for a family that is not translated.
    fn allocation(&mut self) -> Option<&mut Allocation<F>>;
    /// Runs [`crate::nat::attempt`] for 0, 1, … up to `attempts`, until it says stop.
    fn run_allocation(&mut self, attempts: u32);

    /// Asks the kernel's routing tables.
    fn route(&mut self, query: &RouteQuery<F>, answer: &mut RouteAnswer<F>) -> RouteKind;

    /// Finds a flow of the main table, for the fast path: at the first sign that it is being changed there is none. Its counters are not read.
    fn established(&mut self, key: &FlowKey<F>) -> Option<(Flow<F>, Self::Place)>;
    /// Counts a packet of `length` bytes.
    fn count_flow(&mut self, place: Self::Place, now: Tick, length: u32);
    /// Copies a flow. False: there is none.
    fn read_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &mut Flow<F>) -> bool;
    /// Whether a key is taken.
    fn has_flow(&mut self, table: Table, key: &FlowKey<F>) -> bool;
    /// Adds a flow.
    fn insert_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>) -> Insert;
    /// Replaces a flow that is there; one that is gone stays gone.
    fn update_flow(&mut self, table: Table, key: &FlowKey<F>, flow: &Flow<F>);
    /// Changes a flow's state; one that is gone stays gone.
    fn set_state(&mut self, table: Table, key: &FlowKey<F>, state: FlowState);
    /// Removes a flow.
    fn remove_flow(&mut self, table: Table, key: &FlowKey<F>);

    /// The external port of a mapping, through which a flow is opened now.
    fn use_mapping(&mut self, key: &MappingKey<F>, now: Tick) -> Option<Port>;
    /// Adds a mapping.
    fn insert_mapping(&mut self, key: &MappingKey<F>, mapping: &Mapping) -> Insert;
    /// Removes a mapping.
    fn remove_mapping(&mut self, key: &MappingKey<F>);
    /// Finds whose an external endpoint is.
    fn endpoint(&self, key: &EndpointKey<F>) -> Option<Endpoint<F>>;
    /// Claims an external endpoint.
    fn insert_endpoint(&mut self, key: &EndpointKey<F>, endpoint: &Endpoint<F>) -> Insert;
    /// Gives an external endpoint back.
    fn remove_endpoint(&mut self, key: &EndpointKey<F>);

    /// Flows that the host holds now.
    fn host_flows(&self, host: F::Address) -> u32;
    /// Counts one more. A full host table counts nothing: a quota is not worth an outage.
    fn count_host(&mut self, host: F::Address);
    /// When the rule's next flow is due, in nanoseconds; see [`crate::zone`].
    fn rate(&mut self, rule: RuleId) -> Option<&mut u64>;
    /// Counts a match of a rule.
    fn count_rule(&mut self, rule: RuleId);
    /// Reports an event to user space; may be lost under load.
    fn report(&mut self, event: &Event);
}
