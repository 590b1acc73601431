//! One lane's network: a gateway with four legs, and stations as bare wires. All lanes have the same names, addresses and MACs.
//!
//! ```text
//!   lan0  10.1.0.1/24                    fd00:1::1/64      172.16.5.0/24 behind 10.1.0.12
//!   wan0  203.0.113.1/24, .2/24          2001:db8:3::1/64  192.0.2.0/24, 198.51.100.0/24, 2001:db8:ffff::/48 behind .254, ::fe
//!   dmz0  10.2.0.1/24                    fd00:2::1/64
//!   opt0  10.3.0.1/24                    fd00:3::1/64
//! ```
//!
//! No default route, so that there is something unreachable. Every neighbour is permanent: nothing has to be resolved.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::Result;
use gateway_tests::Namespace;
use gateway_tests::frames::address;
use gateway_tests::site::station_mac;

/// A leg, by its place in [`LEGS`].
pub type LegIndex = usize;

/// One leg of the gateway.
pub struct Leg {
    /// The gateway's interface.
    pub name: &'static str,
    /// The stations' end of its wire.
    pub wire: &'static str,
    /// The gateway's addresses on it, the primary IPv4 address first.
    pub addresses: &'static [&'static str],
    /// Stations on the link.
    pub neighbours: &'static [&'static str],
}

/// The gateway's legs.
pub const LEGS: [Leg; 4] = [
    Leg {
        name: "lan0",
        wire: "lan1",
        addresses: &["10.1.0.1/24", "fd00:1::1/64"],
        neighbours: &["10.1.0.10", "10.1.0.11", "10.1.0.12", "fd00:1::10", "fd00:1::11"],
    },
    Leg {
        name: "wan0",
        wire: "wan1",
        addresses: &["203.0.113.1/24", "203.0.113.2/24", "2001:db8:3::1/64"],
        // The pool's addresses are somebody's as far as the link is concerned: what nobody translates goes there.
        neighbours: &[
            "203.0.113.20",
            "203.0.113.254",
            "203.0.113.64",
            "203.0.113.65",
            "203.0.113.66",
            "203.0.113.67",
            "203.0.113.68",
            "2001:db8:3::20",
            "2001:db8:3::fe",
        ],
    },
    Leg { name: "dmz0", wire: "dmz1", addresses: &["10.2.0.1/24", "fd00:2::1/64"], neighbours: &["10.2.0.10", "10.2.0.11", "fd00:2::10"] },
    Leg { name: "opt0", wire: "opt1", addresses: &["10.3.0.1/24", "fd00:3::1/64"], neighbours: &["10.3.0.10", "fd00:3::10"] },
];

/// The addresses of the pool that is on the link.
const POOL: [&str; 4] = ["203.0.113.64", "203.0.113.65", "203.0.113.66", "203.0.113.67"];

/// Routes beyond the links: prefix, next hop.
const ROUTES: [(&str, &str); 4] = [
    ("172.16.5.0/24", "10.1.0.12"),
    ("192.0.2.0/24", "203.0.113.254"),
    ("198.51.100.0/24", "203.0.113.254"),
    ("2001:db8:ffff::/48", "2001:db8:3::fe"),
];

/// Somebody who can send.
#[derive(Debug)]
pub struct Host {
    /// Where.
    pub leg: LegIndex,
    /// Its address.
    pub address: &'static str,
    /// The router that it is behind.
    pub via: Option<&'static str>,
}

/// Who sends.
pub const HOSTS: [Host; 16] = [
    Host { leg: 0, address: "10.1.0.10", via: None },
    Host { leg: 0, address: "10.1.0.11", via: None },
    Host { leg: 0, address: "172.16.5.9", via: Some("10.1.0.12") },
    Host { leg: 1, address: "203.0.113.20", via: None },
    Host { leg: 1, address: "192.0.2.10", via: Some("203.0.113.254") },
    Host { leg: 1, address: "192.0.2.11", via: Some("203.0.113.254") },
    Host { leg: 1, address: "198.51.100.7", via: Some("203.0.113.254") },
    Host { leg: 2, address: "10.2.0.10", via: None },
    Host { leg: 2, address: "10.2.0.11", via: None },
    Host { leg: 3, address: "10.3.0.10", via: None },
    Host { leg: 0, address: "fd00:1::10", via: None },
    Host { leg: 0, address: "fd00:1::11", via: None },
    Host { leg: 1, address: "2001:db8:3::20", via: None },
    Host { leg: 1, address: "2001:db8:ffff::7", via: Some("2001:db8:3::fe") },
    Host { leg: 2, address: "fd00:2::10", via: None },
    Host { leg: 3, address: "fd00:3::10", via: None },
];

/// Who is sent to besides: the gateway's own addresses, a pool's, and nobody's.
pub const OTHERS: [&str; 9] = [
    "203.0.113.1",
    "203.0.113.2",
    "10.1.0.1",
    "203.0.113.68",
    "198.18.7.1",
    "100.64.1.1",
    "192.0.2.77",
    "2001:db8:3::1",
    "2001:db8:dead::1",
];

impl Host {
    /// The MAC that its frames come from and go to on the leg.
    pub fn mac(&self) -> [u8; 6] {
        station_mac(address(self.via.unwrap_or(self.address)))
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        address(self.address)
    }
}

/// The gateway's MAC on a leg.
pub fn gateway_mac(leg: LegIndex) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, leg as u8 + 1]
}

/// The gateway's first IPv4 address on a leg.
pub fn gateway_v4(leg: LegIndex) -> IpAddr {
    address(LEGS[leg].addresses[0].split('/').next().unwrap_or_default())
}

/// Whether the gateway has this address itself.
pub fn is_own(wanted: IpAddr) -> bool {
    LEGS.iter().flat_map(|leg| leg.addresses).any(|own| own.split('/').next().is_some_and(|own| address(own) == wanted))
}

/// The namespaces of one lane.
pub struct Network {
    /// Where the gateway runs.
    pub gateway: Namespace,
    /// Where the wires end. It has no addresses of its own and answers nothing.
    pub stations: Namespace,
}

impl Network {
    /// Makes it.
    pub fn build(purpose: &str) -> Result<Self> {
        let network =
            Self { gateway: Namespace::unique(&format!("{purpose}-gw"))?, stations: Namespace::unique(&format!("{purpose}-st"))? };
        network.stations.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        network.stations.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        network.gateway.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        network.gateway.sysctl("net/ipv6/conf/default/accept_ra", "0")?;
        // Whether a refusal is answered must not depend on how many were before it: no type of error is limited.
        network.gateway.sysctl("net/ipv4/icmp_ratemask", "0")?;
        network.gateway.sysctl("net/ipv6/icmp/ratemask", "255")?;
        let mut legs = String::new();
        let mut wires = String::new();
        for (index, leg) in LEGS.iter().enumerate() {
            let Leg { name, wire, addresses, neighbours } = leg;
            let mac = gateway_mac(index).map(|byte| format!("{byte:02x}")).join(":");
            writeln!(legs, "link add {name} address {mac} type veth peer name {wire} netns {}", network.stations.name())?;
            writeln!(legs, "link set {name} up")?;
            writeln!(wires, "link set {wire} arp off\nlink set {wire} up")?;
            for own in *addresses {
                writeln!(legs, "address add {own} dev {name}{}", if own.contains(':') { " nodad" } else { "" })?;
            }
            for neighbour in *neighbours {
                // The addresses of a pool are alike: which of them a lane picks must not show.
                let station = if POOL.contains(neighbour) { POOL[0] } else { neighbour };
                let mac = station_mac(address(station)).map(|byte| format!("{byte:02x}")).join(":");
                writeln!(legs, "neigh add {neighbour} lladdr {mac} dev {name} nud permanent")?;
            }
        }
        network.gateway.ip(&legs)?;
        network.stations.ip(&wires)?;
        let routes: Vec<String> = ROUTES.iter().map(|(to, via)| format!("route add {to} via {via}")).collect();
        network.gateway.ip(&routes.join("\n"))?;
        for leg in &LEGS {
            // With GRO the peer of a veth has the queue that an XDP redirect needs; frames of raw sockets have whole checksums anyway.
            network.stations.run("ethtool", &["-K", leg.wire, "gro", "on", "tx", "off"])?;
        }
        Ok(network)
    }
}
