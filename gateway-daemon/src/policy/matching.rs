//! What the rules of every list match on, and when one rule's packets are all another's.

use std::collections::HashMap;
use std::rc::Rc;

use ipnet::IpNet;

use super::address::{AddressUse, Sets};
use super::context::Context;
use super::error::{RuleError, ValueError};
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use super::value::Value;
use super::zone::ZoneUse;
use crate::model::{AddressMatch, PortRange, ProtocolMatch, SetIndex, ZoneName};

/// The conditions of a source NAT or firewall rule.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    pub from: Option<ZoneName>,
    pub to: Option<ZoneName>,
    pub source: AddressMatch,
    pub destination: AddressMatch,
    pub protocol: Option<ProtocolMatch>,
    pub ports: Vec<PortRange>,
    pub icmp_type: Option<u8>,
}

/// [`Matching`] made ready for being compared many times: with ten thousand rules, with fifty million pairs.
#[derive(Clone, Debug)]
pub(super) struct Comparable {
    matching: Matching,
    /// Sorted, and joined where they touch.
    ports: Vec<(u32, u32)>,
    source: Rc<Joined>,
    destination: Rc<Joined>,
}

/// Lists that have been joined already: many rules name the same sets.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<(Vec<SetIndex>, Vec<IpNet>), Rc<Joined>>);

impl Known {
    fn joined(&mut self, matched: &AddressMatch, sets: &Sets) -> Rc<Joined> {
        let key = (matched.sets.clone(), matched.prefixes.clone());
        Rc::clone(self.0.entry(key).or_insert_with(|| Rc::new(Joined::new(matched, sets))))
    }
}

impl Matching {
    /// Reads `from`, `to`, `source`, `destination`, `protocol` and `ports`.
    pub fn read(table: &mut Table, place: AddressUse, cx: &mut Context) -> Self {
        let (from_use, to_use) = match place {
            AddressUse::Firewall => (ZoneUse::FirewallFrom, ZoneUse::FirewallTo),
            AddressUse::Nat => (ZoneUse::Nat("from"), ZoneUse::Nat("to")),
        };
        let findings = &mut cx.findings;
        let from = table.take("from").and_then(|v| cx.zones.resolve(v, from_use, findings));
        let to = table.take("to").and_then(|v| cx.zones.resolve(v, to_use, findings));
        let source = cx.sets.resolve(table.take("source"), place, findings);
        let written = table.take("destination");
        let destination = cx.sets.resolve(written, place, findings);
        if let Some(value) = written
            && !cx.sets.share_family(&source, &destination)
        {
            findings.add(value.span(), RuleError::MixedFamilies);
        }
        let written = table.take("protocol");
        let protocol = written.and_then(|v| protocol(v, findings));
        let ports = table.take("ports").map_or_else(Vec::new, |value| {
            match protocol {
                Some(ProtocolMatch::Tcp | ProtocolMatch::Udp) => {}
                Some(ProtocolMatch::Icmp) => findings.add(value.span(), RuleError::PortsWithIcmp("ports")),
                // A protocol that is written and wrong has been reported.
                None if written.is_some() => {}
                None => findings.add(value.span(), RuleError::PortsWithoutProtocol("ports")),
            }
            ports(value, findings)
        });
        Self { from, to, source, destination, protocol, ports, icmp_type: None }
    }
}

impl Comparable {
    pub fn new(matching: Matching, sets: &Sets, known: &mut Known) -> Self {
        let source = known.joined(&matching.source, sets);
        let destination = known.joined(&matching.destination, sets);
        Self { ports: joined_ports(&matching.ports), matching, source, destination }
    }

    /// True when every packet that `later` matches is matched by `self` already. What is cheap and often differs comes first.
    pub fn covers(&self, later: &Self) -> bool {
        let (a, b) = (&self.matching, &later.matching);
        ports_cover(&self.ports, &later.ports)
            && (a.protocol.is_none() || a.protocol == b.protocol)
            && (a.icmp_type.is_none() || a.icmp_type == b.icmp_type)
            && zone_covers(a.from.as_ref(), b.from.as_ref())
            && zone_covers(a.to.as_ref(), b.to.as_ref())
            && self.source.covers(&later.source)
            && self.destination.covers(&later.destination)
    }
}

/// A rule without a zone is not taken to cover `self`: what it means for the gateway itself is its reader's guess.
fn zone_covers(earlier: Option<&ZoneName>, later: Option<&ZoneName>) -> bool {
    match (earlier, later) {
        (None, Some(zone)) => zone.0 != ZoneName::SELF,
        (None, None) => true,
        (Some(_), _) => earlier == later,
    }
}

fn joined_ports(ranges: &[PortRange]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = ranges.iter().map(|r| (u32::from(r.first), u32::from(r.last))).collect();
    ranges.sort_unstable();
    // Neighbours join: 80-89 and 90-99 cover 85-95.
    ranges.dedup_by(|next, joined| {
        let joins = next.0 <= joined.1 + 1;
        if joins {
            joined.1 = joined.1.max(next.1);
        }
        joins
    });
    ranges
}

/// Of joined ranges; none means any port.
fn ports_cover(earlier: &[(u32, u32)], later: &[(u32, u32)]) -> bool {
    earlier.is_empty() || (!later.is_empty() && later.iter().all(|r| earlier.iter().any(|(first, last)| *first <= r.0 && r.1 <= *last)))
}

/// The addresses of a `source` or `destination`, joined so that each is in at most one prefix.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    /// `None`: any address.
    prefixes: Option<Vec<IpNet>>,
}

impl Joined {
    pub fn new(matched: &AddressMatch, sets: &Sets) -> Self {
        let join = || {
            let mut joined = IpNet::aggregate(&sets.prefixes(matched).collect());
            joined.sort_unstable();
            joined
        };
        Self { prefixes: (!matched.is_any()).then(join) }
    }

    /// True when every address of `later` is one of these.
    pub fn covers(&self, later: &Self) -> bool {
        let Some(joined) = &self.prefixes else {
            return true;
        };
        let Some(later) = &later.prefixes else {
            return false;
        };
        let contained = |net: &IpNet| {
            // Joined prefixes do not overlap: only the last that starts at or before `net` can contain it.
            let behind = joined.partition_point(|j| (j.addr(), j.prefix_len()) <= (net.addr(), net.prefix_len()));
            behind > 0 && joined[behind - 1].contains(net)
        };
        // A set without members is one whose members are wrong, and has been reported.
        !later.is_empty() && later.iter().all(contained)
    }
}

/// `protocol`.
pub(super) fn protocol(value: Value, findings: &mut Findings) -> Option<ProtocolMatch> {
    const CHOICES: [(&str, ProtocolMatch); 3] = [("tcp", ProtocolMatch::Tcp), ("udp", ProtocolMatch::Udp), ("icmp", ProtocolMatch::Icmp)];
    if let Some(text) = value.node.get_ref().as_str()
        && ["icmpv6", "icmp6", "ipv6-icmp"].contains(&text)
    {
        findings.add(value.span(), ValueError::IcmpName(text.to_owned()));
        return None;
    }
    value.choice(findings, "\"tcp\"", &CHOICES)
}

/// `ports`: a list of numbers and ranges.
fn ports(value: Value, findings: &mut Findings) -> Vec<PortRange> {
    let elements = value.list(findings, "[\"443\", \"8000-8010\"]").unwrap_or_default();
    elements.into_iter().filter_map(|element| port_range(element, findings)).collect()
}

/// One port as a number, or a port or range as a string.
pub(super) fn port_range(value: Value, findings: &mut Findings) -> Option<PortRange> {
    if value.node.get_ref().is_integer() {
        let port = value.number(findings, 1..=65_535, "443")?;
        return Some(PortRange { first: port, last: port });
    }
    value.parsed(findings, "\"8000-8010\"", scalar::ports)
}
