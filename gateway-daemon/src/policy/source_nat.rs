//! `[[nat.source]]`.

use super::address::AddressUse;
use super::context::{Context, Placed};
use super::error::{RuleError, Suggestion, ValueError};
use super::findings::Findings;
use super::matching::Matching;
use super::scalar;
use super::table::Table;
use super::value::Value;
use crate::model::{Filtering, Mapping, PoolRange, PortRange, SourceNat, Translate};

const EXAMPLE: &str = "\"masquerade\"";
/// RFC 4787 REQ-3: internal ports of 1024 and above are mapped to such ports.
const USER_PORTS: PortRange = PortRange { first: 1024, last: 65_535 };

const MAPPING: [(&str, Mapping); 2] =
    [("endpoint-independent", Mapping::EndpointIndependent), ("address-and-port-dependent", Mapping::AddressAndPortDependent)];
const FILTERING: [(&str, Filtering); 2] =
    [("endpoint-independent", Filtering::EndpointIndependent), ("address-and-port-dependent", Filtering::AddressAndPortDependent)];

pub(super) fn source_nat(mut table: Table, cx: &mut Context) -> Option<Placed<SourceNat>> {
    let before = cx.findings.errors();
    let name = cx.rule_name(&mut table);
    let matching = Matching::read(&mut table, AddressUse::Nat, cx);
    let findings = &mut cx.findings;
    let translate = table.require(findings, "translate", EXAMPLE).and_then(|v| translate(v, findings));
    let mapping = table.take("mapping").and_then(|v| v.choice(findings, "\"endpoint-independent\"", &MAPPING));
    let filtering = table.take("filtering").and_then(|v| v.choice(findings, "\"endpoint-independent\"", &FILTERING));
    table.finish(findings);
    if findings.errors() > before {
        return None;
    }
    let (name, span) = name?;
    let rule = SourceNat {
        name,
        from: matching.from,
        to: matching.to,
        source: matching.source,
        destination: matching.destination,
        protocol: matching.protocol,
        ports: matching.ports,
        translate: translate?,
        mapping: mapping.unwrap_or_default(),
        filtering: filtering.unwrap_or_default(),
    };
    Some(Placed { rule, span })
}

/// The conditions of a rule that has been read.
pub(super) fn matching(rule: &SourceNat) -> Matching {
    Matching {
        from: rule.from.clone(),
        to: rule.to.clone(),
        source: rule.source.clone(),
        destination: rule.destination.clone(),
        protocol: rule.protocol,
        ports: rule.ports.clone(),
        icmp_type: None,
    }
}

fn translate(value: Value, findings: &mut Findings) -> Option<Translate> {
    if value.node.get_ref().is_table() {
        return pool(value.table(findings, "nat.source.translate")?, findings);
    }
    if !value.node.get_ref().is_str() {
        value.wrong_type(findings, "`\"none\"`, `\"masquerade\"` or a table", "{ addresses = [\"203.0.113.10\"] }");
        return None;
    }
    value.parsed(findings, EXAMPLE, |text| match text {
        "none" => Ok(Translate::None),
        "masquerade" => Ok(Translate::Masquerade),
        _ => Err(ValueError::Choice("translate".to_owned(), text.to_owned(), Suggestion::new(text, ["none", "masquerade"]))),
    })
}

fn pool(mut table: Table, findings: &mut Findings) -> Option<Translate> {
    const ADDRESSES: &str = "[\"203.0.113.10-203.0.113.13\"]";
    let mut addresses: Vec<PoolRange> = Vec::new();
    let elements = table.require(findings, "addresses", ADDRESSES).and_then(|v| v.list(findings, ADDRESSES));
    for element in elements.iter().flatten() {
        let Some(range) = element.parsed(findings, "\"203.0.113.10\"", scalar::pool_range) else {
            continue;
        };
        if let Some(other) = addresses.iter().find(|other| other.first <= range.last && range.first <= other.last) {
            findings.add(element.span(), RuleError::PoolOverlap(other.first.max(range.first).into()));
        }
        addresses.push(range);
    }
    let ports = table.take("ports").map_or(Some(USER_PORTS), |value| pool_ports(value, findings));
    table.finish(findings);
    elements?;
    Some(Translate::Pool { addresses, ports: ports? })
}

fn pool_ports(value: Value, findings: &mut Findings) -> Option<PortRange> {
    let range = value.parsed(findings, "\"1024-65535\"", scalar::ports)?;
    if range.first < USER_PORTS.first {
        findings.add(value.span(), ValueError::PoolPorts(range.first));
    }
    Some(range)
}
