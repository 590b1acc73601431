//! What a rule of the policy matches, as nft statements: once, or once per family where it names addresses or ICMP.

use ::nftables::expr::MetaKey;

use super::expression::{Expr, Stmt, equals, field, l4proto, nfproto, number, one_of, range};
use super::ruleset::Ruleset;
use super::sets::{Family, Sets};
use crate::model::{AddressMatch, FirewallRule, PortRange, ProtocolMatch, RuleName, SourceNat};

/// The conditions of a rule on addresses and transport; zones are the chain's business.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions<'a> {
    pub name: &'a RuleName,
    pub source: &'a AddressMatch,
    pub destination: &'a AddressMatch,
    pub protocol: Option<ProtocolMatch>,
    pub ports: &'a [PortRange],
    pub icmp_type: Option<u8>,
}

impl<'a> From<&'a FirewallRule> for Conditions<'a> {
    fn from(rule: &'a FirewallRule) -> Self {
        let FirewallRule { name, source, destination, protocol, ports, icmp_type, .. } = rule;
        Self { name, source, destination, protocol: *protocol, ports, icmp_type: *icmp_type }
    }
}

impl<'a> From<&'a SourceNat> for Conditions<'a> {
    fn from(rule: &'a SourceNat) -> Self {
        let SourceNat { name, source, destination, protocol, ports, .. } = rule;
        Self { name, source, destination, protocol: *protocol, ports, icmp_type: None }
    }
}

impl Conditions<'_> {
    /// All forms that the conditions need, for both families.
    pub fn forms(&self, ruleset: &mut Ruleset, sets: &mut Sets<'_>) -> Vec<Vec<Stmt>> {
        if self.source.is_any() && self.destination.is_any() && self.protocol != Some(ProtocolMatch::Icmp) {
            return vec![self.transport()];
        }
        Family::BOTH.into_iter().filter_map(|family| self.of(family, ruleset, sets)).collect()
    }

    /// The form for one family; `None`: no packet of it can match.
    pub fn of(&self, family: Family, ruleset: &mut Ruleset, sets: &mut Sets<'_>) -> Option<Vec<Stmt>> {
        let mut statements = Vec::new();
        for (matched, side) in [(self.source, "saddr"), (self.destination, "daddr")] {
            if !matched.is_any() {
                statements.push(sets.addresses(ruleset, matched, (family, side), self.name)?);
            }
        }
        // An address says the family.
        if statements.is_empty() {
            statements.push(nfproto(family.nfproto()));
        }
        match (self.protocol, self.icmp_type) {
            (Some(ProtocolMatch::Icmp), Some(kind)) => statements.push(equals(field(family.icmp(), "type"), number(kind))),
            (Some(ProtocolMatch::Icmp), None) => statements.push(l4proto(&[family.icmp()])),
            _ => statements.extend(self.transport()),
        }
        Some(statements)
    }

    /// Protocol and ports.
    fn transport(&self) -> Vec<Stmt> {
        let (header, any): (&'static str, &[&str]) = match self.protocol {
            Some(ProtocolMatch::Tcp) => ("tcp", &["tcp"]),
            Some(ProtocolMatch::Udp) => ("udp", &["udp"]),
            Some(ProtocolMatch::Icmp) => return Vec::new(),
            None => ("th", &["tcp", "udp"]),
        };
        match (self.ports, self.protocol) {
            ([], None) => Vec::new(),
            ([], Some(_)) => vec![l4proto(any)],
            (ports, Some(_)) => vec![equals(field(header, "dport"), self::ports(ports))],
            (ports, None) => vec![l4proto(any), equals(field(header, "dport"), self::ports(ports))],
        }
    }
}

/// The zone that a rule names, or any.
pub(super) const FROM: MetaKey = MetaKey::Iifname;
/// The zone that it goes to.
pub(super) const TO: MetaKey = MetaKey::Oifname;

/// Ports as one expression. nft refuses overlapping intervals, so those that touch are joined.
pub(super) fn ports(ranges: &[PortRange]) -> Expr {
    let mut sorted: Vec<(u16, u16)> = ranges.iter().map(|range| (range.first, range.last)).collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    one_of(joined.into_iter().map(|(first, last)| if first == last { number(first) } else { range(first, last) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_joined() {
        let range = |first, last| PortRange { first, last };
        let one = ports(&[range(80, 90), range(22, 22), range(85, 100), range(101, 102)]);
        let two = ports(&[range(22, 22), range(80, 102)]);
        assert_eq!(one, two);
        assert_eq!(ports(&[range(1, u16::MAX), range(5, 5)]), ports(&[range(1, u16::MAX)]));
    }
}
