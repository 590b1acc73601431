//! What the policy of now says of a flow, given its original direction: asked once for a new flow, and again for one whose entry is
//! older than the policy or the routes.

use crate::abi::{Bank, BankHeader, Config, DropReason, Family, FlowKey, Interface, Protocol};
use crate::env::{Arrival, Env};
use crate::nat::{self, Destination, Source};
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
    to: &Interface,
    subject: &Subject<F>,
    arrival: &Arrival,
) -> Result<(crate::abi::RuleId, Option<Source<F>>), DropReason> {
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

/// Rules say "icmp" for both families.
#[inline(always)]
fn protocol<F: Family>(key: &FlowKey<F>) -> u8 {
    let protocol = key.link().protocol();
    if protocol == F::ICMP { Protocol::ICMP.0 } else { protocol.0 }
}
