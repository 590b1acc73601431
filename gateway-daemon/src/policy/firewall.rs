//! `[firewall]` and `[[firewall.rules]]`.

use super::address::AddressUse;
use super::context::{Context, Placed};
use super::error::RuleError;
use super::matching::Matching;
use super::scalar;
use super::table::Table;
use crate::model::{Action, FirewallRule, ProtocolMatch};

const ACTIONS: [(&str, Action); 3] = [("accept", Action::Accept), ("drop", Action::Drop), ("reject", Action::Reject)];

/// `[firewall]`: the default and the rules that are right.
pub(super) fn firewall(mut table: Table, cx: &mut Context) -> (Action, Vec<Placed<FirewallRule>>) {
    let default = table.take("default").and_then(|v| v.choice(&mut cx.findings, "\"drop\"", &ACTIONS));
    let rules = table.take("rules").map_or_else(Vec::new, |v| v.tables(&mut cx.findings, "firewall.rules"));
    table.finish(&mut cx.findings);
    (default.unwrap_or_default(), rules.into_iter().filter_map(|table| rule(table, cx)).collect())
}

fn rule(mut table: Table, cx: &mut Context) -> Option<Placed<FirewallRule>> {
    let before = cx.findings.errors();
    let name = cx.rule_name(&mut table);
    let matching = Matching::read(&mut table, AddressUse::Firewall, cx);
    let findings = &mut cx.findings;
    let icmp_type = table.take("icmp-type").and_then(|value| {
        if matching.protocol != Some(ProtocolMatch::Icmp) {
            findings.add(value.span(), RuleError::IcmpTypeWithoutIcmp);
        }
        value.number(findings, 0..=255, "8")
    });
    let action = table.require(findings, "action", "\"accept\"").and_then(|v| v.choice(findings, "\"accept\"", &ACTIONS));
    let log = table.take("log").and_then(|v| v.boolean(findings));
    let rate = table.take("rate").and_then(|value| {
        if action.is_some_and(|action| action != Action::Accept) {
            findings.add(value.span(), RuleError::RateWithoutAccept);
        }
        value.parsed(findings, "\"10/second\"", scalar::rate)
    });
    table.finish(findings);
    if findings.errors() > before {
        return None;
    }
    let (name, span) = name?;
    let rule = FirewallRule {
        name,
        from: matching.from,
        to: matching.to,
        source: matching.source,
        destination: matching.destination,
        protocol: matching.protocol,
        ports: matching.ports,
        icmp_type,
        action: action?,
        log: log.unwrap_or_default(),
        rate,
    };
    Some(Placed { rule, span })
}

/// The conditions of a rule that has been read.
pub(super) fn matching(rule: &FirewallRule) -> Matching {
    Matching {
        from: rule.from.clone(),
        to: rule.to.clone(),
        source: rule.source.clone(),
        destination: rule.destination.clone(),
        protocol: rule.protocol,
        ports: rule.ports.clone(),
        icmp_type: rule.icmp_type,
    }
}
