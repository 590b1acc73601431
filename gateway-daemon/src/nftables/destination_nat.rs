//! `[[nat.destination]]`: port forwards. Thousands of them are a few look-ups in maps.
//!
//! Forwards of the same shape that follow one another in a zone become one map; a forward with a source, or of many ports that stay as they
//! are, is a rule of its own. Only packets of the forward's zone are translated, so forwards of different zones never compete.

use std::collections::HashSet;

use ::nftables::expr::MetaKey;
use ::nftables::schema::SetType;
use ::nftables::stmt::{NAT, NATFamily, Statement};
use ::nftables::types::{NfChainType, NfHook};

use super::expression::{Expr, Stmt, concat, equals, field, l4proto, look_up, meta, number, range, string};
use super::matching::FROM;
use super::ruleset::{Hook, Ruleset};
use super::sets::{Family, Sets};
use crate::inventory::Inventory;
use crate::model::{DestinationNat, Model, ProtocolMatch};

const CHAIN: &str = "dstnat";
const HOOK: Hook = Hook { kind: NfChainType::NAT, hook: NfHook::Prerouting, priority: -100 };

/// How a forward is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Elements of a map by protocol, address and port.
    ByAddress,
    /// Elements of a map by protocol and port, for any address of the zone.
    ByPort,
    /// A rule of its own.
    Alone,
}

pub(super) fn render<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, model: &'a Model, inventory: &Inventory) {
    if model.nat.destination.is_empty() {
        return;
    }
    ruleset.chain(CHAIN, HOOK);
    for zone in &model.zones {
        let forwards: Vec<&DestinationNat> =
            model.nat.destination.iter().filter(|rule| rule.from == zone.name && rule.to.is_ipv4()).collect();
        for run in forwards.chunk_by(|a, b| shape(a) == shape(b) && shape(a) != Shape::Alone) {
            let Some(first) = run.first() else { continue };
            match shape(first) {
                Shape::Alone => alone(ruleset, sets, inventory, first),
                shape => together(ruleset, sets, inventory, shape, run),
            }
        }
    }
}

fn shape(rule: &DestinationNat) -> Shape {
    match (rule.source.is_any() && !keeps_range(rule), rule.address) {
        (false, _) => Shape::Alone,
        (true, Some(_)) => Shape::ByAddress,
        (true, None) => Shape::ByPort,
    }
}

/// Many ports, none of which changes.
fn keeps_range(rule: &DestinationNat) -> bool {
    rule.ports.first != rule.ports.last && rule.to_port.is_none_or(|port| port == rule.ports.first)
}

/// Each port and where it goes. The kernel would draw a port of a range at random, so ports that move in step are written one by one.
fn targets(rule: &DestinationNat) -> impl Iterator<Item = (u16, Expr)> {
    let first = rule.to_port.unwrap_or(rule.ports.first);
    let server = rule.to.to_string();
    (rule.ports.first..=rule.ports.last).map(move |port| {
        let to = first.wrapping_add(port - rule.ports.first);
        (port, concat([string(&server), number(to)]))
    })
}

/// Consecutive forwards of one zone and shape: one map. A forward of several ports has an element for each.
fn together<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, inventory: &Inventory, shape: Shape, run: &[&'a DestinationNat]) {
    let Some(first) = run.first() else { return };
    let mut seen = HashSet::new();
    let mut elements = Vec::new();
    for rule in run {
        for (port, target) in targets(rule) {
            // The first match wins.
            if seen.insert((rule.protocol, rule.address, port)) {
                let address = rule.address.map(|address| string(&address.to_string()));
                let key = [string(protocol(rule.protocol))].into_iter().chain(address).chain([number(port)]);
                elements.push((concat(key), target));
            }
        }
    }
    let map = ruleset.name("forwards", &first.from.0);
    let by_address = (shape == Shape::ByAddress).then(|| field("ip", "daddr"));
    let types: Vec<SetType> =
        [SetType::InetProto].into_iter().chain(by_address.is_some().then_some(SetType::Ipv4Addr)).chain([SetType::InetService]).collect();
    let only = if run.len() == 1 { Some(&first.name) } else { None };
    ruleset.map(&map, &types, &[SetType::Ipv4Addr, SetType::InetService], elements, only);
    let mut statements = vec![sets.zone(ruleset, FROM, Some(&first.from))];
    if by_address.is_none() {
        statements.push(sets.own_addresses(ruleset, inventory, &first.from));
    }
    let key = concat([meta(MetaKey::L4proto)].into_iter().chain(by_address).chain([field("th", "dport")]));
    statements.push(translate(look_up(key, &map), None));
    ruleset.rule(CHAIN, statements, only);
}

/// One forward, with its source.
fn alone<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, inventory: &Inventory, rule: &'a DestinationNat) {
    let mut statements = vec![sets.zone(ruleset, FROM, Some(&rule.from))];
    if !rule.source.is_any() {
        let Some(source) = sets.addresses(ruleset, &rule.source, (Family::V4, "saddr"), &rule.name) else { return };
        statements.push(source);
    }
    statements.push(match rule.address {
        Some(address) => equals(field("ip", "daddr"), string(&address.to_string())),
        None => sets.own_addresses(ruleset, inventory, &rule.from),
    });
    let header = protocol(rule.protocol);
    let (first, last) = (rule.ports.first, rule.ports.last);
    if first == last || keeps_range(rule) {
        let ports = if first == last { number(first) } else { range(first, last) };
        statements.push(equals(field(header, "dport"), ports));
        let port = if first == last { rule.to_port.map(number) } else { None };
        statements.push(translate(string(&rule.to.to_string()), port));
    } else {
        let map = ruleset.name("forward", &rule.name.0);
        let elements = targets(rule).map(|(port, target)| (number(port), target)).collect();
        ruleset.map(&map, &[SetType::InetService], &[SetType::Ipv4Addr, SetType::InetService], elements, Some(&rule.name));
        statements.push(l4proto(&[header]));
        statements.push(translate(look_up(field(header, "dport"), &map), None));
    }
    ruleset.rule(CHAIN, statements, Some(&rule.name));
}

fn translate(address: Expr, port: Option<Expr>) -> Stmt {
    Statement::DNAT(Some(NAT { addr: Some(address), family: Some(NATFamily::IP), port, flags: None }))
}

/// The keyword of a transport that can be forwarded.
fn protocol(protocol: ProtocolMatch) -> &'static str {
    match protocol {
        ProtocolMatch::Udp => "udp",
        // The policy refuses ICMP here.
        ProtocolMatch::Tcp | ProtocolMatch::Icmp => "tcp",
    }
}
