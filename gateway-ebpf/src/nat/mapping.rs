//! Endpoint-independent mappings (RFC 4787 REQ-1): one external endpoint per internal endpoint.

use super::allocate;
use super::source::{Claim, Source};
use crate::abi::{Config, DropReason, EndpointKey, Family, FlowKey, Mapping, MappingKey, Port, Protocol, RuleId, Tick};
use crate::env::{Env, Insert};

/// The external port of the flow's internal endpoint, made if there is none.
///
/// # Errors
/// The reason to drop the packet; nothing is left behind.
#[inline(always)]
pub fn find_or_make<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    config: &Config,
    source: &Source<F>,
    key: &FlowKey<F>,
    reply: &mut FlowKey<F>,
    now: Tick,
) -> Result<Claim, DropReason> {
    let mapping_key = mapping_key(source.address, source.rule, key.source, key.source_port, key.link().protocol());
    if let Some(port) = env.use_mapping(&mapping_key, now) {
        return Ok(Claim { port, fresh: false });
    }
    let port = allocate::allocate(env, config, source, key, reply, now)?;
    let mapping = Mapping { external_port: port, zero: 0, created: now, last_used: now };
    match env.insert_mapping(&mapping_key, &mapping) {
        Insert::Done => Ok(Claim { port, fresh: true }),
        Insert::Full => {
            env.remove_endpoint(&endpoint_key(source.address, port, key.link().protocol()));
            Err(DropReason::MappingTableFull)
        }
        Insert::Exists => {
            // Another CPU was faster with the same internal endpoint: its mapping is the one.
            env.remove_endpoint(&endpoint_key(source.address, port, key.link().protocol()));
            env.use_mapping(&mapping_key, now).map(|port| Claim { port, fresh: false }).ok_or(DropReason::MappingTableFull)
        }
    }
}

/// Takes a fresh mapping back: a dropped packet leaves nothing behind.
#[inline(always)]
pub fn undo<'m, F: Family, E: Env<'m, F>>(env: &mut E, source: &Source<F>, key: &FlowKey<F>, claim: &Claim) {
    if claim.fresh && !source.per_flow {
        let protocol = key.link().protocol();
        env.remove_mapping(&mapping_key(source.address, source.rule, key.source, key.source_port, protocol));
        env.remove_endpoint(&endpoint_key(source.address, claim.port, protocol));
    }
}

#[inline(always)]
fn mapping_key<F: Family>(
    external: F::Address,
    rule: RuleId,
    internal: F::Address,
    internal_port: Port,
    protocol: Protocol,
) -> MappingKey<F> {
    MappingKey { internal, external, internal_port, rule, protocol, zero: [0; 3] }
}

#[inline(always)]
fn endpoint_key<F: Family>(address: F::Address, port: Port, protocol: Protocol) -> EndpointKey<F> {
    EndpointKey { address, port, protocol, zero: 0 }
}
