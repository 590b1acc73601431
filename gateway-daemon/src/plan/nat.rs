//! `[[nat.source]]` and `[[nat.destination]]` to compiled rules.

use std::net::{IpAddr, Ipv4Addr};

use gateway_ebpf::abi::{Address, Ipv4, Rule, RuleFlags, RuleTarget, TranslateKind};
use ipnet::IpNet;

use super::sets::Sets;
use super::{Numbers, expand_ports, protocol};
use crate::inventory::Inventory;
use crate::model::{DestinationNat, Filtering, Mapping, Model, PortRange, SourceNat, Translate, ZoneName};

/// Ports of the gateway's own connections: `net.ipv4.ip_local_port_range` while the gateway runs.
pub const LOCAL_PORTS: PortRange = PortRange { first: 61000, last: 65535 };
/// External ports when masquerading: all but [`LOCAL_PORTS`], so that the gateway's own connections from the same address never collide.
pub const MASQUERADE_PORTS: PortRange = PortRange { first: 1024, last: LOCAL_PORTS.first - 1 };

/// The source NAT rules, in order; the pools' addresses are added to `pool`.
pub fn compile_source(model: &Model, numbers: &Numbers, sets: &mut Sets, pool: &mut Vec<Ipv4Addr>) -> Vec<Rule> {
    model
        .nat
        .source
        .iter()
        .flat_map(|rule| {
            let compiled = compile_source_rule(model, numbers, sets, pool, rule);
            if compiled.is_none() {
                sets.leave_out(&rule.name);
            }
            compiled.unwrap_or_default()
        })
        .collect()
}

fn compile_source_rule(model: &Model, numbers: &Numbers, sets: &mut Sets, pool: &mut Vec<Ipv4Addr>, rule: &SourceNat) -> Option<Vec<Rule>> {
    let (source, destination) = (sets.number(model, &rule.source)?, sets.number(model, &rule.destination)?);
    let (translate, target) = match &rule.translate {
        Translate::None => (TranslateKind::NONE, RuleTarget::default()),
        Translate::Masquerade => {
            let target = RuleTarget { port_first: MASQUERADE_PORTS.first, port_last: MASQUERADE_PORTS.last, ..Default::default() };
            (TranslateKind::MASQUERADE, target)
        }
        Translate::Pool { addresses, ports } => {
            let first = pool.len();
            pool.extend(addresses.iter().flat_map(|range| (u32::from(range.first)..=u32::from(range.last)).map(Ipv4Addr::from)));
            let target = RuleTarget {
                port_first: ports.first,
                port_last: ports.last,
                pool_first: first as u16,
                pool_len: (pool.len() - first) as u16,
                ..Default::default()
            };
            (TranslateKind::POOL, target)
        }
    };
    let mut flags = 0;
    if rule.mapping == Mapping::AddressAndPortDependent {
        flags |= RuleFlags::MAPPING_PER_FLOW;
    }
    if rule.filtering == Filtering::EndpointIndependent {
        flags |= RuleFlags::OPEN_FILTERING;
    }
    let compiled = Rule {
        from: numbers.zone(rule.from.as_ref()),
        to: numbers.zone(rule.to.as_ref()),
        protocol: protocol(rule.protocol),
        flags: RuleFlags(flags),
        source,
        destination,
        id: numbers.rule(&rule.name),
        translate,
        target,
        ..Default::default()
    };
    Some(expand_ports(compiled, &rule.ports))
}

/// The port forwards, in order. One without `address` means every address of the zone's interfaces, as they are now.
pub fn compile_destination(model: &Model, inventory: &Inventory, numbers: &Numbers, sets: &mut Sets) -> Vec<Rule> {
    model.nat.destination.iter().filter_map(|rule| compile_destination_rule(model, inventory, numbers, sets, rule)).collect()
}

fn compile_destination_rule(
    model: &Model,
    inventory: &Inventory,
    numbers: &Numbers,
    sets: &mut Sets,
    rule: &DestinationNat,
) -> Option<Rule> {
    let IpAddr::V4(server) = rule.to else { return None };
    let addresses = match rule.address {
        Some(address) => vec![IpNet::from(address)],
        None => zone_addresses(model, inventory, &rule.from),
    };
    if addresses.is_empty() {
        // No address yet, so no packet can be meant; an empty list of destinations would match every one.
        return None;
    }
    let (Some(source), Some(destination)) = (sets.number(model, &rule.source), sets.number_of(addresses)) else {
        sets.leave_out(&rule.name);
        return None;
    };
    let keep = if rule.to_port.is_none() { RuleFlags::KEEP_PORT } else { 0 };
    Some(Rule {
        from: numbers.zone(Some(&rule.from)),
        protocol: protocol(Some(rule.protocol)),
        flags: RuleFlags(RuleFlags::PORTS | keep),
        port_first: rule.ports.first,
        port_last: rule.ports.last,
        source,
        destination,
        id: numbers.rule(&rule.name),
        target: RuleTarget {
            address: Ipv4::from_octets(server.octets()).words(),
            port_first: rule.to_port.unwrap_or_default(),
            ..Default::default()
        },
        ..Default::default()
    })
}

fn zone_addresses(model: &Model, inventory: &Inventory, zone: &ZoneName) -> Vec<IpNet> {
    let interfaces = model.zones.iter().filter(|known| known.name == *zone).flat_map(|zone| &zone.interfaces);
    let addresses = interfaces.filter_map(|name| inventory.link(name)).flat_map(|link| &link.addresses);
    addresses.map(|net| net.addr()).filter(IpAddr::is_ipv4).map(IpNet::from).collect()
}
