//! What the observer knows, and how one message changes it. No I/O, so that every order of messages can be tried.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteFlags, RouteMessage};

use super::parse::{self, Keeper, NeighbourKey, NeighbourReport};
use crate::inventory::{IfIndex, Inventory, Link, Mac, XdpFeatures};

/// Addresses remembered of neighbours that the gateway let go of.
const RELEASED: usize = 4096;

/// A full snapshot, as dumps gave it.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) links: Vec<RouteNetlinkMessage>,
    pub(super) addresses: Vec<RouteNetlinkMessage>,
    pub(super) neighbours: Vec<RouteNetlinkMessage>,
    pub(super) xdp: Option<BTreeMap<IfIndex, XdpFeatures>>,
}

/// Everything observed, with what is needed to judge the next message.
#[derive(Default)]
pub(super) struct State {
    inventory: Inventory,
    /// Neighbours with a usable address. A neighbour that is only being resolved again keeps its place.
    neighbours: BTreeMap<NeighbourKey, Mac>,
    /// Addresses that neighbours had when the gateway's own entries for them ended. That changes no packet's way, and flows may still
    /// hold the address; only another one does.
    released: BTreeMap<NeighbourKey, Mac>,
    /// Kept apart from the links, because the two arrive in either order. `None`: the kernel cannot tell.
    xdp: Option<BTreeMap<IfIndex, XdpFeatures>>,
    addresses_stale: bool,
    changed: bool,
}

impl State {
    pub(super) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// True once after something relevant changed.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// True while an address event waits for [`State::replace_addresses`]: events do not carry the kernel's order, a dump does.
    pub(super) fn addresses_stale(&self) -> bool {
        self.addresses_stale
    }

    fn route_changed(&mut self) {
        self.inventory.routing_changes = self.inventory.routing_changes.wrapping_add(1);
        self.changed = true;
    }

    /// Takes one announced message in.
    pub(super) fn follow(&mut self, message: &RouteNetlinkMessage) {
        match message {
            RouteNetlinkMessage::NewLink(message) => {
                if let Some(link) = parse::link(message) {
                    self.put_link(link);
                }
                if let Some(index) = parse::notifies_peers(message) {
                    *self.inventory.notify_peers.entry(index).or_default() += 1;
                    self.changed = true;
                }
            }
            RouteNetlinkMessage::DelLink(message) => {
                if let Some(index) = parse::deleted_link(message) {
                    self.remove_link(index);
                }
            }
            RouteNetlinkMessage::NewAddress(_) | RouteNetlinkMessage::DelAddress(_) => self.addresses_stale = true,
            RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) if is_route(message) => {
                self.route_changed();
            }
            RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => self.route_changed(),
            RouteNetlinkMessage::NewNeighbour(message) => {
                if let Some((key, report, keeper)) = parse::neighbour(message) {
                    self.put_neighbour(key, &report, keeper);
                }
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                if let Some((key, _, keeper)) = parse::neighbour(message) {
                    self.end_neighbour(key, keeper);
                }
            }
            _ => {}
        }
    }

    fn put_link(&mut self, mut link: Link) {
        link.xdp = self.xdp.as_ref().and_then(|known| known.get(&link.index).copied());
        let Some(old) = self.inventory.links.get_mut(&link.index) else {
            self.inventory.links.insert(link.index, link);
            self.changed = true;
            // Its addresses may have been announced, and read, before the link itself.
            self.addresses_stale = true;
            return;
        };
        link.addresses = std::mem::take(&mut old.addresses);
        let forwards_otherwise = (old.up, old.carrier, old.mac, old.mtu) != (link.up, link.carrier, link.mac, link.mtu);
        let differs = forwards_otherwise || old.name != link.name || old.kind != link.kind || old.xdp != link.xdp;
        *old = link;
        self.changed |= differs;
        if forwards_otherwise {
            self.route_changed();
        }
    }

    fn remove_link(&mut self, index: IfIndex) {
        self.neighbours.retain(|key, _| key.link != index);
        self.released.retain(|key, _| key.link != index);
        self.inventory.notify_peers.remove(&index);
        if self.inventory.links.remove(&index).is_some() {
            self.route_changed();
        }
    }

    fn put_neighbour(&mut self, key: NeighbourKey, report: &NeighbourReport, keeper: Keeper) {
        match report {
            NeighbourReport::Usable(mac) => {
                // None before: it resolved for the first time, and no flow can hold an older address of it.
                let released = self.released.remove(&key);
                if self.neighbours.insert(key, *mac).or(released).is_some_and(|old| old != *mac) {
                    self.route_changed();
                }
            }
            NeighbourReport::Failed => self.end_neighbour(key, keeper),
            NeighbourReport::Unresolved => {}
        }
    }

    fn end_neighbour(&mut self, key: NeighbourKey, keeper: Keeper) {
        let Some(mac) = self.neighbours.remove(&key) else { return };
        match keeper {
            Keeper::Gateway if self.released.len() < RELEASED => {
                self.released.insert(key, mac);
            }
            Keeper::Gateway => {
                // Everything is decided anew, so no older address counts any more.
                self.released.clear();
                self.route_changed();
            }
            Keeper::Others => self.route_changed(),
        }
    }

    /// Takes one link's XDP abilities in; `None`: the link is gone.
    pub(super) fn put_xdp(&mut self, index: IfIndex, features: Option<XdpFeatures>) {
        let known = self.xdp.get_or_insert_default();
        match features {
            Some(features) => known.insert(index, features),
            None => known.remove(&index),
        };
        if let Some(link) = self.inventory.links.get_mut(&index)
            && link.xdp != features
        {
            link.xdp = features;
            self.changed = true;
        }
    }

    /// Takes every link's XDP abilities in; `None`: the kernel cannot tell.
    pub(super) fn replace_xdp(&mut self, xdp: Option<BTreeMap<IfIndex, XdpFeatures>>) {
        for (index, link) in &mut self.inventory.links {
            let features = xdp.as_ref().and_then(|known| known.get(index).copied());
            self.changed |= link.xdp != features;
            link.xdp = features;
        }
        self.xdp = xdp;
    }

    /// Takes a dump of all addresses in, in the kernel's order.
    pub(super) fn replace_addresses(&mut self, dump: &[RouteNetlinkMessage]) {
        let mut by_link: BTreeMap<IfIndex, Vec<IpNet>> = BTreeMap::new();
        let mut tentative = BTreeSet::new();
        for message in dump {
            if let RouteNetlinkMessage::NewAddress(message) = message
                && let Some((index, net)) = parse::address(message)
            {
                by_link.entry(index).or_default().push(net);
                if parse::is_tentative(message) {
                    tentative.insert((index, net.addr()));
                }
            }
        }
        let mut differs = false;
        for (index, link) in &mut self.inventory.links {
            let addresses = by_link.remove(index).unwrap_or_default();
            differs |= link.addresses != addresses;
            link.addresses = addresses;
        }
        self.addresses_stale = false;
        // No packet's way depends on it, but the address can be announced now.
        self.changed |= self.inventory.tentative != tentative;
        self.inventory.tentative = tentative;
        if differs {
            self.route_changed();
        }
    }

    /// Takes a full snapshot in. Counts as a routing change: what was announced before it may have been lost.
    pub(super) fn replace(&mut self, snapshot: Snapshot) {
        self.xdp = snapshot.xdp;
        let mut links = BTreeMap::new();
        for message in &snapshot.links {
            if let RouteNetlinkMessage::NewLink(message) = message
                && let Some(mut link) = parse::link(message)
            {
                link.xdp = self.xdp.as_ref().and_then(|known| known.get(&link.index).copied());
                links.insert(link.index, link);
            }
        }
        self.inventory.links = links;
        self.replace_addresses(&snapshot.addresses);
        self.neighbours.clear();
        self.released.clear();
        for message in &snapshot.neighbours {
            if let RouteNetlinkMessage::NewNeighbour(message) = message
                && let Some((key, NeighbourReport::Usable(mac), _)) = parse::neighbour(message)
            {
                self.neighbours.insert(key, mac);
            }
        }
        self.route_changed();
    }
}

/// Cloned routes are the kernel's per-destination caches (path MTU, redirects), not routes.
fn is_route(message: &RouteMessage) -> bool {
    !message.header.flags.contains(RouteFlags::Cloned)
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::AddressFamily;
    use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
    use rtnetlink::packet_route::link::{LinkAttribute, LinkEvent, LinkMessage};
    use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
    use rtnetlink::packet_route::route::RouteProtocol;

    use super::*;
    use crate::netlink::apply::PROTOCOL;

    fn neighbour(state: NeighbourState, mac: Option<u8>, ours: bool) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = 2;
        message.header.state = state;
        message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 7].into())));
        message.attributes.extend(mac.map(|last| NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, last])));
        if ours {
            message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
        }
        message
    }

    /// What the kernel announces for a neighbour that is deleted.
    fn delete(state: &mut State, ours: bool) {
        state.follow(&RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Failed, None, ours)));
        state.follow(&RouteNetlinkMessage::DelNeighbour(neighbour(NeighbourState::Failed, None, ours)));
    }

    fn resolve(state: &mut State, mac: u8, ours: bool) {
        state.follow(&RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Reachable, Some(mac), ours)));
    }

    #[test]
    fn letting_go_of_a_neighbour_changes_no_route_until_it_has_another_address() {
        let mut state = State::default();
        resolve(&mut state, 1, true);
        delete(&mut state, true);
        resolve(&mut state, 1, false);
        assert!(!state.take_changed() && state.inventory().routing_changes == 0);
        resolve(&mut state, 1, true);
        delete(&mut state, true);
        resolve(&mut state, 2, false);
        assert_eq!(state.inventory().routing_changes, 1, "flows may hold the first address");
    }

    #[test]
    fn a_neighbour_of_others_that_ends_changes_the_routes() {
        let mut state = State::default();
        resolve(&mut state, 1, false);
        delete(&mut state, false);
        assert!(state.take_changed() && state.inventory().routing_changes == 1);
    }

    fn link(event: Option<LinkEvent>) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = 2;
        message.attributes.push(LinkAttribute::IfName("eth1".to_owned()));
        message.attributes.extend(event.map(LinkAttribute::Event));
        RouteNetlinkMessage::NewLink(message)
    }

    #[test]
    fn a_driver_that_asks_for_announcements_is_heard_each_time_and_changes_no_route() {
        let mut state = State::default();
        state.follow(&link(None));
        assert!(state.take_changed());
        for times in 1..3 {
            state.follow(&link(Some(LinkEvent::NotifyPeers)));
            assert!(state.take_changed());
            assert_eq!(state.inventory().notify_peers.get(&IfIndex(2)), Some(&times));
        }
        state.follow(&link(Some(LinkEvent::Features)));
        assert!(!state.take_changed() && state.inventory().routing_changes == 0);
    }

    #[test]
    fn an_address_is_tentative_until_its_detection_ends() {
        let address = |flags| {
            let mut message = AddressMessage::default();
            message.header.family = AddressFamily::Inet6;
            message.header.index = 2;
            message.header.prefix_len = 64;
            message.attributes.push(AddressAttribute::Address("fd00::1".parse().unwrap()));
            message.attributes.push(AddressAttribute::Flags(flags));
            [RouteNetlinkMessage::NewAddress(message)]
        };
        let mut state = State::default();
        state.follow(&link(None));
        state.replace_addresses(&address(AddressFlags::Permanent | AddressFlags::Tentative));
        assert!(state.take_changed() && state.inventory().tentative.len() == 1);
        let routes = state.inventory().routing_changes;
        state.replace_addresses(&address(AddressFlags::Permanent));
        assert!(state.take_changed() && state.inventory().tentative.is_empty());
        assert_eq!(state.inventory().routing_changes, routes);
        state.replace_addresses(&address(AddressFlags::Permanent | AddressFlags::Tentative | AddressFlags::Dadfailed));
        assert_eq!(state.inventory().tentative.len(), 1);
    }
}
