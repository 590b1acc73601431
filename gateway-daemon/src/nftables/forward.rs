//! The forward chain: packets of accepted flows go on, first packets are judged by the zone firewall.

use ::nftables::schema::SetType;
use ::nftables::stmt::{Flow, Operator, SetOp, Statement};
use gateway_ebpf::abi::DropReason;

use super::admit::{flags, has_rule, of_accepted_flow, on_link, refuse, tcp_flags};
use super::counted::Counted;
use super::expression::{
    accept, concat, count, ct, ct_state, differs, drop, equals, field, goto, l4proto, look_up, meta, named, nfproto, number, set_ct_mark,
    string,
};
use super::features::Features;
use super::firewall::{self, Scope};
use super::guard;
use super::mark::Mark;
use super::matching::{FROM, TO};
use super::names::{ZONE_INTERFACES, ZONE_PAIRS};
use super::ruleset::Ruleset;
use super::sets::{Family, Sets, interface};
use crate::inventory::Inventory;
use crate::model::Model;
use crate::plan::Numbers;

const CHAIN: &str = "forward";
const FIREWALL: &str = "firewall";
const FLOWTABLE: &str = "flows";

pub(super) fn render<'a>(
    ruleset: &mut Ruleset,
    sets: &mut Sets<'a>,
    model: &'a Model,
    inventory: &Inventory,
    numbers: &Numbers,
    features: Features,
) {
    zone_pairs(ruleset, model, numbers);
    let devices: Vec<String> = model
        .zones
        .iter()
        .flat_map(|zone| &zone.interfaces)
        .filter(|name| inventory.link(name).is_some())
        .map(|name| name.0.clone())
        .collect();
    let offload = features.flowtable && !devices.is_empty();
    if offload {
        ruleset.flowtable(FLOWTABLE, devices);
    }
    ruleset.chain(CHAIN, guard::HOOK);
    let outside = |key| differs(meta(key), named(ZONE_INTERFACES));
    if features.ipv6_everywhere {
        ruleset.rule(CHAIN, vec![outside(FROM), outside(TO), nfproto(Family::V6.nfproto()), drop()], None);
    }
    ruleset.rule(CHAIN, vec![outside(FROM), outside(TO), accept()], None);
    refuse(ruleset, CHAIN, vec![outside(FROM)], DropReason::NoZone);
    refuse(ruleset, CHAIN, vec![outside(TO)], DropReason::NoZone);
    if offload {
        let add = Statement::Flow(Flow { op: SetOp::Add, flowtable: FLOWTABLE.into() });
        ruleset.rule(CHAIN, vec![ct_state(&["established"]), has_rule(Operator::NEQ), l4proto(&["tcp", "udp"]), add], None);
    }
    let counted = count(&ruleset.counter(Counted::Flow));
    ruleset.rule(CHAIN, of_accepted_flow().into_iter().chain([counted.clone(), accept()]).collect(), None);
    // Errors about an accepted flow.
    ruleset.rule(CHAIN, vec![ct_state(&["related"]), has_rule(Operator::NEQ), l4proto(&["icmp", "icmpv6"]), counted, accept()], None);
    let stays = count(&ruleset.counter(Counted::ForwardedFrom));
    for on_link in on_link() {
        ruleset.rule(CHAIN, vec![on_link, stays.clone(), drop()], None);
    }
    unsolicited(ruleset);
    // Accepted by somebody else before the gateway came: its translation was never ours to decide.
    refuse(ruleset, CHAIN, vec![equals(ct("status"), string("confirmed"))], DropReason::PolicyChanged);
    ruleset.rule(CHAIN, vec![set_ct_mark(look_up(concat([meta(FROM), meta(TO)]), ZONE_PAIRS))], None);
    ruleset.rule(CHAIN, vec![goto(FIREWALL)], None);
    ruleset.plain_chain(FIREWALL);
    firewall::render(ruleset, sets, FIREWALL, Scope::Forwarded(numbers), model);
}

/// The zones of every pair of interfaces, as they stand in the connection mark.
fn zone_pairs(ruleset: &mut Ruleset, model: &Model, numbers: &Numbers) {
    let interfaces = || model.zones.iter().flat_map(|zone| zone.interfaces.iter().map(move |name| (name, numbers.zone(Some(&zone.name)))));
    let pairs = interfaces().flat_map(|(from, from_zone)| {
        interfaces().map(move |(to, to_zone)| (concat([interface(from), interface(to)]), number(Mark::zones(from_zone, to_zone).0)))
    });
    let pairs = pairs.collect();
    ruleset.map(ZONE_PAIRS, &[SetType::Ifname, SetType::Ifname], &[SetType::Mark], pairs, None);
}

/// What begins no flow: TCP begins with a SYN, and an echo reply begins nothing.
fn unsolicited(ruleset: &mut Ruleset) {
    let invalid = || ct_state(&["invalid", "untracked"]);
    refuse(ruleset, CHAIN, vec![invalid(), l4proto(&["tcp"])], DropReason::TcpNoFlow);
    let no_syn = differs(tcp_flags(&["fin", "syn", "rst", "ack"]), flags(&["syn"]));
    refuse(ruleset, CHAIN, vec![no_syn], DropReason::TcpNoFlow);
    for family in Family::BOTH {
        refuse(ruleset, CHAIN, vec![equals(field(family.icmp(), "type"), string("echo-reply"))], DropReason::State);
        // Errors about what no rule accepted.
        refuse(ruleset, CHAIN, vec![differs(field(family.icmp(), "type"), string("echo-request"))], DropReason::IcmpType);
    }
    // A datagram with a wrong length or checksum.
    refuse(ruleset, CHAIN, vec![invalid(), l4proto(&["udp"])], DropReason::BadUdpHeader);
    refuse(ruleset, CHAIN, vec![invalid()], DropReason::State);
}
