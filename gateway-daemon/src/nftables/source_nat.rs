//! `[[nat.source]]`: the source of what is forwarded. The gateway's own traffic did not come from a zone interface, so no rule matches it.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ::nftables::expr::{JHash, Map, NamedExpression, SetItem};
use ::nftables::stmt::{NAT, NATFamily, NATFlag, Operator, Statement};
use ::nftables::types::{NfChainType, NfHook};

use super::expression::{Expr, Stmt, accept, field, l4proto, matches, number, range, string};
use super::matching::{Conditions, FROM, TO};
use super::ruleset::{Hook, Ruleset};
use super::sets::{Family, Sets};
use crate::model::{Mapping, Model, PoolRange, PortRange, ProtocolMatch, SourceNat, Translate};

const CHAIN: &str = "srcnat";
const HOOK: Hook = Hook { kind: NfChainType::NAT, hook: NfHook::Postrouting, priority: 100 };

/// Below, ports are mapped among themselves (RFC 4787 REQ-3a), which the kernel does by itself when no range is given.
const USER_PORTS: u16 = 1024;
/// The seed of the choice among a pool's addresses. Given, so that a reload moves nobody to another address; nothing is kept secret by it.
const SEED: u32 = 0x6761_7465;

pub(super) fn render<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, model: &'a Model) {
    if model.nat.source.is_empty() {
        return;
    }
    ruleset.chain(CHAIN, HOOK);
    for rule in &model.nat.source {
        let Some(conditions) = Conditions::from(rule).of(Family::V4, ruleset, sets) else { continue };
        let mut matching = vec![sets.zone(ruleset, FROM, rule.from.as_ref())];
        matching.extend(rule.to.as_ref().map(|to| sets.zone(ruleset, TO, Some(to))));
        matching.extend(conditions);
        for action in translate(rule) {
            ruleset.rule(CHAIN, matching.iter().cloned().chain(action).collect(), Some(&rule.name));
        }
    }
}

/// What is done to a flow that matches: one list of statements for each rule that it takes.
fn translate(rule: &SourceNat) -> Vec<Vec<Stmt>> {
    let random = (rule.mapping == Mapping::AddressAndPortDependent).then_some(NATFlag::FullyRandom);
    match &rule.translate {
        Translate::None => vec![vec![accept()]],
        // Without flags the kernel gives an internal endpoint the mapping that it has, as long as that is free for the remote.
        Translate::Masquerade => vec![vec![Statement::Masquerade(random.map(|flag| NAT {
            addr: None,
            family: None,
            port: None,
            flags: Some(HashSet::from([flag])),
        }))]],
        Translate::Pool { addresses, ports } => {
            let (addresses, persistent) = pool(addresses);
            let flags: HashSet<NATFlag> = random.into_iter().chain(persistent).collect();
            let to = |port: Option<Expr>| {
                Statement::SNAT(Some(NAT {
                    addr: Some(addresses.clone()),
                    family: Some(NATFamily::IP),
                    port,
                    flags: (!flags.is_empty()).then(|| flags.clone()),
                }))
            };
            let form = |(mut before, port): (Vec<Stmt>, Option<Expr>)| {
                before.push(to(port));
                before
            };
            port_classes(rule.protocol, *ports).into_iter().map(form).collect()
        }
    }
}

/// The address of a flow: the same for all flows of an internal host (RFC 4787 REQ-2).
fn pool(ranges: &[PoolRange]) -> (Expr, Option<NATFlag>) {
    let address = |address: Ipv4Addr| string(&address.to_string());
    if let [only] = ranges {
        if only.first == only.last {
            return (address(only.first), None);
        }
        let both = Expr::Range(Box::new(::nftables::expr::Range { range: [address(only.first), address(only.last)] }));
        return (both, Some(NATFlag::Persistent));
    }
    let all = ranges.iter().flat_map(|range| (u32::from(range.first)..=u32::from(range.last)).map(Ipv4Addr::from));
    let elements: Vec<SetItem<'static>> = (0u32..).zip(all).map(|(n, at)| SetItem::Mapping(number(n), address(at))).collect();
    let hash = JHash {
        hash_mod: u32::try_from(elements.len()).unwrap_or(u32::MAX),
        offset: None,
        expr: Box::new(field("ip", "saddr")),
        seed: Some(SEED),
    };
    let choice = Map { key: Expr::Named(NamedExpression::JHash(hash)), data: Expr::Named(NamedExpression::Set(elements)) };
    (Expr::Named(NamedExpression::Map(Box::new(choice))), None)
}

/// The range of external ports, where it is not what the kernel does anyway, and what it is for.
fn port_classes(protocol: Option<ProtocolMatch>, ports: PortRange) -> Vec<(Vec<Stmt>, Option<Expr>)> {
    if (ports.first, ports.last) == (USER_PORTS, u16::MAX) {
        return vec![(Vec::new(), None)];
    }
    // nft takes ports only for what has some.
    let transport = || if protocol.is_none() { vec![l4proto(&["tcp", "udp", "icmp"])] } else { Vec::new() };
    let ranged = (transport(), Some(range(ports.first, ports.last)));
    // Whoever gives a narrower range means all of its ports; query identifiers have no classes.
    if ports.first > USER_PORTS || protocol == Some(ProtocolMatch::Icmp) {
        return vec![ranged];
    }
    let mut low = if protocol.is_none() { vec![l4proto(&["tcp", "udp"])] } else { Vec::new() };
    low.push(matches(field("th", "sport"), Operator::LT, number(USER_PORTS)));
    vec![(low, None), ranged]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ports_have_a_class_of_their_own_unless_the_pool_has_none() {
        let forms = |protocol, first, last| port_classes(protocol, PortRange { first, last }).len();
        assert_eq!(forms(None, 1024, 65_535), 1);
        assert_eq!(forms(None, 1024, 40_000), 2);
        assert_eq!(forms(Some(ProtocolMatch::Icmp), 1024, 40_000), 1);
        assert_eq!(forms(None, 2000, 40_000), 1);
    }
}
