//! Source NAT: which rule, which external address, which port.

use super::allocate;
use super::mapping;
use crate::abi::{
    Address, Bank, BankHeader, Config, DropReason, Family, FlowKey, Interface, Port, PortRange, Rule, RuleFlags, RuleId, RuleList, Tick,
    TranslateKind,
};
use crate::env::Env;
use crate::search::find;

/// What a source NAT rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<F: Family> {
    /// The external address.
    pub address: F::Address,
    /// The rule.
    pub rule: RuleId,
    /// External ports for internal ports of 1024 and above.
    pub ports: PortRange,
    /// One mapping per flow in place of one per internal endpoint.
    pub per_flow: bool,
    /// Any remote may use the mapping.
    pub open: bool,
}

/// A claimed external endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The external port.
    pub port: Port,
    /// The mapping was made for this flow: take it back if the flow cannot be stored.
    pub fresh: bool,
}

/// The rule for the flow whose query stands in [`Env::search`]: `Ok(None)` when it leaves untranslated.
///
/// # Errors
/// The reason to drop the packet.
#[inline(always)]
pub fn select<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    bank: Bank,
    header: &BankHeader,
    config: &Config,
    egress: &Interface,
    internal: F::Address,
) -> Result<Option<Source<F>>, DropReason> {
    if !F::TRANSLATES {
        return Ok(None);
    }
    let Some(rule) = find(env, bank, RuleList::SourceNat, header.len(RuleList::SourceNat)) else { return Ok(None) };
    if rule.translate == TranslateKind::NONE {
        return Ok(None);
    }
    let address = external_address::<F, E>(env, bank, config, egress, internal, rule).ok_or(DropReason::NoExternalAddress)?;
    Ok(Some(Source {
        address,
        rule: rule.id,
        ports: PortRange { first: rule.target.port_first, last: rule.target.port_last },
        per_flow: rule.flags.has(RuleFlags::MAPPING_PER_FLOW),
        open: rule.flags.has(RuleFlags::OPEN_FILTERING),
    }))
}

/// Masquerade: the egress interface's. Pool: the same for all flows of an internal host (RFC 4787 REQ-2), by a keyed hash.
#[inline(always)]
fn external_address<'m, F: Family, E: Env<'m, F>>(
    env: &E,
    bank: Bank,
    config: &Config,
    egress: &Interface,
    internal: F::Address,
    rule: &Rule,
) -> Option<F::Address> {
    let address = if rule.translate == TranslateKind::MASQUERADE {
        egress.v4
    } else {
        let len = rule.target.pool_len as u64;
        if len == 0 {
            return None;
        }
        let pick = super::siphash::hash(config.secret, internal.fold(), 0) % len;
        env.pool(bank.0 * crate::abi::POOL_LEN + rule.target.pool_first as u32 + pick as u32)?
    };
    if address.0 == 0 { None } else { Some(F::Address::from_words([address.0, 0, 0, 0])) }
}

/// The source that the rules of now would give the flow, to hold an established one against: its address must be this one.
#[inline(always)]
#[must_use]
pub fn expected_source<F: Family>(source: &Option<Source<F>>, internal: F::Address) -> F::Address {
    match source {
        Some(source) => source.address,
        None => internal,
    }
}

/// Claims the external endpoint of a new flow.
///
/// `key` is the original direction's, `remote` and `remote_port` its real destination.
///
/// # Errors
/// The reason to drop the packet; nothing is left behind.
#[inline(always)]
pub fn claim<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    config: &Config,
    source: &Source<F>,
    key: &FlowKey<F>,
    reply: &mut FlowKey<F>,
    now: Tick,
) -> Result<Claim, DropReason> {
    if source.per_flow {
        let port = allocate::allocate(env, config, source, key, reply, now)?;
        return Ok(Claim { port, fresh: false });
    }
    mapping::find_or_make(env, config, source, key, reply, now)
}
