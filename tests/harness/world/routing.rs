//! The kernel's routing tables as `bpf_fib_lookup` shows them (net/core/filter.c, `bpf_ipv4_fib_lookup` and `bpf_ipv6_fib_lookup`).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use gateway_ebpf::abi::{Address, Family, IfIndex, Ipv4, Ipv6, Mac};
use gateway_ebpf::env::{RouteAnswer, RouteKind, RouteQuery};
use ipnet::IpNet;

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub to: IpNet,
    /// Through which interface.
    pub egress: IfIndex,
    /// Via whom; `None` when the destination is on the link.
    pub via: Option<IpAddr>,
}

/// A station on a link.
pub type Neighbour = (IfIndex, IpAddr);

/// What the kernel knows.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// Routes; the longest prefix wins.
    pub routes: Vec<Route>,
    /// Resolved neighbours.
    pub neighbours: HashMap<Neighbour, Mac>,
    /// MTU of each interface.
    pub links: HashMap<IfIndex, u16>,
    /// Addresses of the gateway, broadcast and anycast addresses included.
    pub own: HashSet<IpAddr>,
    /// Interfaces on which the kernel may not forward.
    pub not_forwarding: HashSet<IfIndex>,
}

impl Routing {
    /// The gateway's own addresses.
    #[must_use]
    pub fn own_addresses(&self) -> HashSet<IpAddr> {
        self.own.clone()
    }

    /// Answers a question as `gateway-ebpf/src/hooks/fib.rs` does.
    pub fn answer<F: Family>(&self, query: &RouteQuery<F>, answer: &mut RouteAnswer<F>) -> RouteKind {
        let destination = ip(query.destination);
        if self.own.contains(&destination) {
            return RouteKind::Local;
        }
        if self.not_forwarding.contains(&query.arrival) {
            return RouteKind::ForwardingOff;
        }
        let longest = self.routes.iter().filter(|route| route.to.contains(&destination)).max_by_key(|route| route.to.prefix_len());
        let Some(route) = longest else { return RouteKind::Unreachable };
        let Some(mtu) = self.links.get(&route.egress) else { return RouteKind::Unreachable };
        let gateway = route.via.unwrap_or(destination);
        answer.mtu = *mtu;
        answer.egress = route.egress;
        answer.gateway = F::Address::from_words(words(gateway));
        let Some(next) = self.neighbours.get(&(route.egress, gateway)) else { return RouteKind::Unresolved };
        answer.next_mac = *next;
        RouteKind::Resolved
    }
}

/// An address of the core as an ordinary one.
#[must_use]
pub fn ip<A: Address>(address: A) -> IpAddr {
    if A::BYTES == 4 { IpAddr::from(Ipv4(address.words()[0]).octets()) } else { IpAddr::from(Ipv6(address.words()).octets()) }
}

/// An ordinary address as words of the wire.
#[must_use]
pub fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => Ipv4::from_octets(v4.octets()).words(),
        IpAddr::V6(v6) => Ipv6::from_octets(v6.octets()).words(),
    }
}
