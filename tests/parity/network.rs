//! A namespace whose routing tables say what the site's say.

use std::fmt::Write;

use gateway_tests::Namespace;
use gateway_tests::frames::address;
use gateway_tests::site::{LEGS, STATIONS, leg, leg_mac, station_mac};

/// Makes the site's legs, neighbours and routes in a namespace of its own.
///
/// # Errors
/// When this is not root, or the kernel lacks something.
pub fn build() -> anyhow::Result<Namespace> {
    let namespace = Namespace::unique("parity")?;
    let mut batch = String::new();
    for leg in LEGS {
        let (name, index, mtu, mac) = (leg.name, leg.index.0, leg.mtu, colons(leg_mac(leg.index)));
        // Not every kernel has dummy interfaces; the peer is only there to give a carrier.
        let peer = 100 + index;
        writeln!(batch, "link add {name} index {index} address {mac} mtu {mtu} type veth peer name {name}-peer index {peer}")?;
        writeln!(batch, "link set {name}-peer up")?;
        writeln!(batch, "link set {name} up")?;
        writeln!(batch, "addr add {}/{} brd + dev {name}", leg.v4.0, leg.v4.1)?;
        writeln!(batch, "addr add {}/{} dev {name} nodad", leg.v6.0, leg.v6.1)?;
    }
    for (index, station) in STATIONS {
        let mac = colons(station_mac(address(station)));
        writeln!(batch, "neigh add {station} lladdr {mac} dev {} nud permanent", leg(index).name)?;
    }
    writeln!(batch, "route add default via 203.0.113.254")?;
    writeln!(batch, "route add ::/0 via 2001:db8:3::fe")?;
    namespace.sysctl("net/ipv4/ip_forward", "1")?;
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    namespace.ip(&batch)?;
    Ok(namespace)
}

fn colons(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
