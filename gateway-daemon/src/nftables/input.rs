//! The guard's input chain: the policy's rules to `self`.
//!
//! Each policy rule is a chain of its own that acts; rules of the input chain match and go there. So a rule that must be written once per
//! family still has one counter and one rate.

use std::collections::BTreeSet;

use ::nftables::expr::{CT, Expression, MetaKey, NamedExpression, Payload, PayloadField, Range, SetItem};
use ::nftables::schema::SetType;
use ::nftables::stmt::{Accept, Drop, JumpTarget, Limit, Log, LogLevel, Operator, Reject, RejectType, Statement};
use ::nftables::types::RejectCode;
use ipnet::IpNet;

use super::guard::{Counted, ZONE_INTERFACES, counter, cut, in_set, matches, meta, string};
use super::ruleset::Ruleset;
use crate::model::{Action, AddressMatch, FirewallRule, Model, PortRange, ProtocolMatch, Rate, ZoneName};

const CHAIN: &str = "input";

/// The kernel keeps 128 bytes of a log prefix, with the final zero (`NF_LOG_PREFIXLEN`).
const LOG_PREFIX_BYTES: usize = 127;

/// What a host on an IPv6 link cannot do without (RFC 4890 section 4.4.1): multicast listener query, router solicitation and
/// advertisement, neighbour solicitation and advertisement.
const ESSENTIAL_ICMPV6: [u32; 5] = [130, 133, 134, 135, 136];

/// True when the gateway itself is to be filtered.
pub(super) fn is_wanted(model: &Model) -> bool {
    model.firewall.rules.iter().any(|rule| rule.to.as_ref().is_some_and(is_self))
}

fn is_self(zone: &ZoneName) -> bool {
    zone.0 == ZoneName::SELF
}

/// Fills the input chain.
pub(super) fn render(ruleset: &mut Ruleset, model: &Model) {
    let not_from_a_zone = matches(meta(MetaKey::Iifname), Operator::NEQ, string(&format!("@{ZONE_INTERFACES}")));
    ruleset.rule(CHAIN, vec![not_from_a_zone, accept()], None);
    let state = Expression::Named(NamedExpression::CT(CT { key: "state".into(), family: None, dir: None }));
    let known = matches(state, Operator::IN, Expression::List(vec![string("established"), string("related")]));
    ruleset.rule(CHAIN, vec![known, counter(), accept()], Some(&Counted::Established));
    for mut essential in essentials() {
        essential.extend([counter(), accept()]);
        ruleset.rule(CHAIN, essential, Some(&Counted::Essential));
    }

    let mut shared = BTreeSet::new();
    for (number, zone) in model.zones.iter().enumerate() {
        let interfaces = zone.interfaces.iter().map(|name| string(&name.0)).collect();
        ruleset.set(&zone_set(number), SetType::Ifname, interfaces);
    }
    let to_self = |rule: &&FirewallRule| rule.to.as_ref().is_none_or(is_self) && !rule.from.as_ref().is_some_and(is_self);
    for (number, rule) in model.firewall.rules.iter().filter(to_self).enumerate() {
        let chain = format!("rule_{number}");
        ruleset.plain_chain(&chain);
        let counted = Counted::Rule(rule.name.clone());
        for statements in act(rule.action, rule.protocol, rule.rate, rule.log.then_some(rule)) {
            ruleset.rule(&chain, statements, Some(&counted));
        }
        if rule.rate.is_some() && rule.action == Action::Accept {
            ruleset.rule(&chain, vec![counter(), drop()], Some(&Counted::OverRate(rule.name.clone())));
        }
        let matcher = Matcher { ruleset, model, shared: &mut shared, rule, number };
        for mut statements in matcher.render() {
            statements.push(Statement::Goto(JumpTarget { target: chain.clone().into() }));
            ruleset.rule(CHAIN, statements, None);
        }
    }
    for statements in act(model.firewall.default, None, None, None) {
        ruleset.rule(CHAIN, statements, Some(&Counted::Default));
    }
}

fn essentials() -> [Vec<Statement<'static>>; 3] {
    let types = ESSENTIAL_ICMPV6.map(Expression::Number);
    [
        vec![matches(field("icmpv6", "type"), Operator::EQ, set(types))],
        // Answers to the gateway's DHCP client; they may be broadcast, which connection tracking does not relate to the request.
        vec![
            matches(meta(MetaKey::Nfproto), Operator::EQ, string("ipv4")),
            matches(field("udp", "sport"), Operator::EQ, Expression::Number(67)),
            matches(field("udp", "dport"), Operator::EQ, Expression::Number(68)),
        ],
        vec![
            matches(meta(MetaKey::Nfproto), Operator::EQ, string("ipv6")),
            matches(field("udp", "sport"), Operator::EQ, Expression::Number(547)),
            matches(field("udp", "dport"), Operator::EQ, Expression::Number(546)),
        ],
    ]
}

/// The statements that carry `action` out. A refusal has two forms: a reset for TCP, an ICMP error for the rest.
fn act(action: Action, protocol: Option<ProtocolMatch>, rate: Option<Rate>, log: Option<&FirewallRule>) -> Vec<Vec<Statement<'static>>> {
    let with = |before: Vec<Statement<'static>>, verdict: Statement<'static>| {
        let mut statements = before;
        statements.push(counter());
        statements.extend(log.map(log_statement));
        statements.push(verdict);
        statements
    };
    match action {
        Action::Accept => vec![with(rate.map(limit).into_iter().collect(), accept())],
        Action::Drop => vec![with(Vec::new(), drop())],
        Action::Reject => {
            let tcp = matches(meta(MetaKey::L4proto), Operator::EQ, string("tcp"));
            let mut forms = Vec::new();
            if protocol.is_none_or(|protocol| protocol == ProtocolMatch::Tcp) {
                forms.push(with(vec![tcp], Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)))));
            }
            if protocol != Some(ProtocolMatch::Tcp) {
                let prohibited = Reject::new(Some(RejectType::ICMPX), Some(RejectCode::AdminProhibited));
                forms.push(with(Vec::new(), Statement::Reject(Some(prohibited))));
            }
            forms
        }
    }
}

fn accept() -> Statement<'static> {
    Statement::Accept(Some(Accept {}))
}

fn drop() -> Statement<'static> {
    Statement::Drop(Some(Drop {}))
}

fn log_statement(rule: &FirewallRule) -> Statement<'static> {
    let prefix = format!("gateway {}: ", rule.name.0);
    Statement::Log(Some(Log {
        prefix: Some(cut(&prefix, LOG_PREFIX_BYTES).to_owned().into()),
        level: Some(LogLevel::Info),
        ..Log::new(None)
    }))
}

/// nft knows rates per second, minute, hour and day: the shortest of them that says the rate exactly.
fn limit(rate: Rate) -> Statement<'static> {
    const UNITS: [(u64, &str); 4] = [(1_000, "second"), (60_000, "minute"), (3_600_000, "hour"), (86_400_000, "day")];
    let per_ms = u64::from(rate.per_ms.max(1));
    let in_unit = |milliseconds: u64| u64::from(rate.count) * milliseconds;
    let exact = UNITS.into_iter().find(|(milliseconds, _)| in_unit(*milliseconds) % per_ms == 0);
    let (milliseconds, unit) = exact.unwrap_or(UNITS[3]);
    let count = u32::try_from(in_unit(milliseconds).div_ceil(per_ms).max(1)).unwrap_or(u32::MAX);
    Statement::Limit(Limit {
        rate: count,
        rate_unit: None,
        per: Some(unit.into()),
        burst: Some(rate.count.max(1)),
        burst_unit: None,
        inv: None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn has(self, net: &IpNet) -> bool {
        matches!((self, net), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }

    fn set_type(self) -> SetType {
        match self {
            Self::V4 => SetType::Ipv4Addr,
            Self::V6 => SetType::Ipv6Addr,
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    fn icmp(self) -> &'static str {
        match self {
            Self::V4 => "icmp",
            Self::V6 => "icmpv6",
        }
    }

    fn digit(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }
}

fn zone_set(number: usize) -> String {
    format!("zone_{number}")
}

/// Writes what one rule matches: once, or once per family where it names addresses or ICMP.
struct Matcher<'a> {
    ruleset: &'a mut Ruleset,
    model: &'a Model,
    /// Names of the policy's sets that exist already.
    shared: &'a mut BTreeSet<String>,
    rule: &'a FirewallRule,
    number: usize,
}

impl Matcher<'_> {
    fn render(mut self) -> Vec<Vec<Statement<'static>>> {
        let rule = self.rule;
        if rule.source.is_any() && rule.destination.is_any() && rule.protocol != Some(ProtocolMatch::Icmp) {
            return vec![self.common()];
        }
        [Family::V4, Family::V6].into_iter().filter_map(|family| self.one_family(family)).collect()
    }

    /// What holds for both families.
    fn common(&self) -> Vec<Statement<'static>> {
        let mut statements = Vec::new();
        if let Some(from) = &self.rule.from
            && let Some(number) = self.model.zones.iter().position(|zone| zone.name == *from)
        {
            statements.push(in_set(meta(MetaKey::Iifname), &zone_set(number)));
        }
        let transport = match self.rule.protocol {
            Some(ProtocolMatch::Tcp) => "tcp",
            Some(ProtocolMatch::Udp) => "udp",
            None => "th",
            Some(ProtocolMatch::Icmp) => return statements,
        };
        if self.rule.ports.is_empty() {
            if self.rule.protocol.is_some() {
                statements.push(matches(meta(MetaKey::L4proto), Operator::EQ, string(transport)));
            }
            return statements;
        }
        if self.rule.protocol.is_none() {
            statements.push(matches(meta(MetaKey::L4proto), Operator::EQ, set([string("tcp"), string("udp")])));
        }
        statements.push(matches(field(transport, "dport"), Operator::EQ, ports(&self.rule.ports)));
        statements
    }

    /// `None`: the rule cannot match packets of this family.
    fn one_family(&mut self, family: Family) -> Option<Vec<Statement<'static>>> {
        let rule = self.rule;
        let mut statements = self.common();
        if rule.protocol == Some(ProtocolMatch::Icmp) {
            statements.push(match rule.icmp_type {
                Some(number) => matches(field(family.icmp(), "type"), Operator::EQ, Expression::Number(u32::from(number))),
                None => matches(meta(MetaKey::L4proto), Operator::EQ, string(if family == Family::V4 { "icmp" } else { "ipv6-icmp" })),
            });
        }
        let nfproto = if family == Family::V4 { "ipv4" } else { "ipv6" };
        statements.push(matches(meta(MetaKey::Nfproto), Operator::EQ, string(nfproto)));
        for (address, side, key) in [(&rule.source, "source", "saddr"), (&rule.destination, "destination", "daddr")] {
            if !address.is_any() {
                let set = self.address_set(address, side, family)?;
                statements.push(in_set(field(family.protocol(), key), &set));
            }
        }
        Some(statements)
    }

    /// The set that holds these addresses; `None`: there are none of this family. A single policy set is one nft set for all rules.
    fn address_set(&mut self, address: &AddressMatch, side: &str, family: Family) -> Option<String> {
        let sets = address.sets.iter().filter_map(|index| self.model.sets.get(index.0));
        let members: Vec<IpNet> =
            sets.flat_map(|set| &set.members).chain(&address.prefixes).filter(|net| family.has(net)).copied().collect();
        if members.is_empty() {
            return None;
        }
        let name = match (address.sets.as_slice(), address.prefixes.as_slice()) {
            ([index], []) => format!("set_{}_{}", index.0, family.digit()),
            _ => format!("rule_{}_{side}_{}", self.number, family.digit()),
        };
        if self.shared.insert(name.clone()) {
            self.ruleset.prefixes(&name, family.set_type(), &members);
        }
        Some(name)
    }
}

fn field(protocol: &'static str, name: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(PayloadField { protocol: protocol.into(), field: name.into() })))
}

fn set(items: impl IntoIterator<Item = Expression<'static>>) -> Expression<'static> {
    Expression::Named(NamedExpression::Set(items.into_iter().map(SetItem::Element).collect()))
}

/// Ports as one anonymous set. nft refuses overlapping intervals, so those that touch are joined.
fn ports(ranges: &[PortRange]) -> Expression<'static> {
    let mut sorted: Vec<(u16, u16)> = ranges.iter().map(|range| (range.first, range.last)).collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    set(joined.into_iter().map(|(first, last)| {
        let number = |port: u16| Expression::Number(u32::from(port));
        if first == last { number(first) } else { Expression::Range(Box::new(Range { range: [number(first), number(last)] })) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(count: u32, per_ms: u32) -> (u32, String) {
        match limit(Rate { count, per_ms }) {
            Statement::Limit(limit) => (limit.rate, limit.per.unwrap_or_default().into_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rates_are_said_exactly() {
        assert_eq!(limit_of(10, 1_000), (10, "second".to_owned()));
        assert_eq!(limit_of(3, 60_000), (3, "minute".to_owned()));
        assert_eq!(limit_of(1, 10_000), (6, "minute".to_owned()));
        assert_eq!(limit_of(1, 500), (2, "second".to_owned()));
    }

    #[test]
    fn ports_are_joined() {
        let range = |first, last| PortRange { first, last };
        let one = ports(&[range(80, 90), range(22, 22), range(85, 100), range(101, 102)]);
        let two = ports(&[range(22, 22), range(80, 102)]);
        assert_eq!(one, two);
        assert_eq!(ports(&[range(1, u16::MAX), range(5, 5)]), ports(&[range(1, u16::MAX)]));
    }
}
