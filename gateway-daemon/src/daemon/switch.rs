//! From one engine to the other while traffic runs: the new one is ready, with the flows of the old one, before the old one lets go.

use std::collections::HashMap;
use std::net::IpAddr;

use super::engine::{Carry, Ebpf, Engine, Nftables, Why};
use super::gateway::Gateway;
use super::watchdog::alive_during;
use super::{DaemonError, error};
use crate::inventory::IfIndex;
use crate::model::{DatapathMode, ZoneName};
use crate::netlink;

impl Gateway {
    /// Exchanges the engine where the policy asks for another one.
    ///
    /// # Errors
    /// The kernel refuses the new one; the old one goes on.
    pub async fn follow_mode(&mut self) -> Result<(), DaemonError> {
        let mode = self.policy.model.mode;
        if self.engine.suits(mode) {
            return Ok(());
        }
        match mode {
            DatapathMode::Nftables => self.switch_to_nftables(Why::Configured).await,
            DatapathMode::Tc | DatapathMode::Xdp => self.switch_to_ebpf().await,
            DatapathMode::Auto => match self.switch_to_ebpf().await {
                // What forwards now forwards on.
                Err(refused) => {
                    self.engine.stay(Why::refused(&refused));
                    Ok(())
                }
                Ok(()) => Ok(()),
            },
        }
    }

    /// The ruleset takes the guard's place while the programs still take every packet; then conntrack learns their flows; then they go.
    ///
    /// # Errors
    /// nft or conntrack refuses.
    pub async fn switch_to_nftables(&mut self, why: Why) -> Result<(), DaemonError> {
        let mut next = Nftables::open(why, &self.record.changes.sysctls).await?;
        self.set_tracking();
        let (engine, scene) = self.scene();
        let Engine::Ebpf(ebpf) = engine else { return Ok(()) };
        next.protect(scene).await?;
        let flows = ebpf.hand_over(scene)?;
        let mut kept = next.take_over(scene, &flows)?;
        ebpf.detach();
        // Those that were opened meanwhile; the others are there already.
        let flows = ebpf.hand_over(scene)?;
        kept += next.take_over(scene, &flows)?;
        let half_open = ebpf.half_open();
        // The policy may have changed with the datapath.
        next.end_refused(scene);
        self.engine = Engine::Nftables(Box::new(next));
        tell(
            "nftables",
            kept.min(flows.len()),
            flows.len(),
            &format!("{half_open} half-open ones begin anew; mappings without a flow, and with them filters open to any remote, are lost"),
        );
        Ok(())
    }

    /// The tables are filled before a program sees a packet; the ruleset gives way to the guard when all of them are in place.
    async fn switch_to_ebpf(&mut self) -> Result<(), DaemonError> {
        let flows = self.policy.model.flows;
        // The verifier's work: tenths of a second, and half a minute on an emulated machine that has other work.
        let mut next = alive_during(move || Ebpf::load(flows)).await?;
        let flows = {
            let (engine, scene) = self.scene();
            let Engine::Nftables(nftables) = engine else { return Ok(()) };
            nftables.hand_over(scene)?
        };
        let flows = self.place(flows).await;
        let (engine, scene) = self.scene();
        let plan = crate::plan::plan(scene.model, scene.inventory, scene.numbers);
        let kept = next.take_over(scene, &plan, &flows)?;
        next.apply(&plan)?;
        next.protect(scene).await?;
        if let Engine::Nftables(nftables) = engine
            && let Err(failed) = nftables.forget(scene)
        {
            tracing::warn!("conntrack keeps flows that are no longer its own until they are idle: {}", error::chain(&failed));
        }
        self.plan = plan;
        self.engine = Engine::Ebpf(Box::new(next));
        tell("eBPF", kept, flows.len(), "half-open ones begin anew");
        Ok(())
    }

    /// Finds the interfaces of flows that only know their zones. A zone of one interface leaves no question; of several, the route tells.
    async fn place(&self, mut flows: Vec<Carry>) -> Vec<Carry> {
        let handle = self.observer.handle();
        let mut only: HashMap<&ZoneName, Vec<IfIndex>> = HashMap::new();
        for (index, planned) in &self.plan.interfaces {
            only.entry(&planned.zone).or_default().push(*index);
        }
        let mut routes: HashMap<IpAddr, Option<IfIndex>> = HashMap::new();
        for flow in &mut flows {
            let ends = [(&flow.from, flow.source.ip(), &mut flow.arrival), (&flow.to, flow.translated_destination.ip(), &mut flow.egress)];
            for (zone, address, place) in ends {
                if let Some([index]) = only.get(zone).map(Vec::as_slice) {
                    *place = Some(*index);
                    continue;
                }
                *place = match routes.get(&address) {
                    Some(found) => *found,
                    None => {
                        let found = netlink::egress(&handle, address).await;
                        routes.insert(address, found);
                        found
                    }
                };
            }
        }
        flows
    }
}

fn tell(engine: &str, kept: usize, all: usize, lost: &str) {
    tracing::info!(kept, all, "{engine} forwards now: {kept} of {all} established flows go on; {lost}");
}
