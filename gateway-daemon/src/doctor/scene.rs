//! What the doctor looks at: the machine as it is, and the policy that is meant for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::DoctorError;
use crate::inventory::{IfIndex, Inventory, Link, Mac};
use crate::model::{DatapathMode, InterfaceName, Model, ZoneName};
use crate::netlink::apply::NextHop;
use crate::netlink::{self, Hardware, Observer};

/// Kinds of links that are no leg of a gateway by themselves, unless a policy says so.
const NO_LEGS: [&str; 7] = ["bridge", "dummy", "ifb", "vcan", "vrf", "nlmon", "netdevsim"];

/// The machine at one moment.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Links and addresses.
    pub inventory: Inventory,
    /// What the links are made of.
    pub hardware: BTreeMap<IfIndex, Hardware>,
    /// Next hops of default routes.
    pub gateways: BTreeSet<NextHop>,
    /// Whom the kernel knows.
    pub neighbours: BTreeMap<NextHop, Mac>,
    /// The policy, if there is one.
    pub model: Option<Model>,
    /// Peers that the user named.
    pub peers: Vec<IpAddr>,
    /// CPUs that are online.
    pub cpus: u32,
}

/// One of the interfaces that the gateway stands on.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The link.
    pub link: Link,
    /// What it is made of.
    pub hardware: Hardware,
    /// Its zone, where a policy gives it one.
    pub zone: Option<ZoneName>,
    /// Addresses that the policy will give it and that it does not have yet.
    pub planned: Vec<IpNet>,
    /// Gateways of default routes through it.
    pub gateways: Vec<IpAddr>,
}

impl Leg {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.link.name.0
    }

    /// A default route leaves through it.
    #[must_use]
    pub fn is_outer(&self) -> bool {
        !self.gateways.is_empty()
    }

    /// Addresses that it has, and that it will have.
    pub fn addresses(&self) -> impl Iterator<Item = &IpNet> {
        self.link.addresses.iter().chain(&self.planned)
    }

    /// Link kinds as rtnetlink has them; "" for hardware and virtio.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.link.kind.as_deref().unwrap_or_default()
    }
}

impl Scene {
    /// Looks at the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel does not answer over netlink.
    pub async fn observe(model: Option<Model>, peers: Vec<IpAddr>) -> Result<Self, DoctorError> {
        let observer = Observer::start().await?;
        let handle = observer.handle();
        Ok(Self {
            inventory: observer.inventory().clone(),
            hardware: netlink::hardware(&handle).await?,
            gateways: netlink::default_gateways(&handle).await?,
            neighbours: netlink::neighbours(&handle).await?,
            model,
            peers,
            cpus: online_cpus(),
        })
    }

    /// The legs: with a policy the interfaces of its zones, without one every Ethernet interface that stands for itself.
    #[must_use]
    pub fn legs(&self) -> Vec<Leg> {
        match &self.model {
            Some(model) => {
                let zones = model.zones.iter();
                let named = zones.flat_map(|zone| zone.interfaces.iter().map(move |name| (name, &zone.name)));
                named.filter_map(|(name, zone)| Some(self.leg(self.inventory.link(name)?, Some(zone.clone())))).collect()
            }
            None => self.inventory.links.values().filter(|link| self.stands_for_itself(link)).map(|link| self.leg(link, None)).collect(),
        }
    }

    fn stands_for_itself(&self, link: &Link) -> bool {
        let port = self.hardware.get(&link.index).is_some_and(|hardware| hardware.master.is_some());
        let kind = link.kind.as_deref().unwrap_or_default();
        link.mac.is_some() && !port && !NO_LEGS.contains(&kind) && (link.up || !link.addresses.is_empty())
    }

    fn leg(&self, link: &Link, zone: Option<ZoneName>) -> Leg {
        let wanted = self.model.iter().filter_map(|model| model.interfaces.get(&link.name)).flat_map(|interface| &interface.addresses);
        let gateways = self.gateways.iter().filter(|gateway| gateway.link == link.index);
        Leg {
            link: link.clone(),
            hardware: self.hardware.get(&link.index).cloned().unwrap_or_default(),
            zone,
            planned: wanted.filter(|net| link.addresses.iter().all(|held| held.addr() != net.addr())).copied().collect(),
            gateways: gateways.map(|gateway| gateway.address).collect(),
        }
    }

    /// The datapath that the policy wants for an interface.
    #[must_use]
    pub fn mode(&self, name: &InterfaceName) -> DatapathMode {
        let Some(model) = &self.model else { return DatapathMode::Auto };
        model.interfaces.get(name).and_then(|interface| interface.datapath).unwrap_or(model.mode)
    }

    /// Stations on the leg's link that may answer, the likeliest first: named ones, gateways, known neighbours, the policy's servers and
    /// next hops.
    #[must_use]
    pub fn peers_of(&self, leg: &Leg) -> Vec<IpAddr> {
        let nets: Vec<IpNet> = leg.addresses().copied().collect();
        let on_link = |address: &IpAddr| nets.iter().any(|net| net.contains(address) && net.addr() != *address);
        let known = self.neighbours.keys().filter(|neighbour| neighbour.link == leg.link.index).map(|neighbour| neighbour.address);
        let servers = self.model.iter().flat_map(|model| model.nat.destination.iter().map(|rule| rule.to));
        let next_hops = self.model.iter().flat_map(|model| model.routes.iter().filter_map(|route| route.via));
        let all = self.peers.iter().copied().chain(leg.gateways.iter().copied()).chain(known).chain(servers).chain(next_hops);
        let own: BTreeSet<IpAddr> = self.inventory.links.values().flat_map(|link| &link.addresses).map(IpNet::addr).collect();
        let mut peers = Vec::new();
        for peer in all.filter(on_link).filter(|peer| !own.contains(peer)) {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        peers
    }
}

/// Counted from the list of the kernel, as this process itself may be bound to some of them.
fn online_cpus() -> u32 {
    let listed = std::fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|list| count(list.trim()));
    listed.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)))
}

/// Counts a list such as "0-3,8".
fn count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0u32, |sum, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_counted_from_the_kernels_list() {
        assert_eq!([count("0"), count("0-3"), count("0-1,4,6-7"), count(""), count("3-1")], [Some(1), Some(4), Some(5), None, None]);
    }
}
