//! What netlink observed: plain data, so that `plan` stays pure and testable.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::InterfaceName;

/// The kernel's interface index (`ifindex`), never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// One observed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: InterfaceName,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has a carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// The link-layer address; `None` on links without one (tun, loopback).
    pub mac: Option<Mac>,
    /// The MTU in bytes, without the link-layer header.
    pub mtu: u32,
    /// `IFLA_INFO_KIND`: "veth", "vlan", "bridge"; `None` for physical and virtio NICs.
    pub kind: Option<String>,
    /// The bus of its parent device (`IFLA_PARENT_DEV_BUS_NAME`): "virtio", "pci"; `None` for links of software.
    pub bus: Option<String>,
    /// What the driver says of XDP (`netdev` generic netlink, Linux 6.3); `None` where the kernel cannot tell.
    pub xdp: Option<XdpFeatures>,
    /// Every address, in the kernel's order: the first of a family is its primary address.
    pub addresses: Vec<IpNet>,
}

/// The driver's XDP abilities (`NETDEV_XDP_ACT_*` in include/uapi/linux/netdev.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// Native XDP programs can be attached (`BASIC`, `REDIRECT`).
    pub native: bool,
    /// Other interfaces' programs can redirect to this one *now* (`NDO_XMIT`): on a veth it depends on the peer's NAPI.
    pub transmit: bool,
    /// A received frame may lie in several buffers, and so be larger than a page (`RX_SG`).
    pub fragments: bool,
}

/// Everything observed at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Links by index.
    pub links: BTreeMap<IfIndex, Link>,
    /// Changes by one whenever a route, rule, neighbour's MAC or link state changed that could alter a forwarding decision.
    pub routing_changes: u64,
    /// Addresses that may not be used yet, or never: duplicate address detection still runs, or has failed (`IFA_F_TENTATIVE`,
    /// `IFA_F_DADFAILED`). They are among their links' addresses.
    pub tentative: BTreeSet<(IfIndex, IpAddr)>,
    /// How often a link's driver has asked that neighbours be told where it is (`IFLA_EVENT_NOTIFY_PEERS`): after a live migration, or a
    /// failover within a bond.
    pub notify_peers: BTreeMap<IfIndex, u64>,
}

impl Inventory {
    /// The link of that name.
    #[must_use]
    pub fn link(&self, name: &InterfaceName) -> Option<&Link> {
        self.links.values().find(|link| link.name == *name)
    }
}

impl Link {
    /// The primary IPv4 address.
    #[must_use]
    pub fn primary_v4(&self) -> Option<std::net::Ipv4Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }
}
