//! `[[firewall.rules]]` to compiled rules.

use gateway_ebpf::abi::{self, Rule, RuleFlags};

use super::sets::Sets;
use super::{Numbers, expand_ports, protocol};
use crate::model::{Action, FirewallRule, Model, Rate, ZoneName};

/// The rules for forwarded traffic, in order. Rules to `self` are the guard table's: that traffic does not pass this datapath.
pub fn compile(model: &Model, numbers: &Numbers, sets: &mut Sets) -> Vec<Rule> {
    let forwarded = |rule: &&FirewallRule| rule.to.as_ref().is_none_or(|to| to.0 != ZoneName::SELF);
    model
        .firewall
        .rules
        .iter()
        .filter(forwarded)
        .flat_map(|rule| {
            let compiled = compile_rule(model, numbers, sets, rule);
            if compiled.is_none() {
                sets.leave_out(&rule.name);
            }
            compiled.unwrap_or_default()
        })
        .collect()
}

fn compile_rule(model: &Model, numbers: &Numbers, sets: &mut Sets, rule: &FirewallRule) -> Option<Vec<Rule>> {
    let (rate_interval_us, rate_burst) = rule.rate.map_or((0, 0), rate);
    let mut flags = 0;
    for (on, bit) in [(rule.icmp_type.is_some(), RuleFlags::ICMP_TYPE), (rule.log, RuleFlags::LOG), (rule.rate.is_some(), RuleFlags::RATE)]
    {
        if on {
            flags |= bit;
        }
    }
    let compiled = Rule {
        from: numbers.zone(rule.from.as_ref()),
        to: numbers.zone(rule.to.as_ref()),
        protocol: protocol(rule.protocol),
        flags: RuleFlags(flags),
        source: sets.number(model, &rule.source)?,
        destination: sets.number(model, &rule.destination)?,
        id: numbers.rule(&rule.name),
        action: action(rule.action),
        icmp_type: rule.icmp_type.unwrap_or_default(),
        rate_burst,
        rate_interval_us,
        ..Default::default()
    };
    Some(expand_ports(compiled, &rule.ports))
}

/// Microseconds per flow, and how many may come at once: as many as one period allows.
fn rate(rate: Rate) -> (u32, u16) {
    let interval = u64::from(rate.per_ms) * 1000 / u64::from(rate.count.max(1));
    (u32::try_from(interval.max(1)).unwrap_or(u32::MAX), u16::try_from(rate.count).unwrap_or(u16::MAX))
}

/// An action as the datapath has it.
pub fn action(action: Action) -> abi::Action {
    match action {
        Action::Accept => abi::Action::ACCEPT,
        Action::Drop => abi::Action::DROP,
        Action::Reject => abi::Action::REJECT,
    }
}
