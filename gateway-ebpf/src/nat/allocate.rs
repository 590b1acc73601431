//! External ports: random within the internal port's range class, by a bounded search.

use core::ops::ControlFlow;

use super::siphash;
use super::source::Source;
use crate::abi::{
    Address, Allocation, Config, DropReason, Endpoint, EndpointKey, Family, FlowKey, Outcome, Port, PortRange, Protocol, Tick,
};
use crate::env::{Env, Insert, Table};

/// Attempts before the search gives up. At 80 % of all ports in use, 32 random draws fail once in 1,300 times.
const ATTEMPTS: u32 = 32;

/// The class of internal ports below 1024 (RFC 4787 REQ-3a). The kernel's NAT uses the same part of it, so that 1-599, where services
/// listen, stay free (net/netfilter/nf_nat_core.c).
const WELL_KNOWN: PortRange = PortRange { first: 600, last: 1023 };

/// The range that an internal port may be mapped to (RFC 4787 REQ-3a). Query identifiers have no classes.
#[inline(always)]
fn class<F: Family>(ports: PortRange, key: &FlowKey<F>) -> PortRange {
    // Whoever gives a pool a narrower range means all of its ports.
    let has_classes = key.link().protocol() != F::ICMP && ports.first <= 1024;
    if has_classes && key.source_port.number() < 1024 { WELL_KNOWN } else { ports }
}

/// The candidate of one attempt, of the internal port's parity (RFC 4787 REQ-4: RTP and RTCP).
#[inline(always)]
fn candidate(secret: [u64; 2], seed: u64, attempt: u32, range: PortRange, internal: u16, parity: bool) -> u16 {
    let size = range.last.wrapping_sub(range.first) as u64 + 1;
    let drawn = range.first.wrapping_add((siphash::hash(secret, seed, attempt as u64 + 1) % size) as u16);
    if !parity || (drawn ^ internal) & 1 == 0 {
        drawn
    } else if drawn < range.last {
        drawn + 1
    } else if drawn > range.first {
        drawn - 1
    } else {
        drawn
    }
}

/// The time is part of the seed: an endpoint that comes back later gets another port, so late packets do not find it.
#[inline(always)]
fn seed<F: Family>(key: &FlowKey<F>, remote: u64, now: Tick) -> u64 {
    let Protocol(protocol) = key.link().protocol();
    key.source.fold()
        ^ ((key.source_port.wire() as u64) << 32)
        ^ ((protocol as u64) << 48)
        ^ remote.rotate_left(17)
        ^ ((now.0 as u64) << 24)
}

/// Claims an external port for a flow, or only finds one when mappings are per flow: then the reply key's destination port is set on
/// return, and storing the flow claims the tuple.
///
/// # Errors
/// [`DropReason::NoFreePort`], or [`DropReason::MappingTableFull`].
#[inline(always)]
pub fn allocate<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    config: &Config,
    source: &Source<F>,
    key: &FlowKey<F>,
    reply: &mut FlowKey<F>,
    now: Tick,
) -> Result<Port, DropReason> {
    let protocol = key.link().protocol();
    // Per endpoint the port must not depend on the remote (RFC 4787 REQ-1).
    let remote = if source.per_flow { reply.source.fold() ^ ((reply.source_port.wire() as u64) << 40) } else { 0 };
    let allocation = env.allocation().ok_or(DropReason::NoFreePort)?;
    allocation.secret = config.secret;
    allocation.seed = seed(key, remote, now);
    allocation.range = class(source.ports, key);
    allocation.internal = key.source_port.number();
    allocation.keep_parity = protocol == Protocol::UDP;
    allocation.per_flow = source.per_flow;
    allocation.outcome = Outcome::Searching;
    allocation.claimed = EndpointKey { address: source.address, port: Port::new(0), protocol, zero: 0 };
    allocation.endpoint = Endpoint { internal: key.source, port: key.source_port, rule: source.rule, open: source.open as u32 };
    allocation.reply = *reply;
    env.run_allocation(ATTEMPTS);
    let allocation = env.allocation().ok_or(DropReason::NoFreePort)?;
    if allocation.outcome == Outcome::Searching && allocation.range != source.ports {
        // The class is small: 424 ports for every host that asks for the time from port 123. A port of the other class serves better than
        // none: REQ-3a is a recommendation.
        allocation.range = source.ports;
        env.run_allocation(ATTEMPTS);
    }
    let allocation = env.allocation().ok_or(DropReason::NoFreePort)?;
    match allocation.outcome {
        Outcome::Found => {
            reply.destination_port = allocation.claimed.port;
            Ok(allocation.claimed.port)
        }
        Outcome::Searching => Err(DropReason::NoFreePort),
        Outcome::Full => Err(DropReason::MappingTableFull),
    }
}

/// One attempt, for [`Env::run_allocation`]: stops when the outcome is known.
#[inline(always)]
pub fn attempt<'m, F: Family, E: Env<'m, F>>(allocation: &mut Allocation<F>, env: &mut E, number: u32) -> ControlFlow<()> {
    let Allocation { secret, seed, range, internal, keep_parity, .. } = *allocation;
    let port = Port::new(candidate(secret, seed, number, range, internal, keep_parity));
    allocation.claimed.port = port;
    let insert = if allocation.per_flow {
        allocation.reply.destination_port = port;
        let taken = env.endpoint(&allocation.claimed).is_some()
            || env.has_flow(Table::Main, &allocation.reply)
            || env.has_flow(Table::HalfOpen, &allocation.reply);
        if taken { Insert::Exists } else { Insert::Done }
    } else {
        env.insert_endpoint(&allocation.claimed, &allocation.endpoint)
    };
    match insert {
        Insert::Exists => return ControlFlow::Continue(()),
        Insert::Done => allocation.outcome = Outcome::Found,
        Insert::Full => allocation.outcome = Outcome::Full,
    }
    ControlFlow::Break(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn candidates_stay_in_range_and_keep_parity(seed: u64, attempt in 0..ATTEMPTS, first in 1024u16..60000, size in 1u16..5000, internal: u16) {
            let range = PortRange { first, last: first + size };
            let port = candidate([1, 2], seed, attempt, range, internal, true);
            prop_assert!((range.first..=range.last).contains(&port));
            prop_assert_eq!(port & 1, internal & 1);
        }
    }
}
