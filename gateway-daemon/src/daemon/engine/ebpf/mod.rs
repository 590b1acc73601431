//! The eBPF datapath, and the guard table beside it.

mod clock;
mod handover;
mod refusals;
mod views;

use std::future::pending;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use clock::now;
use gateway_ebpf::abi::Event;
use refusals::Refusals;

use super::standing::Standing;
use super::{Scene, Told};
use crate::daemon::{DaemonError, error};
use crate::datapath::{Capacity, Datapath, Ring, Swept, TcHook, inspect};
use crate::instance::InstanceName;
use crate::inventory::IfIndex;
use crate::model::Model;
use crate::nftables::{NftError, guard};
use crate::plan::Plan;

/// How often the tables are swept. Timeouts are minutes; a closed flow's ports are free this much later at most.
const SWEEP: Duration = Duration::from_secs(5);
/// A sweep may take this share of the time, three tenths of a per cent: a million flows take longer, so they are swept less often, every half
/// minute or so.
const SWEEP_SHARE: u32 = 350;
/// While a flood of half-open flows takes the places of others, they are worth more.
const CROWDED_SHARE: u32 = 50;
/// Logged packets taken at once, so that a flood of them leaves the loop's other work its turn.
const LOGGED_AT_ONCE: usize = 256;

/// The programs with their tables, and what is drawn out of them.
pub struct Ebpf {
    datapath: Datapath,
    /// The policy that the guard table was made from.
    guarded: Option<Model>,
    standing: Standing,
    /// The last sweep.
    swept: Swept,
    ended: Ended,
    logged: Option<Ring>,
    refusals: Refusals,
}

/// Flows, packets and bytes of everything that has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    flows: u64,
    packets: u64,
    bytes: u64,
}

impl Ebpf {
    /// Loads the programs; nothing is attached yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// The kernel refuses the programs.
    pub fn load(flows: u32) -> Result<Self, DaemonError> {
        let runtime = |source| DaemonError::Runtime { source };
        let mut datapath = Datapath::new(Capacity { flows }, secret()?, TcHook::of_this_kernel())?;
        Ok(Self {
            logged: datapath.take_events().map_err(runtime)?,
            refusals: Refusals::open(&mut datapath).map_err(runtime)?,
            datapath,
            guarded: None,
            standing: Standing::open()?,
            swept: Swept::default(),
            ended: Ended::default(),
        })
    }

    /// Puts the guard table in place, where it is not.
    ///
    /// # Errors
    /// nft refuses it; the table before it stands.
    pub async fn protect(&mut self, scene: Scene<'_>) -> Result<(), NftError> {
        if self.guarded.as_ref() != Some(scene.model) {
            let guard = guard::apply(scene.instance.as_str(), scene.model).await?;
            self.guarded = Some(scene.model.clone());
            self.standing.applied(scene, &guard).await?;
        }
        Ok(())
    }

    /// Looks whether the guard table stands as it was applied; where it does not, the next [`Ebpf::protect`] applies it again.
    pub async fn verify(&mut self, scene: Scene<'_>) {
        if self.guarded.is_some() && !self.standing.stands(scene).await {
            self.guarded = None;
        }
    }

    /// The policy that the guard table was made from.
    #[must_use]
    pub fn protected(&self) -> Option<&Model> {
        self.guarded.as_ref()
    }

    /// Brings tables and attachments to the plan.
    ///
    /// # Errors
    /// The kernel refuses something.
    pub fn apply(&mut self, plan: &Plan) -> Result<(), DaemonError> {
        self.datapath.apply(plan)?;
        Ok(())
    }

    /// Ends what has been idle for too long, and says when to do so again.
    pub fn sweep(&mut self, scene: Scene<'_>) -> Duration {
        let begun = Instant::now();
        self.standing.doubt();
        match self.datapath.sweep(now(), &scene.model.timeouts) {
            Ok(swept) => {
                self.ended.flows += swept.ended;
                self.ended.packets += swept.gone.packets;
                self.ended.bytes += swept.gone.bytes;
                self.warn_of_full_tables(swept.flows);
                self.swept = swept;
            }
            Err(failed) => tracing::warn!("{}", error::chain(&failed)),
        }
        SWEEP.max(begun.elapsed() * if self.datapath.is_crowded() { CROWDED_SHARE } else { SWEEP_SHARE })
    }

    fn warn_of_full_tables(&self, flows: u64) {
        let capacity = u64::from(self.datapath.capacity().flows);
        let (before, full) = (self.swept.flows * 10 >= capacity * 9, flows * 10 >= capacity * 9);
        if full && !before {
            tracing::warn!("{flows} flows of {capacity}: new ones will be refused at the limit; raise `flows` in [datapath] and restart");
        }
    }

    /// Where flows go: their ends, each with the link towards it. The kernel must keep those on link resolved, as redirected frames do
    /// not make it ask.
    #[must_use]
    pub fn ends(&self) -> Vec<(IfIndex, IpAddr)> {
        // Beyond this many flows the walk would cost more than the resolution that it saves.
        if self.swept.flows > 10_000 {
            return Vec::new();
        }
        let flows = inspect::flows(self.datapath.maps());
        flows.iter().flat_map(|flow| [(flow.egress, flow.translated_destination.ip()), (flow.arrival, flow.source.ip())]).collect()
    }

    /// Waits for the datapath to tell something. Nothing is lost when this is dropped while it waits.
    pub async fn told(&mut self) -> Told {
        tokio::select! {
            logged = next_logged(&mut self.logged) => Told::Logged(logged),
            () = self.refusals.ready() => Told::Refused,
            () = self.standing.told() => Told::Rulesets,
        }
    }

    /// Answers refused packets, as far as the limit allows.
    pub fn answer(&mut self, scene: Scene<'_>) {
        self.refusals.answer(scene.inventory);
    }

    /// Takes every program off its interface.
    pub fn detach(&mut self) {
        self.datapath.detach();
    }

    /// Removes the guard table.
    ///
    /// # Errors
    /// nft refuses.
    pub async fn unprotect(&mut self, instance: &InstanceName) -> Result<(), NftError> {
        self.guarded = None;
        guard::remove(instance.as_str()).await
    }
}

/// Takes logged packets out of the ring.
async fn next_logged(logged: &mut Option<Ring>) -> Vec<Event> {
    let Some(ring) = logged else { return pending().await };
    let Ok(mut guard) = ring.readable_mut().await else { return pending().await };
    let ring = guard.get_inner_mut();
    let mut events = Vec::new();
    while let Some(item) = ring.next() {
        events.extend(inspect::event(&item));
        if events.len() >= LOGGED_AT_ONCE {
            // Still ready: the rest comes with the next call.
            return events;
        }
    }
    guard.clear_ready();
    events
}

/// The key of the port hash.
fn secret() -> Result<[u64; 2], DaemonError> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| DaemonError::Runtime { source: errno.into() })?;
    let (low, high) = bytes.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    Ok([word(low), word(high)])
}
