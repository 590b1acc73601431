//! What is done now and then: expiry, and neighbours kept alive.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::error;
use super::gateway::Gateway;
use crate::inventory::IfIndex;
use crate::netlink;
use crate::netlink::apply::NextHop;

/// Stations kept resolved. The kernel's table holds 1024 before it collects garbage in earnest (`gc_thresh3`).
const MANAGED_NEIGHBOURS: usize = 512;

impl Gateway {
    /// Sweeps, and says when to do so again.
    pub async fn sweep(&mut self) -> Duration {
        let (engine, scene) = self.scene();
        let again = engine.sweep(scene);
        self.learn_gateways().await;
        let next_hops = self.stations();
        self.manage_neighbours(&next_hops).await;
        again
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

    /// Stations on our links that packets are sent to: gateways, and hosts that flows go to.
    fn stations(&self) -> BTreeSet<NextHop> {
        self.on_link(self.engine.ends().into_iter())
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
