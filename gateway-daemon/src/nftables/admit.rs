//! Before routing, beside destination NAT: packets that no router forwards, and sources that cannot have come this way.
//!
//! Two chains, as the pipeline has it: what is wrong whatever the policy says before destination NAT, what depends on where the packet
//! really goes after it. A packet of an accepted flow skips both, and one for the gateway itself skips the second.

use ::nftables::expr::{FibFlag, FibResult, MetaKey};
use ::nftables::stmt::Operator;
use ::nftables::types::{NfChainType, NfHook};
use gateway_ebpf::abi::DropReason;

use super::counted::Counted;
use super::expression::{
    Expr, Stmt, accept, and, count, ct, ct_state, differs, drop, equals, extension, fib, field, matches, meta, named, nfproto, number,
    one_of, or, string,
};
use super::mark::RULE_BITS;
use super::matching::FROM;
use super::names::ZONE_INTERFACES;
use super::ruleset::{Hook, Ruleset};
use super::sets::{Family, interface};
use crate::model::{InterfaceName, Model, SourceValidation};

const ADMIT: &str = "admit";
/// After connection tracking (-200), before destination NAT (-100).
const ADMIT_HOOK: Hook = Hook { kind: NfChainType::Filter, hook: NfHook::Prerouting, priority: -150 };
const VALIDATE: &str = "validate";
/// After destination NAT: a forwarded packet's destination is no longer the gateway's.
const VALIDATE_HOOK: Hook = Hook { priority: -90, ..ADMIT_HOOK };

/// Multicast, broadcast and link-local: the local stack's.
const ON_LINK: [(&str, &[&str], &[&str]); 2] = [
    ("ip", &["169.254.0.0/16", "224.0.0.0/4", "255.255.255.255"], &["169.254.0.0/16"]),
    ("ip6", &["fe80::/10", "ff00::/8"], &["fe80::/10"]),
];
/// Sources that cannot be on a wire, and such destinations (RFC 6890, RFC 1812 section 5.3.7, RFC 4942 section 2.2).
const MARTIANS: [(&str, &[&str], &[&str]); 2] = [
    ("ip", &["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"], &["0.0.0.0/8", "127.0.0.0/8", "240.0.0.0/4"]),
    ("ip6", &["::/127", "::ffff:0:0/96", "ff00::/8"], &["::/127", "::ffff:0:0/96"]),
];
/// The flag combinations that stacks send, besides PSH, ECE and CWR.
const TCP_FLAGS: [&[&str]; 9] = [
    &["syn"],
    &["syn", "urg"],
    &["ack"],
    &["ack", "urg"],
    &["rst"],
    &["syn", "ack"],
    &["rst", "ack"],
    &["fin", "ack"],
    &["fin", "ack", "urg"],
];

/// Matches packets of flows that a rule or the default has accepted. Errors about a flow are not of it.
pub(super) fn of_accepted_flow() -> Vec<Stmt> {
    vec![ct_state(&["established", "new"]), has_rule(Operator::NEQ)]
}

/// Holds the rule's bits of the connection mark against 0.
pub(super) fn has_rule(op: Operator) -> Stmt {
    matches(and(ct("mark"), number(RULE_BITS)), op, number(0u32))
}

/// Those of `flags` that are looked at.
pub(super) fn tcp_flags(looked_at: &[&str]) -> Expr {
    and(field("tcp", "flags"), flags(looked_at))
}

pub(super) fn flags(flags: &[&str]) -> Expr {
    match flags {
        [only] => string(only),
        several => or(several.iter().map(|flag| string(flag))),
    }
}

/// Drops what the statements match, for this reason.
pub(super) fn refuse(ruleset: &mut Ruleset, chain: &str, mut statements: Vec<Stmt>, reason: DropReason) {
    statements.push(count(&ruleset.counter(Counted::Reason(reason))));
    statements.push(drop());
    ruleset.rule(chain, statements, None);
}

/// Addresses that stay on their link, as matches on either side.
pub(super) fn on_link() -> impl Iterator<Item = Stmt> {
    ON_LINK.into_iter().flat_map(|(header, destinations, sources)| either(header, sources, destinations))
}

fn either(header: &'static str, sources: &[&'static str], destinations: &[&'static str]) -> [Stmt; 2] {
    let side = |side, list: &[&'static str]| equals(field(header, side), one_of(list.iter().map(|net| string(net))));
    [side("saddr", sources), side("daddr", destinations)]
}

/// The chain before destination NAT.
pub(super) fn admit(ruleset: &mut Ruleset) {
    ruleset.chain(ADMIT, ADMIT_HOOK);
    begin(ruleset, ADMIT);
    refuse(ruleset, ADMIT, vec![equals(extension("rt", "type"), number(0u32))], DropReason::ExtensionHeaders);
    refuse(ruleset, ADMIT, vec![differs(extension("rt", "seg-left"), number(0u32))], DropReason::ExtensionHeaders);
    let valid = one_of(TCP_FLAGS.iter().map(|combination| flags(combination)));
    refuse(ruleset, ADMIT, vec![differs(tcp_flags(&["fin", "syn", "rst", "ack", "urg"]), valid)], DropReason::BadTcpHeader);
    for stays in on_link() {
        ruleset.rule(ADMIT, vec![stays, accept()], None);
    }
    for (header, sources, destinations) in MARTIANS {
        let [source, destination] = either(header, sources, destinations);
        refuse(ruleset, ADMIT, vec![source], DropReason::MartianSource);
        refuse(ruleset, ADMIT, vec![destination], DropReason::MartianDestination);
    }
}

/// The chain after destination NAT.
pub(super) fn validate(ruleset: &mut Ruleset, model: &Model) {
    ruleset.chain(VALIDATE, VALIDATE_HOOK);
    begin(ruleset, VALIDATE);
    let own = |flag| equals(fib(FibResult::Type, &[flag]), one_of(["local", "broadcast", "anycast"].map(string)));
    // The kernel validates the sources of its own packets, and must still see DHCP answers and the like.
    ruleset.rule(VALIDATE, vec![own(FibFlag::Daddr), accept()], None);
    for family in Family::BOTH {
        let tracked = one_of(["tcp", "udp", family.icmp()].map(string));
        refuse(ruleset, VALIDATE, vec![nfproto(family.nfproto()), differs(meta(MetaKey::L4proto), tracked)], DropReason::Protocol);
    }
    for family in Family::BOTH {
        // Errors about accepted flows follow them.
        let unrelated = || differs(ct("state"), string("related"));
        let echo = one_of(["echo-request", "echo-reply"].map(string));
        refuse(ruleset, VALIDATE, vec![unrelated(), differs(field(family.icmp(), "type"), echo)], DropReason::IcmpType);
        refuse(ruleset, VALIDATE, vec![unrelated(), differs(field(family.icmp(), "code"), number(0u32))], DropReason::IcmpType);
    }
    refuse(ruleset, VALIDATE, vec![own(FibFlag::Saddr)], DropReason::SourceIsSelf);
    let reachable: [(_, &[FibFlag]); 2] =
        [(SourceValidation::Strict, &[FibFlag::Saddr, FibFlag::Iif]), (SourceValidation::Loose, &[FibFlag::Saddr])];
    for (validation, flags) in reachable {
        let interfaces: Vec<Expr> = zone_interfaces(model).filter(|name| validation_of(model, name) == validation).map(interface).collect();
        if !interfaces.is_empty() {
            let unknown = equals(fib(FibResult::Oif, flags), Expr::Boolean(false));
            refuse(ruleset, VALIDATE, vec![equals(meta(FROM), one_of(interfaces)), unknown], DropReason::SourceValidation);
        }
    }
}

/// What is not for this chain.
fn begin(ruleset: &mut Ruleset, chain: &str) {
    ruleset.rule(chain, vec![differs(meta(FROM), named(ZONE_INTERFACES)), accept()], None);
    ruleset.rule(chain, of_accepted_flow().into_iter().chain([accept()]).collect(), None);
    // Frames for other stations, or for all.
    ruleset.rule(chain, vec![differs(meta(MetaKey::Pkttype), string("host")), accept()], None);
}

fn zone_interfaces(model: &Model) -> impl Iterator<Item = &InterfaceName> {
    model.zones.iter().flat_map(|zone| &zone.interfaces)
}

fn validation_of(model: &Model, name: &InterfaceName) -> SourceValidation {
    model.interfaces.get(name).map(|interface| interface.source_validation).unwrap_or_default()
}
