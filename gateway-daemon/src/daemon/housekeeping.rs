//! What is done now and then: expiry, and neighbours kept alive.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::error;
use super::gateway::{Gateway, now};
use crate::datapath::inspect;
use crate::inventory::IfIndex;
use crate::netlink;
use crate::netlink::apply::NextHop;

/// How often the tables are swept. Timeouts are minutes; a closed flow's ports are free this much later at most.
const SWEEP: Duration = Duration::from_secs(5);
/// A sweep may take this share of the time: a million flows take longer, so they are swept less often.
const SWEEP_SHARE: u32 = 50;
/// Stations kept resolved. The kernel's table holds 1024 before it collects garbage in earnest (`gc_thresh3`).
const MANAGED_NEIGHBOURS: usize = 512;

impl Gateway {
    /// Sweeps, and says when to do so again.
    pub async fn sweep(&mut self) -> Duration {
        let begun = Instant::now();
        match self.datapath.sweep(now(), &self.policy.model.timeouts) {
            Ok(swept) => {
                self.ended.flows += swept.ended;
                self.ended.packets += swept.gone.packets;
                self.ended.bytes += swept.gone.bytes;
                self.warn_of_full_tables(swept.flows);
                self.swept = swept;
            }
            Err(error) => tracing::warn!("{}", error::chain(&error)),
        }
        self.learn_gateways().await;
        let next_hops = self.stations();
        self.manage_neighbours(&next_hops).await;
        SWEEP.max(begun.elapsed() * SWEEP_SHARE)
    }

    /// Gateways of our links, read again only when routes have changed.
    async fn learn_gateways(&mut self) {
        let changes = self.observer.inventory().routing_changes;
        if self.gateways.0 == Some(changes) {
            return;
        }
        match netlink::gateways(&self.observer.handle()).await {
            Ok(mut gateways) => {
                gateways.retain(|gateway| self.plan.interfaces.contains_key(&gateway.link));
                self.gateways = (Some(changes), gateways);
            }
            Err(failed) => tracing::warn!("{}", error::chain(&failed)),
        }
    }

    fn warn_of_full_tables(&self, flows: u64) {
        let capacity = u64::from(self.datapath.capacity().flows);
        let (before, full) = (self.swept.flows * 10 >= capacity * 9, flows * 10 >= capacity * 9);
        if full && !before {
            tracing::warn!("{flows} flows of {capacity}: new ones will be refused at the limit; raise `flows` in [datapath] and restart");
        }
    }

    /// Stations on our links that packets are sent to: gateways, and hosts that flows go to.
    fn stations(&self) -> BTreeSet<NextHop> {
        // Beyond this many flows the walk would cost more than the resolution that it saves.
        if self.swept.flows > 10_000 {
            return self.on_link(std::iter::empty());
        }
        let flows = inspect::flows(self.datapath.maps()).unwrap_or_default();
        let ends = flows.iter().flat_map(|flow| [(flow.egress, flow.translated_destination.ip()), (flow.arrival, flow.source.ip())]);
        self.on_link(ends)
    }

    fn on_link(&self, ends: impl Iterator<Item = (IfIndex, IpAddr)>) -> BTreeSet<NextHop> {
        let inventory = self.observer.inventory();
        let is_on_link = |link: &IfIndex, address: &IpAddr| {
            inventory.links.get(link).is_some_and(|link| link.addresses.iter().any(|net| net.contains(address) && net.addr() != *address))
        };
        let mut wanted = self.gateways.1.clone();
        for (link, address) in ends.filter(|(link, address)| is_on_link(link, address)) {
            if wanted.len() >= MANAGED_NEIGHBOURS {
                break;
            }
            wanted.insert(NextHop { link, address });
        }
        wanted
    }
}
