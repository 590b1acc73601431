//! The packet core's world on ordinary collections: what the kernel answers from maps and helpers, without a kernel.
//!
//! [`World`] runs the core exactly as `gateway-ebpf/src/hooks` does, so that a test can send frames through it, look at every table, and
//! hold the loaded programs against it.

mod answers;
mod hooks;
mod policy;
mod routing;
mod tables;

pub use hooks::Sent;
pub use policy::{Policy, accept, exempt, forward, masquerade, pooled, refuse, reject};
pub use routing::{Neighbour, Route, Routing, ip, words};
pub use tables::{Bounded, Capacities, FamilyTables, HostFamily, PolicyTables, Snapshot, State};

use gateway_ebpf::abi::{Generation, Reason};

/// The time at which a world begins, in nanoseconds: an hour, so that "earlier" can be expressed.
pub const START_NS: u64 = 3_600_000_000_000;

/// A gateway without a kernel.
pub struct World {
    /// What the daemon writes.
    pub policy: PolicyTables,
    /// What the kernel's routing tables would say.
    pub routing: Routing,
    /// What the datapath writes.
    pub state: State,
    /// The clock, in nanoseconds.
    pub now_ns: u64,
}

impl World {
    /// A gateway with a policy, routes and table sizes.
    #[must_use]
    pub fn new(policy: &Policy, routing: Routing, capacities: Capacities) -> Self {
        let mut world =
            Self { policy: PolicyTables::empty(routing.own_addresses()), routing, state: State::new(capacities), now_ns: START_NS };
        world.install(policy);
        world
    }

    /// Installs a policy as the daemon does: into the bank that no packet reads, then the generation.
    pub fn install(&mut self, policy: &Policy) {
        self.policy.install(policy);
    }

    /// Tells the datapath that links, addresses, routes or neighbours have changed.
    pub fn routes_changed(&mut self) {
        let Generation(routing) = self.policy.config.routing;
        self.policy.config.routing = Generation(routing + 1);
        self.policy.own = self.routing.own_addresses();
    }

    /// Lets time pass.
    pub fn wait_ms(&mut self, millis: u64) {
        self.now_ns += millis * 1_000_000;
    }

    /// How often a reason was counted.
    #[must_use]
    pub fn counted(&self, reason: Reason) -> u64 {
        self.state.reasons[reason.index() as usize]
    }

    /// Every table that a dropped packet must leave as it was. Counters are not among them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.snapshot()
    }
}
