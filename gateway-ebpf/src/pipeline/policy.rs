//! What the policy of now says of a flow, given its original direction: asked once for a new flow, and again for one whose entry is
//! older than the policy or the routes.

use crate::abi::{Bank, BankHeader, Config, DropReason, Family, FlowKey, Interface, Protocol, RuleFlags, RuleList};
use crate::env::{Arrival, Env};
use crate::nat::{self, Destination, Source};
use crate::search::find;
use crate::zone::{Judgement, Subject, judge};

/// The policy's bank and its header.
#[derive(Clone, Copy)]
pub struct Policy<'m> {
    /// Which copy of the tables.
    pub bank: Bank,
    /// Its header.
    pub header: &'m BankHeader,
}

/// The current policy.
#[inline(always)]
pub fn current<'m, F: Family, E: Env<'m, F>>(env: &E, config: &Config) -> Option<Policy<'m>> {
    let bank = config.policy.bank();
    Some(Policy { bank, header: env.bank(bank)? })
}

/// Fills in the query for the packet as it arrived, and translates its destination.
#[inline(always)]
pub fn destination<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    policy: &Policy<'m>,
    from: &Interface,
    key: &FlowKey<F>,
    icmp_type: u8,
) -> Option<Destination<F>> {
    let source = env.sets(policy.bank, key.source);
    let destination = env.sets(policy.bank, key.destination);
    let query = &mut env.search()?.query;
    query.from = from.zone;
    query.to = Default::default();
    query.protocol = protocol::<F>(key);
    query.icmp_type = icmp_type;
    query.port = key.destination_port.number();
    query.source.copy_from(source);
    query.destination.copy_from(destination);
    Some(nat::translate_destination(env, policy.bank, policy.header, key))
}

/// The firewall's word on the flow to its real destination, and then the source NAT rule.
///
/// # Errors
/// The reason to refuse.
#[inline(always)]
pub fn judge_and_select<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    policy: &Policy<'m>,
    config: &Config,
    from: &Interface,
    to: &Interface,
    subject: &Subject<F>,
    arrival: &Arrival,
) -> Result<(crate::abi::RuleId, Option<Source<F>>), DropReason> {
    if subject.admitted.0 != 0 {
        still_open(env, policy, from, to, subject)?;
    }
    let sets = env.sets(policy.bank, subject.destination);
    let query = &mut env.search().ok_or(DropReason::NotReady)?.query;
    query.to = to.zone;
    query.port = subject.port.number();
    query.destination.copy_from(sets);
    match judge(env, policy.bank, policy.header, subject, arrival) {
        Judgement::Refuse(reason) => Err(reason),
        Judgement::Accept(rule) => {
            let source = nat::select(env, policy.bank, policy.header, config, to, subject.key.source)?;
            Ok((rule, source))
        }
    }
}

/// An open mapping may outlive the rule that made it. It admits only what the rule of now would: the one that the internal endpoint gets
/// when it sends to this remote. Leaves the query as it was.
#[inline(always)]
fn still_open<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    policy: &Policy<'m>,
    from: &Interface,
    to: &Interface,
    subject: &Subject<F>,
) -> Result<(), DropReason> {
    let internal = env.sets(policy.bank, subject.destination);
    let remote = env.sets(policy.bank, subject.key.source);
    let query = &mut env.search().ok_or(DropReason::NotReady)?.query;
    query.from = to.zone;
    query.to = from.zone;
    query.port = subject.key.source_port.number();
    query.source.copy_from(internal);
    query.destination.copy_from(remote);
    let rule = find(env, policy.bank, RuleList::SourceNat, policy.header.len(RuleList::SourceNat));
    let query = &mut env.search().ok_or(DropReason::NotReady)?.query;
    query.from = from.zone;
    query.source.copy_from(remote);
    match rule {
        Some(rule) if rule.id == subject.admitted && rule.flags.has(RuleFlags::OPEN_FILTERING) => Ok(()),
        _ => Err(DropReason::DefaultDrop),
    }
}

/// Rules say "icmp" for both families.
#[inline(always)]
fn protocol<F: Family>(key: &FlowKey<F>) -> u8 {
    let protocol = key.link().protocol();
    if protocol == F::ICMP { Protocol::ICMP.0 } else { protocol.0 }
}
