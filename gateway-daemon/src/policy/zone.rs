//! `[zones]`, and how rules name a zone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::error::{LimitError, ReferenceError, RuleError, Suggestion};
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use super::value::Value;
use crate::model::{InterfaceName, Zone, ZoneName};

/// The datapath's zone ids are one byte; one is for "no zone" and one for `self`.
const ZONES: usize = 254;

/// The zones of a policy.
#[derive(Debug, Default)]
pub(super) struct Zones {
    list: Vec<Zone>,
    /// Also the names of zones whose interfaces are wrong: they are no reason to call a reference wrong.
    names: HashSet<String>,
    interfaces: HashMap<String, (String, Range<usize>)>,
}

/// Which rule names the zone, for what `self` means there.
#[derive(Clone, Copy, Debug)]
pub(super) enum ZoneUse {
    FirewallFrom,
    FirewallTo,
    /// The key of a NAT rule.
    Nat(&'static str),
}

impl Zones {
    pub fn read(table: Table, findings: &mut Findings) -> Self {
        let mut zones = Self::default();
        let header = table.span();
        for (span, value) in table.into_entries() {
            if value.key == ZoneName::SELF {
                findings.add(span, ReferenceError::ReservedZone(value.key.to_owned()));
                continue;
            }
            zones.names.insert(value.key.to_owned());
            match scalar::name("zone", value.key) {
                Ok(name) => zones.zone(name, value, findings),
                Err(error) => findings.add(span, error),
            }
        }
        if zones.list.len() > ZONES {
            findings.add(header, LimitError::Zones(zones.list.len(), ZONES));
        }
        zones
    }

    fn zone(&mut self, name: String, value: Value, findings: &mut Findings) {
        let mut interfaces = Vec::new();
        for element in value.list(findings, "[\"eth0\"]").unwrap_or_default() {
            let Some(interface) = element.parsed(findings, "[\"eth0\"]", scalar::interface_name) else {
                continue;
            };
            if let Some((zone, first)) = self.interfaces.get(&interface) {
                let error = ReferenceError::InterfaceInTwoZones(interface, zone.clone());
                findings.add_with(element.span(), error, first.clone(), "first here");
            } else {
                self.interfaces.insert(interface.clone(), (name.clone(), element.span()));
                interfaces.push(InterfaceName(interface));
            }
        }
        self.list.push(Zone { name: ZoneName(name), interfaces });
    }

    pub fn has_interface(&self, name: &str) -> bool {
        self.interfaces.contains_key(name)
    }

    pub fn interfaces(&self, zone: &ZoneName) -> &[InterfaceName] {
        self.list.iter().find(|z| z.name == *zone).map_or(&[], |z| &z.interfaces)
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A rule's `from` or `to`.
    pub fn resolve(&self, value: Value, place: ZoneUse, findings: &mut Findings) -> Option<ZoneName> {
        let text = value.string(findings, "\"lan\"")?;
        if text == ZoneName::SELF {
            match place {
                ZoneUse::FirewallTo => return Some(ZoneName(text.to_owned())),
                ZoneUse::FirewallFrom => findings.add(value.span(), RuleError::FromSelf),
                ZoneUse::Nat(key) => findings.add(value.span(), RuleError::NatSelf(key)),
            }
            return None;
        }
        if !self.names.contains(text) {
            let mut known: Vec<&str> = self.names.iter().map(String::as_str).collect();
            known.sort_unstable();
            findings.add(value.span(), ReferenceError::UnknownZone(text.to_owned(), Suggestion::new(text, known)));
            return None;
        }
        Some(ZoneName(text.to_owned()))
    }

    pub fn into_list(self) -> Vec<Zone> {
        self.list
    }
}
