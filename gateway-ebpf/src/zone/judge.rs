//! What the firewall says of a new flow.

use crate::abi::{
    Action, Address, Bank, BankHeader, DropReason, Event, EventKind, Family, FlowKey, Port, Rule, RuleFlags, RuleId, RuleList,
};
use crate::env::{Arrival, Env};
use crate::search::find;

/// The firewall's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The flow may pass; the rule that said so, 0 for the default.
    Accept(RuleId),
    /// It may not.
    Refuse(DropReason),
}

/// The flow that is judged: the real client and the real server.
#[derive(Clone, Copy, Debug)]
pub struct Subject<F: Family> {
    /// The original direction as it arrived.
    pub key: FlowKey<F>,
    /// The server's address.
    pub destination: F::Address,
    /// The server's port.
    pub port: Port,
    /// The rule of the open mapping that it goes to (RFC 4787 section 5, endpoint-independent filtering); 0 when it goes to none.
    pub admitted: RuleId,
    /// The flow was accepted before and is held against a newer policy: what it finds is counted and logged only if it ends the flow.
    pub again: bool,
}

/// Judges the flow whose query stands in [`Env::search`], its destination already translated.
///
/// An explicit rule decides over an open mapping, but the default does not: whoever opens a mapping's filter means it to be used.
#[inline(always)]
pub fn judge<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    bank: Bank,
    header: &BankHeader,
    subject: &Subject<F>,
    arrival: &Arrival,
) -> Judgement {
    let Some(rule) = find(env, bank, RuleList::Firewall, header.len(RuleList::Firewall)) else {
        return if header.default == Action::ACCEPT || subject.admitted.0 != 0 {
            Judgement::Accept(RuleId(0))
        } else {
            Judgement::Refuse(if header.default == Action::REJECT { DropReason::DefaultReject } else { DropReason::DefaultDrop })
        };
    };
    let accepted = rule.action == Action::ACCEPT;
    if accepted && subject.again {
        return Judgement::Accept(rule.id);
    }
    env.count_rule(rule.id);
    if rule.flags.has(RuleFlags::LOG) {
        report(env, subject, arrival, rule.id, accepted);
    }
    if !accepted {
        return Judgement::Refuse(if rule.action == Action::REJECT { DropReason::RuleReject } else { DropReason::RuleDrop });
    }
    if rule.flags.has(RuleFlags::RATE) && !within_rate(env, rule, arrival.now_ns) {
        return Judgement::Refuse(DropReason::RuleRate);
    }
    Judgement::Accept(rule.id)
}

/// The generic cell rate algorithm (ITU-T I.371): one word of state, the time at which the next flow would be due. Two CPUs may read the
/// same word and let one flow too many pass; a lock would cost every flow more than that.
#[inline(always)]
fn within_rate<'m, F: Family, E: Env<'m, F>>(env: &mut E, rule: &Rule, now: u64) -> bool {
    let interval = rule.rate_interval_us as u64 * 1000;
    // How far ahead of their time flows may come: a whole interval more would let one more pass as soon as any time has gone by.
    let tolerance = interval * (rule.rate_burst as u64).saturating_sub(1);
    let Some(due) = env.rate(rule.id) else { return true };
    let start = if *due > now { *due } else { now };
    if start - now > tolerance {
        return false;
    }
    *due = start + interval;
    true
}

#[inline(always)]
fn report<'m, F: Family, E: Env<'m, F>>(env: &mut E, subject: &Subject<F>, arrival: &Arrival, rule: RuleId, accepted: bool) {
    env.report(&Event {
        kind: if accepted { EventKind::ACCEPTED } else { EventKind::REFUSED },
        protocol: subject.key.link().protocol().0,
        rule,
        family: if F::Address::BYTES == 4 { 4 } else { 6 },
        zero: [0; 3],
        source: subject.key.source.words(),
        destination: subject.destination.words(),
        source_port: subject.key.source_port.number(),
        destination_port: subject.port.number(),
        ifindex: arrival.ifindex.0,
    });
}
