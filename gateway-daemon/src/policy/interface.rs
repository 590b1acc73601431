//! `[interfaces.<name>]`.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Range;

use super::datapath;
use super::error::{ReferenceError, RuleError, Warning};
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use super::zone::Zones;
use crate::model::{DatapathMode, InterfaceConfig, InterfaceName, SourceValidation};

/// From IPv4's minimum (RFC 791) to the largest packet there is.
const MTU: std::ops::RangeInclusive<u64> = 68..=65_535;
/// RFC 8200 section 5.
const IPV6_MTU: u32 = 1280;

const SOURCE_VALIDATION: [(&str, SourceValidation); 3] =
    [("strict", SourceValidation::Strict), ("loose", SourceValidation::Loose), ("off", SourceValidation::Off)];

/// Addresses given so far, with the interface and place.
type Given = HashMap<IpAddr, (String, Range<usize>)>;

/// `mode` is the whole gateway's.
pub(super) fn interfaces(
    table: Table,
    mode: DatapathMode,
    zones: &Zones,
    findings: &mut Findings,
) -> BTreeMap<InterfaceName, InterfaceConfig> {
    let mut interfaces = BTreeMap::new();
    let mut given = Given::new();
    for (span, value) in table.into_entries() {
        let Some(inner) = value.table(findings, &format!("interfaces.{}", value.key)) else {
            continue;
        };
        match scalar::interface_name(value.key) {
            Ok(name) => {
                if !zones.has_interface(&name) {
                    findings.add(span, Warning::InterfaceWithoutZone(name.clone()));
                }
                let config = interface(inner, &name, mode, &mut given, findings);
                interfaces.insert(InterfaceName(name), config);
            }
            Err(error) => findings.add(span, error),
        }
    }
    interfaces
}

fn interface(mut table: Table, name: &str, mode: DatapathMode, given: &mut Given, findings: &mut Findings) -> InterfaceConfig {
    let mut config = InterfaceConfig::default();
    const ADDRESSES: &str = "[\"10.0.0.1/24\"]";
    for value in table.take("addresses").and_then(|v| v.list(findings, ADDRESSES)).unwrap_or_default() {
        let Some(net) = value.parsed(findings, "\"10.0.0.1/24\"", scalar::interface_address) else {
            continue;
        };
        if let Some((other, first)) = given.get(&net.addr()) {
            findings.add_with(value.span(), ReferenceError::AddressTwice(net, other.clone()), first.clone(), "given here");
        } else {
            given.insert(net.addr(), (name.to_owned(), value.span()));
            config.addresses.push(net);
        }
    }
    if let Some(value) = table.take("mtu") {
        config.mtu = value.number(findings, MTU, "1500");
        if let Some(mtu) = config.mtu
            && mtu < IPV6_MTU
            && config.addresses.iter().any(|net| net.addr().is_ipv6())
        {
            findings.add(value.span(), RuleError::MtuTooSmallForIpv6(mtu));
        }
    }
    if let Some(value) = table.take("source-validation") {
        config.source_validation = value.choice(findings, "\"strict\"", &SOURCE_VALIDATION).unwrap_or_default();
    }
    config.datapath = table.take("datapath").and_then(|value| datapath::interface_mode(value, mode, findings));
    table.finish(findings);
    config
}
