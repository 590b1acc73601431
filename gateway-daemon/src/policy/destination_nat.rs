//! `[[nat.destination]]`: port forwards.

use std::collections::BTreeMap;

use super::address::AddressUse;
use super::context::{Context, Placed};
use super::error::RuleError;
use super::findings::Findings;
use super::matching::{self, Joined};
use super::scalar;
use super::table::Table;
use super::zone::ZoneUse;
use crate::model::{DestinationNat, InterfaceConfig, InterfaceName, PortRange, ProtocolMatch};

pub(super) fn destination_nat(mut table: Table, cx: &mut Context) -> Option<Placed<DestinationNat>> {
    let before = cx.findings.errors();
    let name = cx.rule_name(&mut table);
    let findings = &mut cx.findings;
    let from = table.require(findings, "from", "\"wan\"").and_then(|v| cx.zones.resolve(v, ZoneUse::Nat("from"), findings));
    let source = cx.sets.resolve(table.take("source"), AddressUse::Nat, findings);
    let protocol = protocol(&mut table, findings);
    let address = table.take("address").and_then(|v| v.parsed(findings, "\"203.0.113.10\"", scalar::nat_address));
    let ports = ports(&mut table, findings);
    let to = table.require(findings, "to", "\"10.0.0.1:3389\"");
    let server = to.and_then(|v| v.parsed(findings, "\"10.0.0.1:3389\"", scalar::endpoint));
    if let (Some(value), Some((_, Some(port))), Some(ports)) = (to, server, ports) {
        let following = ports.last - ports.first;
        if port.checked_add(following).is_none() {
            findings.add(value.span(), RuleError::ForwardOverflow(port, following));
        }
    }
    table.finish(findings);
    if findings.errors() > before {
        return None;
    }
    let (name, span) = name?;
    let (to, to_port) = server?;
    Some(Placed { rule: DestinationNat { name, from: from?, source, protocol: protocol?, address, ports: ports?, to, to_port }, span })
}

fn protocol(table: &mut Table, findings: &mut Findings) -> Option<ProtocolMatch> {
    let value = table.require(findings, "protocol", "\"tcp\"")?;
    let protocol = matching::protocol(value, findings)?;
    if protocol == ProtocolMatch::Icmp {
        findings.add(value.span(), RuleError::ForwardProtocol);
    }
    Some(protocol)
}

/// `port` as a number, or `ports` as one range.
fn ports(table: &mut Table, findings: &mut Findings) -> Option<PortRange> {
    // Asked for first, so that an unknown key finds `ports` among the known ones.
    let range = table.take("ports");
    let single = table.take("port");
    match (single, range) {
        (Some(_), Some(value)) => {
            findings.add(value.span(), RuleError::PortAndPorts);
            None
        }
        (Some(value), None) => {
            let port = value.number(findings, 1..=65_535, "3389")?;
            Some(PortRange { first: port, last: port })
        }
        (None, Some(value)) => matching::port_range(value, findings),
        (None, None) => {
            table.require(findings, "port", "3389");
            None
        }
    }
}

/// Reports forwards that an earlier one takes packets from.
pub(super) fn overlaps(rules: &[Placed<DestinationNat>], interfaces: &BTreeMap<InterfaceName, InterfaceConfig>, cx: &mut Context) {
    for (i, later) in rules.iter().enumerate() {
        let earlier = rules[..i].iter().find(|earlier| {
            let (a, b) = (&earlier.rule, &later.rule);
            a.from == b.from
                && a.protocol == b.protocol
                && a.ports.first <= b.ports.last
                && b.ports.first <= a.ports.last
                && address_covers(a, b, interfaces, cx)
                && Joined::new(&a.source, &cx.sets).covers(&Joined::new(&b.source, &cx.sets))
        });
        if let Some(earlier) = earlier {
            let error = RuleError::ForwardOverlap(earlier.rule.name.0.clone(), cx.findings.line(earlier.span.start));
            cx.findings.add_with(later.span.clone(), error, earlier.span.clone(), "first here");
        }
    }
}

/// True when what is sent to the later rule's address is known to reach the earlier rule.
fn address_covers(
    earlier: &DestinationNat,
    later: &DestinationNat,
    interfaces: &BTreeMap<InterfaceName, InterfaceConfig>,
    cx: &Context,
) -> bool {
    match (earlier.address, later.address) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b,
        (Some(_), None) => false,
        // Any address of the zone's interfaces: only those that the policy itself gives them are known here.
        (None, Some(address)) => {
            let mut own = cx.zones.interfaces(&earlier.from).iter().filter_map(|name| interfaces.get(name));
            own.any(|config| config.addresses.iter().any(|net| net.addr() == address))
        }
    }
}
