//! What makes the kernel forward by the policy: the eBPF programs beside a guard table, or an nftables ruleset and the kernel's own NAT.
//!
//! The two answer the same questions, and hand their flows to each other when the policy asks for the other one.

mod carry;
mod drops;
mod ebpf;
mod nftables;
mod scene;
mod standing;

use std::net::IpAddr;
use std::time::Duration;

use gateway_ebpf::abi::Event;

pub use carry::Carry;
pub use ebpf::Ebpf;
pub use nftables::{Nftables, Why};
pub use scene::Scene;

use super::{DaemonError, error};
use crate::control::view::{Datapath, DropsView, FlowView, MappingView, TableView, TrafficView};
use crate::instance::InstanceName;
use crate::inventory::IfIndex;
use crate::model::{DatapathMode, Model};
use crate::nftables::NftError;
use crate::plan::{Plan, PlannedInterface};
use crate::sysctl::Saved;

/// One of the two.
pub enum Engine {
    /// tc and XDP.
    Ebpf(Box<Ebpf>),
    /// The kernel's own forwarding, filter and NAT.
    Nftables(Box<Nftables>),
}

/// How an engine handles an interface's packets.
pub struct Handling {
    /// What handles them.
    pub datapath: Datapath,
    /// How it is attached.
    pub attach: String,
    /// Why so, as a sentence.
    pub reason: String,
}

/// Something that an engine tells by itself.
pub enum Told {
    /// Packets that a rule logs.
    Logged(Vec<Event>),
    /// Refused packets wait for [`Engine::answer`].
    Refused,
    /// Somebody else has changed the machine's rulesets: ours may be gone.
    Rulesets,
}

impl Engine {
    /// The engine that the policy asks for. With `mode = "auto"` a kernel that refuses the programs gets the other one.
    ///
    /// # Errors
    /// The kernel refuses what the policy asks for.
    pub async fn start(model: &Model, saved: &Saved) -> Result<Self, DaemonError> {
        match model.mode {
            DatapathMode::Nftables => Self::nftables(Why::Configured, saved).await,
            DatapathMode::Tc | DatapathMode::Xdp => Self::ebpf(model),
            DatapathMode::Auto => match Self::ebpf(model) {
                Ok(engine) => Ok(engine),
                Err(refused) => Self::nftables(Why::refused(&refused), saved).await,
            },
        }
    }

    /// The programs, loaded and not yet attached.
    ///
    /// # Errors
    /// The kernel refuses them.
    fn ebpf(model: &Model) -> Result<Self, DaemonError> {
        Ok(Self::Ebpf(Box::new(Ebpf::load(model.flows)?)))
    }

    /// The kernel's own forwarding; nothing is applied yet.
    ///
    /// # Errors
    /// There is no way to conntrack.
    async fn nftables(why: Why, saved: &Saved) -> Result<Self, DaemonError> {
        Ok(Self::Nftables(Box::new(Nftables::open(why, saved).await?)))
    }

    /// True when the policy may go on with this engine.
    #[must_use]
    pub fn suits(&self, mode: DatapathMode) -> bool {
        match self {
            Self::Ebpf(_) => mode != DatapathMode::Nftables,
            Self::Nftables(nftables) => mode == DatapathMode::Nftables || (mode == DatapathMode::Auto && nftables.is_fallback()),
        }
    }

    /// Says anew why this engine forwards, where the one that the policy prefers has been refused.
    pub fn stay(&mut self, why: Why) {
        if let Self::Nftables(nftables) = self {
            nftables.stay(why);
        }
    }

    /// What the tables are to hold, and which interfaces carry traffic.
    #[must_use]
    pub fn plan(&self, scene: Scene<'_>) -> Plan {
        match self {
            Self::Ebpf(_) => crate::plan::plan(scene.model, scene.inventory, scene.numbers),
            Self::Nftables(_) => crate::plan::interfaces(scene.model, scene.inventory, scene.numbers),
        }
    }

    /// Puts in place what must stand before an interface is told to forward: the guard table, or the whole ruleset.
    ///
    /// # Errors
    /// nft refuses it; what stood before it stands.
    pub async fn protect(&mut self, scene: Scene<'_>) -> Result<(), NftError> {
        match self {
            Self::Ebpf(ebpf) => ebpf.protect(scene).await,
            Self::Nftables(nftables) => nftables.protect(scene).await,
        }
    }

    /// The policy that [`Engine::protect`] last succeeded with.
    #[must_use]
    pub fn protected(&self) -> Option<&Model> {
        match self {
            Self::Ebpf(ebpf) => ebpf.protected(),
            Self::Nftables(nftables) => nftables.protected(),
        }
    }

    /// True when a guard stands beside the datapath, whatever policy it was made from.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        matches!(self, Self::Ebpf(ebpf) if ebpf.protected().is_some())
    }

    /// Brings tables and attachments to the plan.
    ///
    /// # Errors
    /// The kernel refuses something.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), DaemonError> {
        match self {
            Self::Ebpf(ebpf) => ebpf.apply(plan),
            // The kernel's own hooks are on every interface.
            Self::Nftables(_) => Ok(()),
        }
    }

    /// What is done now and then; says when to do it again.
    pub fn sweep(&mut self, scene: Scene<'_>) -> Duration {
        match self {
            Self::Ebpf(ebpf) => ebpf.sweep(scene),
            Self::Nftables(nftables) => nftables.sweep(),
        }
    }

    /// Ends of flows that the kernel must be told to keep resolved, each with the link towards it.
    #[must_use]
    pub fn ends(&self) -> Vec<(IfIndex, IpAddr)> {
        match self {
            Self::Ebpf(ebpf) => ebpf.ends(),
            // What the kernel forwards itself, it resolves itself.
            Self::Nftables(_) => Vec::new(),
        }
    }

    /// Waits for the engine to tell something. Nothing is lost when this is dropped while it waits.
    pub async fn told(&mut self) -> Told {
        match self {
            Self::Ebpf(ebpf) => ebpf.told().await,
            Self::Nftables(nftables) => nftables.told().await,
        }
    }

    /// Answers refused packets, as far as the limit allows.
    pub fn answer(&mut self, scene: Scene<'_>) {
        if let Self::Ebpf(ebpf) = self {
            ebpf.answer(scene);
        }
    }

    /// Asks whether what [`Engine::protect`] put in place still stands, and if not, has it put there again.
    pub async fn verify(&mut self, scene: Scene<'_>) {
        match self {
            Self::Ebpf(ebpf) => ebpf.verify(scene).await,
            Self::Nftables(nftables) => nftables.verify(scene).await,
        }
    }

    /// Stops forwarding, as far as it is the engine's to stop.
    pub fn detach(&mut self) {
        if let Self::Ebpf(ebpf) = self {
            ebpf.detach();
        }
    }

    /// Removes what [`Engine::protect`] put in place.
    ///
    /// # Errors
    /// nft refuses.
    pub async fn unprotect(&mut self, instance: &InstanceName) -> Result<(), NftError> {
        match self {
            Self::Ebpf(ebpf) => ebpf.unprotect(instance).await,
            Self::Nftables(nftables) => nftables.unprotect(instance).await,
        }
    }

    /// How an interface's packets are handled.
    #[must_use]
    pub fn handling(&self, index: IfIndex, planned: &PlannedInterface) -> Handling {
        match self {
            Self::Ebpf(ebpf) => ebpf.handling(index, planned),
            Self::Nftables(nftables) => nftables.handling(),
        }
    }

    /// What the policy asks for in words and this engine does not do, one sentence each.
    #[must_use]
    pub fn differences(&self, model: &Model) -> Vec<String> {
        match self {
            Self::Ebpf(_) => Vec::new(),
            Self::Nftables(_) => {
                crate::nftables::differences(model).iter().filter(|difference| difference.withholds()).map(ToString::to_string).collect()
            }
        }
    }

    /// How full the tables are.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn tables(&mut self) -> Result<Vec<TableView>, DaemonError> {
        match self {
            Self::Ebpf(ebpf) => Ok(ebpf.tables()),
            Self::Nftables(nftables) => nftables.tables(),
        }
    }

    /// Counters since the start.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn traffic(&mut self, scene: Scene<'_>) -> Result<TrafficView, DaemonError> {
        match self {
            Self::Ebpf(ebpf) => Ok(ebpf.traffic()?),
            Self::Nftables(nftables) => nftables.traffic(scene).await,
        }
    }

    /// Every flow.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn flows(&mut self, scene: Scene<'_>) -> Result<Vec<FlowView>, DaemonError> {
        match self {
            Self::Ebpf(ebpf) => Ok(ebpf.flows(scene)?),
            Self::Nftables(nftables) => nftables.flows(scene),
        }
    }

    /// Every mapping.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn mappings(&mut self, scene: Scene<'_>) -> Result<Vec<MappingView>, DaemonError> {
        match self {
            Self::Ebpf(ebpf) => Ok(ebpf.mappings(scene)?),
            Self::Nftables(nftables) => nftables.mappings(scene),
        }
    }

    /// What was not forwarded, and by which rule.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub async fn drops(&mut self, scene: Scene<'_>) -> Result<DropsView, DaemonError> {
        match self {
            Self::Ebpf(ebpf) => Ok(ebpf.drops(scene)?),
            Self::Nftables(nftables) => nftables.drops(scene).await,
        }
    }
}

impl Why {
    /// The programs were refused, and the policy leaves the choice.
    #[must_use]
    pub fn refused(refusal: &DaemonError) -> Self {
        let text = error::chain(refusal);
        tracing::warn!("auto: the eBPF datapath cannot run here, nftables forwards instead: {text}");
        Self::Refused(text)
    }
}
