//! From netlink messages to plain data. The kernel's attributes are untrusted: what is missing or malformed gives `None`.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkEvent, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::RouteProtocol;

use super::apply::PROTOCOL;
use crate::inventory::{IfIndex, Link, Mac};
use crate::model::InterfaceName;

fn index(raw: u32) -> Option<IfIndex> {
    (raw != 0).then_some(IfIndex(raw))
}

fn mac(raw: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(raw).ok().map(Mac)
}

/// A link without its addresses and XDP abilities; `None` when it is not about a link as such.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    // Bridges announce their ports' membership as RTM_{NEW,DEL}LINK of AF_BRIDGE: a port that left its bridge is still a link.
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut name = None;
    let mut link_mac = None;
    let mut mtu = 0;
    let mut kind = None;
    let mut bus = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(InterfaceName(value.clone())),
            LinkAttribute::Address(value) => link_mac = mac(value),
            LinkAttribute::Mtu(value) => mtu = *value,
            LinkAttribute::ParentDevBusName(value) => bus = Some(value.clone()),
            LinkAttribute::LinkInfo(infos) => {
                kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(value) => Some(value.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let flags = message.header.flags;
    // The loopback device reports an all-zero address, which is no address.
    let link_mac = link_mac.filter(|_| !flags.contains(LinkFlags::Loopback));
    Some(Link {
        index: index(message.header.index)?,
        name: name?,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        mac: link_mac,
        mtu,
        kind,
        bus,
        xdp: None,
        addresses: Vec::new(),
    })
}

/// The index of the link that a `RTM_DELLINK` took away.
pub(super) fn deleted_link(message: &LinkMessage) -> Option<IfIndex> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    index(message.header.index)
}

/// The link whose driver asks that neighbours be told where it is.
pub(super) fn notifies_peers(message: &LinkMessage) -> Option<IfIndex> {
    let asks = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::Event(LinkEvent::NotifyPeers));
    index(message.header.index).filter(|_| message.attributes.iter().any(asks))
}

/// True when the address may not be used yet, or never: its uniqueness is being tried, or was refuted.
pub(super) fn is_tentative(message: &AddressMessage) -> bool {
    let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
    let flagged = |attribute: &AddressAttribute| matches!(attribute, AddressAttribute::Flags(flags) if flags.intersects(unusable));
    message.header.flags.intersects(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed) || message.attributes.iter().any(flagged)
}

/// A link's address.
pub(super) fn address(message: &AddressMessage) -> Option<(IfIndex, IpNet)> {
    let mut local = None;
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(value) => local = Some(*value),
            AddressAttribute::Address(value) => address = Some(*value),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the peer and IFA_LOCAL our own (include/uapi/linux/if_addr.h).
    let ip = local.or(address)?;
    Some((index(message.header.index)?, IpNet::new(ip, message.header.prefix_len).ok()?))
}

/// A neighbour's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NeighbourKey {
    pub(super) link: IfIndex,
    pub(super) ip: IpAddr,
}

/// What one message says of one neighbour.
pub(super) enum NeighbourReport {
    /// Resolved to this address.
    Usable(Mac),
    /// Being resolved for the first time, or again: says nothing of the address it had.
    Unresolved,
    /// Did not answer.
    Failed,
}

/// Who keeps a neighbour's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The gateway, which lets go of it when no flow needs it any more.
    Gateway,
    /// The kernel or the operator.
    Others,
}

/// An IPv4 or IPv6 neighbour, its state and its keeper; `None` for bridge and VXLAN forwarding entries, proxies and multicast mappings.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, NeighbourReport, Keeper)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let mut ip = None;
    let mut link_layer = None;
    let mut keeper = Keeper::Others;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => ip = Some(IpAddr::V4(*value)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(value)) => ip = Some(IpAddr::V6(*value)),
            NeighbourAttribute::LinkLayerAddress(value) => link_layer = mac(value),
            // The kernel takes the flag off before it announces a deletion; the protocol stays.
            NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)) => keeper = Keeper::Gateway,
            NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed) => keeper = Keeper::Gateway,
            _ => {}
        }
    }
    let key = NeighbourKey { link: index(message.header.ifindex)?, ip: ip.filter(|ip| !ip.is_multicast())? };
    let report = match (message.header.state, link_layer) {
        (NeighbourState::Failed, _) => NeighbourReport::Failed,
        (NeighbourState::Incomplete | NeighbourState::None, _) | (_, None) => NeighbourReport::Unresolved,
        (_, Some(mac)) => NeighbourReport::Usable(mac),
    };
    Some((key, report, keeper))
}
