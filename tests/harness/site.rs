//! The site that the tests of the packet core share: three zones, four legs, both families.
//!
//! ```text
//!   lan  zone 1  ifindex 2  10.0.1.1/24     fd00:1::1/64       mtu 1500
//!   wan  zone 2  ifindex 3  203.0.113.1/24  2001:db8:3::1/64   mtu 1500   default route via .254 / ::fe
//!   dmz  zone 3  ifindex 4  10.0.2.1/24     fd00:2::1/64       mtu 1400
//!   wan2 zone 2  ifindex 5  198.51.100.1/24 2001:db8:5::1/64   mtu 1280
//! ```

use std::net::{IpAddr, Ipv4Addr};

use gateway_ebpf::abi::{Action, IfIndex, Interface, InterfaceFlags, Ipv4, Ipv6, Mac, SetId, ZoneId};
use ipnet::IpNet;

use crate::frames::{Path, address};
use crate::world::{Capacities, Policy, Route, Routing, World, accept, masquerade};

/// The internal zone.
pub const LAN: ZoneId = ZoneId(1);
/// The external zone.
pub const WAN: ZoneId = ZoneId(2);
/// The servers' zone.
pub const DMZ: ZoneId = ZoneId(3);
/// Any zone, in rules.
pub const ANY: ZoneId = ZoneId(0);

/// The set of the wan leg's own address: where port forwards listen.
pub const WAN_ADDRESS: SetId = SetId(1);
/// The set of internal networks.
pub const INSIDE: SetId = SetId(2);
/// The pool's addresses.
pub const POOL: [Ipv4Addr; 4] =
    [Ipv4Addr::new(203, 0, 113, 64), Ipv4Addr::new(203, 0, 113, 65), Ipv4Addr::new(203, 0, 113, 66), Ipv4Addr::new(203, 0, 113, 67)];

/// One leg.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Its name in this text.
    pub name: &'static str,
    /// Its index.
    pub index: IfIndex,
    /// Its zone.
    pub zone: ZoneId,
    /// IPv4 address and prefix length.
    pub v4: (&'static str, u8),
    /// IPv6 address and prefix length.
    pub v6: (&'static str, u8),
    /// MTU in bytes.
    pub mtu: u16,
}

/// The legs.
pub const LEGS: [Leg; 4] = [
    Leg { name: "lan", index: IfIndex(2), zone: LAN, v4: ("10.0.1.1", 24), v6: ("fd00:1::1", 64), mtu: 1500 },
    Leg { name: "wan", index: IfIndex(3), zone: WAN, v4: ("203.0.113.1", 24), v6: ("2001:db8:3::1", 64), mtu: 1500 },
    Leg { name: "dmz", index: IfIndex(4), zone: DMZ, v4: ("10.0.2.1", 24), v6: ("fd00:2::1", 64), mtu: 1400 },
    Leg { name: "wan2", index: IfIndex(5), zone: WAN, v4: ("198.51.100.1", 24), v6: ("2001:db8:5::1", 64), mtu: 1280 },
];

/// The lan leg's index.
pub const LAN_LEG: IfIndex = LEGS[0].index;
/// The wan leg's index.
pub const WAN_LEG: IfIndex = LEGS[1].index;
/// The dmz leg's index.
pub const DMZ_LEG: IfIndex = LEGS[2].index;
/// The second wan leg's index.
pub const WAN2_LEG: IfIndex = LEGS[3].index;

/// Stations with a resolved neighbour entry: leg, address.
pub const STATIONS: [(IfIndex, &str); 14] = [
    (LAN_LEG, "10.0.1.10"),
    (LAN_LEG, "10.0.1.11"),
    (LAN_LEG, "10.0.1.12"),
    (LAN_LEG, "10.0.1.13"),
    (LAN_LEG, "fd00:1::10"),
    (LAN_LEG, "fd00:1::11"),
    (DMZ_LEG, "10.0.2.10"),
    (DMZ_LEG, "10.0.2.11"),
    (DMZ_LEG, "fd00:2::10"),
    (WAN_LEG, "203.0.113.254"),
    (WAN_LEG, "203.0.113.20"),
    (WAN_LEG, "2001:db8:3::fe"),
    (WAN2_LEG, "198.51.100.254"),
    (WAN2_LEG, "2001:db8:5::fe"),
];

/// A MAC made of an interface index: the gateway's own.
#[must_use]
pub fn leg_mac(leg: IfIndex) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, leg.0 as u8]
}

/// A MAC made of an address: a station's.
#[must_use]
pub fn station_mac(address: IpAddr) -> [u8; 6] {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [0x06, 4, a, b, c, d]
        }
        IpAddr::V6(v6) => {
            let o = v6.octets();
            [0x06, 6, o[1], o[3], o[14], o[15]]
        }
    }
}

/// The leg of that index.
#[must_use]
pub fn leg(index: IfIndex) -> Leg {
    *LEGS.iter().find(|leg| leg.index == index).expect("an index of this site")
}

impl Leg {
    /// As the datapath's table has it: strict source validation, frames accepted from XDP.
    #[must_use]
    pub fn interface(&self) -> Interface {
        let (IpAddr::V4(v4), IpAddr::V6(v6)) = (address(self.v4.0), address(self.v6.0)) else { panic!("families are fixed above") };
        Interface {
            index: self.index,
            zone: self.zone,
            flags: InterfaceFlags(InterfaceFlags::STRICT | InterfaceFlags::XDP_TRANSMIT),
            mtu: self.mtu,
            mac: Mac::from_octets(leg_mac(self.index)),
            v4: Ipv4::from_octets(v4.octets()),
            v6: Ipv6::from_octets(v6.octets()),
            ..Default::default()
        }
    }

    fn networks(&self) -> [IpNet; 2] {
        [self.v4, self.v6].map(|(text, length)| IpNet::new(address(text), length).expect("a length of its family"))
    }
}

/// The routing tables of the site.
#[must_use]
pub fn routing() -> Routing {
    let mut routing = Routing::default();
    for leg in LEGS {
        routing.links.insert(leg.index, leg.mtu);
        for network in leg.networks() {
            routing.routes.push(Route { to: network.trunc(), egress: leg.index, via: None });
            routing.own.insert(network.addr());
            // IPv4's broadcast address and IPv6's subnet-router anycast address are the kernel's, too.
            routing.own.insert(if network.addr().is_ipv4() { network.broadcast() } else { network.network() });
        }
    }
    for (to, via) in [("0.0.0.0/0", "203.0.113.254"), ("::/0", "2001:db8:3::fe")] {
        routing.routes.push(Route { to: to.parse().expect("a prefix"), egress: WAN_LEG, via: Some(address(via)) });
    }
    for (leg, station) in STATIONS {
        let station = address(station);
        routing.neighbours.insert((leg, station), Mac::from_octets(station_mac(station)));
    }
    routing
}

/// lan may open flows to wan and dmz, wan to dmz; IPv4 to wan is masqueraded; all else is dropped.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        interfaces: LEGS.iter().map(Leg::interface).collect(),
        sets: vec![
            (WAN_ADDRESS, vec!["203.0.113.1/32".parse().expect("a prefix")]),
            (INSIDE, ["10.0.0.0/8", "fd00::/8"].map(|prefix| prefix.parse().expect("a prefix")).to_vec()),
        ],
        firewall: vec![accept(1, LAN, WAN), accept(2, LAN, DMZ), accept(3, WAN, DMZ)],
        source_nat: vec![masquerade(10, LAN, WAN)],
        pool: POOL.iter().map(|address| Ipv4::from_octets(address.octets())).collect(),
        default: Action::DROP,
        flows_per_host: 1000,
        ..Default::default()
    }
}

/// The site with a policy.
#[must_use]
pub fn world(policy: &Policy) -> World {
    World::new(policy, routing(), Capacities::default())
}

/// A path that begins at a station of a leg and enters the gateway there.
#[must_use]
pub fn path(leg: IfIndex, source: &str, source_port: u16, destination: &str, destination_port: u16) -> Path {
    Path {
        source_mac: station_mac(address(source)),
        destination_mac: leg_mac(leg),
        source: address(source),
        destination: address(destination),
        source_port,
        destination_port,
        ttl: 64,
    }
}
