//! The input chain: the policy's rules to `self`, once there is one.

use ::nftables::types::{NfChainType, NfHook};

use super::counted::Counted;
use super::expression::{Stmt, accept, count, ct_state, differs, equals, field, meta, named, nfproto, number, one_of};
use super::firewall::{self, Scope, is_self};
use super::matching::FROM;
use super::names::ZONE_INTERFACES;
use super::ruleset::{Hook, Ruleset};
use super::sets::Sets;
use crate::model::Model;

const CHAIN: &str = "input";
/// As the usual filter chains.
const HOOK: Hook = Hook { kind: NfChainType::Filter, hook: NfHook::Input, priority: 0 };

/// What a host on an IPv6 link cannot do without (RFC 4890 section 4.4.1): multicast listener query, router solicitation and
/// advertisement, neighbour solicitation and advertisement.
const ESSENTIAL_ICMPV6: [u8; 5] = [130, 133, 134, 135, 136];

/// Filters the gateway itself, if a rule of the policy names it: packets from zone interfaces to the gateway meet the rules in the
/// policy's order (those to `self` and those to any zone), and the policy's default at the end.
pub(super) fn render<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, model: &'a Model) {
    if !model.firewall.rules.iter().any(|rule| rule.to.as_ref().is_some_and(is_self)) {
        return;
    }
    ruleset.chain(CHAIN, HOOK);
    ruleset.rule(CHAIN, vec![differs(meta(FROM), named(ZONE_INTERFACES)), accept()], None);
    let established = count(&ruleset.counter(Counted::Established));
    ruleset.rule(CHAIN, vec![ct_state(&["established", "related"]), established, accept()], None);
    let counted = count(&ruleset.counter(Counted::Essential));
    for mut essential in essentials() {
        essential.extend([counted.clone(), accept()]);
        ruleset.rule(CHAIN, essential, None);
    }
    firewall::render(ruleset, sets, CHAIN, Scope::ToSelf, model);
}

fn essentials() -> [Vec<Stmt>; 3] {
    // Answers to the gateway's DHCP client; they may be broadcast, which connection tracking does not relate to the request.
    let dhcp = |family, server: u16, client: u16| {
        vec![nfproto(family), equals(field("udp", "sport"), number(server)), equals(field("udp", "dport"), number(client))]
    };
    let types = one_of(ESSENTIAL_ICMPV6.map(number));
    [vec![equals(field("icmpv6", "type"), types)], dhcp("ipv4", 67, 68), dhcp("ipv6", 547, 546)]
}
