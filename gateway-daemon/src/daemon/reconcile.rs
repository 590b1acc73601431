//! From the policy and the network of now to a machine that forwards accordingly: the one way in for start, reload, and every change of
//! links, addresses and routes.
//!
//! The order keeps it closed at every moment: the guard table first, then the kernel's forwarding, and the programs over their tables last.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::gateway::Gateway;
use super::{DaemonError, error};
use crate::control::view::Datapath;
use crate::inventory::{IfIndex, Link};
use crate::model::{InterfaceName, PortRange};
use crate::netlink::apply;
use crate::plan::{LOCAL_PORTS, Plan};
use crate::sysctl;

/// How long the kernel's announcement of a change that it has confirmed may take.
const ANNOUNCEMENT: Duration = Duration::from_secs(1);

impl Gateway {
    /// Reconciles until nothing of what was just configured is still on its way back from the kernel: what follows finds the addresses in
    /// place.
    ///
    /// # Errors
    /// As [`Gateway::reconcile`].
    pub async fn settle(&mut self) -> Result<(), DaemonError> {
        // Addresses, then what follows from them: three rounds are one more than any start has needed.
        for _ in 0..3 {
            if !self.reconcile().await? {
                break;
            }
            match tokio::time::timeout(ANNOUNCEMENT, self.observer.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{}", error::chain(&error)),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Brings the machine to what the policy wants. True when links or addresses were changed, which the kernel will announce.
    ///
    /// # Errors
    /// What leaves an interface without a datapath, or a gateway that starts without its guard. Lesser problems are kept in [`Gateway::problems`].
    pub async fn reconcile(&mut self) -> Result<bool, DaemonError> {
        self.problems.clear();
        let (engine, scene) = self.scene();
        match engine.protect(scene).await {
            Ok(()) => {}
            // The guard before it stands, and what it does not cover is not told to forward.
            Err(error) if self.engine.is_guarded() => self.problems.push(error::chain(&DaemonError::from(error))),
            Err(error) => return Err(error.into()),
        }
        self.set_sysctls();
        if let Engine::Nftables(nftables) = &self.engine {
            if nftables.needs_ipv6_everywhere()
                && let Err(error) = sysctl::forward_ipv6_everywhere(&mut self.record.changes.sysctls)
            {
                self.problems.push(error::chain(&error));
            }
            // After the ruleset, which may be what brings connection tracking up.
            self.set_tracking();
        }
        let changed = self.configure_links().await;
        self.configure_routes().await;
        if let Err(error) = self.record.write() {
            self.problems.push(error::chain(&error));
        }

        let (engine, scene) = self.scene();
        let plan = engine.plan(scene);
        self.problems.extend(plan.left_out.iter().map(|rule| {
            let rule = &rule.0;
            format!(
                "rule \"{rule}\" is not in force: the datapath has no number left for its addresses; join lists of addresses in `[sets]`"
            )
        }));
        let applied = self.engine.apply(&plan);
        self.announce(&plan);
        let lost = self.plan.interfaces.keys().any(|index| !plan.interfaces.contains_key(index));
        self.plan = plan;
        self.announcer.observe(self.observer.inventory(), self.plan.interfaces.keys().copied(), &self.forwarding, Instant::now());
        if lost {
            // Flows of an interface that is gone must not wait for their time: its successor's may be theirs.
            self.sweep().await;
        }
        applied?;
        Ok(changed)
    }

    fn set_sysctls(&mut self) {
        let PortRange { first, last } = LOCAL_PORTS;
        if let Err(error) = sysctl::local_ports(&mut self.record.changes.sysctls, &format!("{first} {last}")) {
            self.problems.push(error::chain(&error));
        }
        let links: Vec<(IfIndex, InterfaceName)> = self.guarded_links().map(|link| (link.index, link.name.clone())).collect();
        self.forwarding.retain(|index| links.iter().any(|(known, _)| known == index));
        // Neither guarded nor filtered, it must not forward either.
        let names: Vec<&InterfaceName> = links.iter().map(|(_, name)| name).collect();
        let errors = self.record.changes.sysctls.restore_others(&names);
        self.problems.extend(errors.iter().map(|error| error::chain(error)));
        for (index, name) in links {
            if self.forwarding.contains(&index) {
                continue;
            }
            let validation = self.policy.model.interfaces.get(&name).map(|interface| interface.source_validation).unwrap_or_default();
            match sysctl::forward(&mut self.record.changes.sysctls, &name, validation) {
                Ok(path) => {
                    self.forwarding.insert(index);
                    if !path.ipv6 {
                        self.without_ipv6_errors.insert(index);
                    }
                }
                Err(error) => self.problems.push(error::chain(&error)),
            }
        }
    }

    /// What connection tracking must be told where its flows are ours.
    pub fn set_tracking(&mut self) {
        match sysctl::track(&mut self.record.changes.sysctls, &self.policy.model.timeouts) {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => tracing::debug!("this kernel has no {}", missing.join(", ")),
            Err(error) => self.problems.push(error::chain(&error)),
        }
    }

    /// Addresses and MTUs that the policy gives. An address that somebody removed is put back here, because its removal comes back as a
    /// change.
    async fn configure_links(&mut self) -> bool {
        let handle = self.observer.handle();
        let mut changed = false;
        for (name, wanted) in &self.policy.model.interfaces {
            let Some(link) = self.observer.inventory().link(name) else { continue };
            let applied = &mut self.record.changes.applied;
            let before = applied.clone();
            if let Err(error) = apply::mtu(&handle, link, wanted.mtu, applied).await {
                self.problems.push(error::chain(&error));
            }
            let report = apply::addresses(&handle, link, &wanted.addresses, applied).await;
            for address in &report.added {
                tracing::info!("{}: address {address} set", name.0);
            }
            self.problems.extend(report.errors.iter().map(|error| error::chain(error)));
            if !wanted.addresses.is_empty()
                && !link.up
                && let Err(error) = apply::up(&handle, link, applied).await
            {
                self.problems.push(error::chain(&error));
            }
            changed |= *applied != before || !report.added.is_empty();
        }
        changed
    }

    async fn configure_routes(&mut self) {
        let handle = self.observer.handle();
        let inventory = self.observer.inventory();
        match apply::routes(&handle, inventory, &self.policy.model.routes, &mut self.record.changes.applied).await {
            Ok(report) => self.problems.extend(report.errors.iter().map(|error| error::chain(error))),
            Err(error) => self.problems.push(error::chain(&error)),
        }
    }

    /// Says what has changed since the last plan.
    fn announce(&self, plan: &Plan) {
        for problem in &self.problems {
            tracing::warn!("{problem}");
        }
        if !self.ready {
            return;
        }
        let attached = plan
            .interfaces
            .iter()
            .filter(|(index, planned)| self.engine.handling(**index, planned).datapath != Datapath::None)
            .map(|(_, planned)| planned);
        for planned in attached.filter(|planned| self.plan.interfaces.values().all(|old| old.name != planned.name)) {
            tracing::info!("{} ({}) is here and forwards: {}", planned.name.0, planned.zone.0, planned.reason);
        }
        for waiting in plan.waiting.iter().filter(|waiting| !self.plan.waiting.contains(waiting)) {
            tracing::warn!("{} ({}): {}", waiting.name.0, waiting.zone.0, waiting.reason);
        }
    }

    /// Links of zones that the guard table stands before.
    fn guarded_links(&self) -> impl Iterator<Item = &Link> {
        let guarded = |name: &&InterfaceName| {
            self.engine.protected().iter().flat_map(|model| &model.zones).any(|zone| zone.interfaces.contains(name))
        };
        let names = self.policy.model.zones.iter().flat_map(|zone| &zone.interfaces).filter(guarded);
        names.filter_map(|name| self.observer.inventory().link(name))
    }

    /// Addresses of stations that flows go to, so that the kernel keeps them resolved.
    pub async fn manage_neighbours(&mut self, wanted: &BTreeSet<apply::NextHop>) {
        let handle = self.observer.handle();
        let report = apply::neighbours(&handle, self.observer.inventory(), wanted, &mut self.record.changes.applied).await;
        for error in &report.errors {
            tracing::debug!("{}", error::chain(error));
        }
        if let Err(error) = self.record.write() {
            tracing::warn!("{}", error::chain(&error));
        }
    }
}
