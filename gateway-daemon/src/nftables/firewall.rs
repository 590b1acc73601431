//! `[[firewall.rules]]` as rules of a chain: the same for what is forwarded and for what is for the gateway itself.
//!
//! First-packet semantics are the chain's: it must see a flow's first packet only, or only packets that are to be judged.

use ::nftables::stmt::{Limit, Log, LogLevel, Reject, RejectType, Statement};
use ::nftables::types::RejectCode;
use gateway_ebpf::abi::DropReason;

use super::counted::Counted;
use super::expression::{Stmt, accept, count, ct, drop, goto, l4proto, number, or, set_ct_mark};
use super::mark::{AcceptedBy, Mark};
use super::matching::{Conditions, FROM, TO};
use super::print::cut;
use super::ruleset::Ruleset;
use super::sets::Sets;
use crate::model::{Action, FirewallRule, Model, ProtocolMatch, Rate, ZoneName};
use crate::plan::Numbers;

/// The kernel keeps 128 bytes of a log prefix, with the final zero (`NF_LOG_PREFIXLEN`).
const LOG_PREFIX_BYTES: usize = 127;

/// Whose packets a chain judges.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// Forwarded ones: what is accepted is marked with the rule's number.
    Forwarded(&'a Numbers),
    /// Those to the gateway itself.
    ToSelf,
}

impl Scope<'_> {
    /// A rule without `to` is for both.
    fn has(self, rule: &FirewallRule) -> bool {
        let to_self = rule.to.as_ref().map(is_self);
        match self {
            Self::Forwarded(_) => to_self != Some(true),
            Self::ToSelf => to_self != Some(false),
        }
    }

    /// What is done to a packet that `by` lets through.
    fn accept(self, by: AcceptedBy) -> Vec<Stmt> {
        match self {
            Self::Forwarded(_) => vec![set_ct_mark(or([ct("mark"), number(Mark::accepted(by).0)])), accept()],
            Self::ToSelf => vec![accept()],
        }
    }

    /// The counters of refusals, beside the rule's own.
    fn refused(self, ruleset: &mut Ruleset, reason: DropReason) -> Option<Stmt> {
        match self {
            Self::Forwarded(_) => Some(count(&ruleset.counter(Counted::Reason(reason)))),
            Self::ToSelf => None,
        }
    }
}

pub(super) fn is_self(zone: &ZoneName) -> bool {
    zone.0 == ZoneName::SELF
}

/// Fills `chain` with the rules, in order, and with the default.
pub(super) fn render<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, chain: &str, scope: Scope<'_>, model: &'a Model) {
    for rule in model.firewall.rules.iter().filter(|rule| scope.has(rule)) {
        self::rule(ruleset, sets, chain, scope, rule);
    }
    let mut verdict = Vec::new();
    let counted = match (scope, model.firewall.default) {
        (Scope::ToSelf, _) => Counted::Default,
        (Scope::Forwarded(_), Action::Accept) => Counted::DefaultAccept,
        (Scope::Forwarded(_), Action::Drop) => Counted::Reason(DropReason::DefaultDrop),
        (Scope::Forwarded(_), Action::Reject) => Counted::Reason(DropReason::DefaultReject),
    };
    verdict.push(count(&ruleset.counter(counted)));
    match model.firewall.default {
        Action::Accept => {
            verdict.extend(scope.accept(AcceptedBy::Default));
            ruleset.rule(chain, verdict, None);
        }
        Action::Drop => {
            verdict.push(drop());
            ruleset.rule(chain, verdict, None);
        }
        Action::Reject => {
            for (protocol, answer) in refusals(None) {
                ruleset.rule(chain, protocol.into_iter().chain(verdict.clone()).chain([answer]).collect(), None);
            }
        }
    }
}

fn rule<'a>(ruleset: &mut Ruleset, sets: &mut Sets<'a>, chain: &str, scope: Scope<'_>, rule: &'a FirewallRule) {
    let mut zones = Vec::new();
    if let Some(from) = &rule.from {
        zones.push(sets.zone(ruleset, FROM, Some(from)));
    }
    if let (Scope::Forwarded(_), Some(to)) = (scope, &rule.to) {
        zones.push(sets.zone(ruleset, TO, Some(to)));
    }
    let actions = act(ruleset, scope, rule);
    for form in Conditions::from(rule).forms(ruleset, sets) {
        for action in &actions {
            let statements = zones.iter().chain(&form).chain(action).cloned().collect();
            ruleset.rule(chain, statements, Some(&rule.name));
        }
    }
}

/// What is done to a packet that matches: one list of statements for each rule that it takes.
fn act(ruleset: &mut Ruleset, scope: Scope<'_>, rule: &FirewallRule) -> Vec<Vec<Stmt>> {
    let mut counted = vec![count(&ruleset.counter(Counted::Rule(rule.name.clone())))];
    counted.extend(rule.log.then(|| log(rule)));
    let by = match scope {
        Scope::Forwarded(numbers) => AcceptedBy::Rule(numbers.rule(&rule.name)),
        Scope::ToSelf => AcceptedBy::Default,
    };
    match (rule.action, rule.rate) {
        (Action::Accept, None) => vec![counted.into_iter().chain(scope.accept(by)).collect()],
        (Action::Accept, Some(rate)) => {
            // A chain, so that the forms of both families share one rate.
            let chain = ruleset.name("rate", &rule.name.0);
            ruleset.plain_chain(&chain);
            counted.push(over(rate));
            counted.push(count(&ruleset.counter(Counted::OverRate(rule.name.clone()))));
            counted.extend(scope.refused(ruleset, DropReason::RuleRate));
            counted.push(drop());
            ruleset.rule(&chain, counted, Some(&rule.name));
            ruleset.rule(&chain, scope.accept(by), Some(&rule.name));
            vec![vec![goto(&chain)]]
        }
        (Action::Drop, _) => {
            counted.extend(scope.refused(ruleset, DropReason::RuleDrop));
            counted.push(drop());
            vec![counted]
        }
        (Action::Reject, _) => {
            counted.extend(scope.refused(ruleset, DropReason::RuleReject));
            let form = |(protocol, answer): (Option<Stmt>, Stmt)| protocol.into_iter().chain(counted.clone()).chain([answer]).collect();
            refusals(rule.protocol).into_iter().map(form).collect()
        }
    }
}

/// A refusal has two forms: a reset for TCP, an ICMP error for the rest.
fn refusals(protocol: Option<ProtocolMatch>) -> Vec<(Option<Stmt>, Stmt)> {
    let reset = Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)));
    let prohibited = Statement::Reject(Some(Reject::new(Some(RejectType::ICMPX), Some(RejectCode::AdminProhibited))));
    match protocol {
        Some(ProtocolMatch::Tcp) => vec![(None, reset)],
        Some(ProtocolMatch::Udp | ProtocolMatch::Icmp) => vec![(None, prohibited)],
        None => vec![(Some(l4proto(&["tcp"])), reset), (None, prohibited)],
    }
}

fn log(rule: &FirewallRule) -> Stmt {
    let prefix = format!("gateway {}: ", rule.name.0);
    Statement::Log(Some(Log {
        prefix: Some(cut(&prefix, LOG_PREFIX_BYTES).to_owned().into()),
        level: Some(LogLevel::Info),
        ..Log::new(None)
    }))
}

/// Matches what is beyond the rate. nft knows rates per second, minute, hour and day: the shortest of them that says the rate exactly.
fn over(rate: Rate) -> Stmt {
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
        inv: Some(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(count: u32, per_ms: u32) -> (u32, String) {
        match over(Rate { count, per_ms }) {
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
}
