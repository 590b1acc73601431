//! The kernel's BPF side: loading, attaching, tables, and what is read back from them.

mod adopt;
mod attach;
mod error;
pub mod inspect;
mod load;
mod maps;
mod raw;
mod shared;
mod sweep;
mod tables;

use gateway_ebpf::abi::Tick;
use gateway_ebpf::nat::siphash;
use gateway_ebpf::table::Seed;

pub use adopt::{Adopted, MappingKind};
pub use attach::{Attachment, TcHook};
pub use error::DatapathError;
pub use load::{Buckets, Capacity, Loaded, TC, XDP};
pub use maps::{FamilyMaps, Maps, Table};
pub use raw::Raw;
pub use shared::Shared;
pub use sweep::{Swept, Traffic, allowance};
pub use tables::Written;

use crate::inventory::IfIndex;
use crate::model::Timeouts;
use crate::plan::Plan;
use attach::Attachments;

/// A ring buffer, as the kernel fills it.
pub type Ring = tokio::io::unix::AsyncFd<aya::maps::RingBuf<aya::maps::MapData>>;

/// Where the build left the bench's own BPF object (`gateway-ebpf/src/bench`). The daemon never reads it, so it is not inside the program.
#[must_use]
pub fn bench_object() -> &'static std::path::Path {
    std::path::Path::new(env!("GATEWAY_BENCH_OBJECT"))
}

/// The tables' seed, out of the key of the port hash: neither tells of the other.
fn seed(secret: [u64; 2]) -> Seed {
    Seed([siphash::hash(secret, u64::MAX, 0), siphash::hash(secret, u64::MAX, 1)])
}

/// The running datapath. Dropping it detaches every program and frees every table.
pub struct Datapath {
    loaded: Loaded,
    written: Written,
    attachments: Attachments,
    capacity: Capacity,
    /// The last sweep left a half-open table more than half full.
    crowded: bool,
}

impl Datapath {
    /// Loads the programs. Nothing is attached yet.
    ///
    /// `secret` keys the port hash and must come from the kernel's random number generator. `hook` is how tc is reached:
    /// [`TcHook::of_this_kernel`].
    ///
    /// # Errors
    /// The kernel refuses the object.
    pub fn new(capacity: Capacity, secret: [u64; 2], hook: TcHook) -> Result<Self, DatapathError> {
        let loaded = Loaded::new(capacity, seed(secret), 0)?;
        Ok(Self { loaded, written: Written::new(secret), attachments: Attachments::new(hook), capacity, crowded: false })
    }

    /// Brings the tables to what the plan wants, and leaves the attachments as they are.
    ///
    /// # Errors
    /// A table cannot be written.
    pub fn write(&mut self, plan: &Plan) -> Result<bool, DatapathError> {
        self.written.write(&mut self.loaded.maps, plan)
    }

    /// Takes over flows that another datapath has carried; how many found their place.
    ///
    /// # Errors
    /// A table cannot be written.
    pub fn adopt(&mut self, flows: &[Adopted], now: Tick) -> Result<usize, DatapathError> {
        adopt::adopt(&mut self.loaded.maps, flows, now)
    }

    /// Brings tables and attachments to what the plan wants: tables first, so that no packet meets an empty policy. True when flows will
    /// be decided anew.
    ///
    /// # Errors
    /// Something was refused. What was not reached is as before.
    pub fn apply(&mut self, plan: &Plan) -> Result<bool, DatapathError> {
        let changed = self.write(plan)?;
        self.attachments.follow(&mut self.loaded, plan)?;
        Ok(changed)
    }

    /// Takes every program off its interface. The tables stay until the datapath is dropped.
    pub fn detach(&mut self) {
        // Detaching finds nothing that could fail: an interface that is gone took its links with it.
        let _ = self.attachments.follow(&mut self.loaded, &Plan::default());
    }

    /// Ends what has been idle for too long, or came through an interface that is gone.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn sweep(&mut self, now: Tick, timeouts: &Timeouts) -> Result<Swept, DatapathError> {
        let interfaces = self.attachments.held.keys().copied().collect();
        let terms = sweep::Terms { now, timeouts, interfaces: &interfaces, crowded: self.crowded };
        let swept = sweep::sweep(&mut self.loaded.maps, &terms)?;
        let crowded = |half_open: u64, capacity: Capacity| half_open * 2 > u64::from(capacity.half_open());
        self.crowded = crowded(swept.half_open - swept.half_open_v6, self.capacity) || crowded(swept.half_open_v6, self.capacity.v6());
        Ok(swept)
    }

    /// Whether half-open flows took more than half of their places at the last sweep.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// What the interface has.
    #[must_use]
    pub fn attachment(&self, index: IfIndex) -> Option<&Attachment> {
        self.attachments.held.get(&index)
    }

    /// The maps, to look into.
    #[must_use]
    pub fn maps(&self) -> &Maps {
        &self.loaded.maps
    }

    /// The stream of logged events, to wait for; once. Needs a tokio runtime.
    ///
    /// # Errors
    /// The ring buffer cannot be registered with the runtime.
    pub fn take_events(&mut self) -> std::io::Result<Option<Ring>> {
        self.loaded.maps.events.take().map(raw::watch).transpose()
    }

    /// The stream of refused packets that deserve an answer, to wait for; once. Needs a tokio runtime.
    ///
    /// # Errors
    /// The ring buffer cannot be registered with the runtime.
    pub fn take_answers(&mut self) -> std::io::Result<Option<Ring>> {
        self.loaded.maps.answers.take().map(raw::watch).transpose()
    }

    /// How large the tables are.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }
}
