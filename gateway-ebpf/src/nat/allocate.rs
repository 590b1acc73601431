//! External ports: random within the internal port's range class, by a bounded search.

use super::siphash;
use super::source::{Claim, Source};
use crate::abi::{Address, Config, DropReason, Endpoint, EndpointKey, Family, FlowKey, Port, Protocol, Tick};
use crate::env::{Env, Insert, Table};

/// Attempts before the search gives up. At 80 % of all ports in use, 32 random draws fail once in 1,300 times.
const ATTEMPTS: u32 = 32;

/// The class of internal ports below 1024 (RFC 4787 REQ-3a). The kernel's NAT uses the same part of it, so that 1-599, where services
/// listen, stay free (net/netfilter/nf_nat_core.c).
const WELL_KNOWN: Range = Range { first: 600, last: 1023 };

/// An inclusive range of ports, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub first: u16,
    /// The highest; not below `first`.
    pub last: u16,
}

/// The range that an internal port may be mapped to (RFC 4787 REQ-3a). Query identifiers have no classes.
#[inline(always)]
fn class<F: Family>(ports: Range, key: &FlowKey<F>) -> Range {
    let ports_have_classes = key.link().protocol() != F::ICMP;
    if ports_have_classes && key.source_port.number() < 1024 { WELL_KNOWN } else { ports }
}

/// The candidate of one attempt, of the internal port's parity (RFC 4787 REQ-4: RTP and RTCP).
#[inline(always)]
fn candidate(secret: [u64; 2], seed: u64, attempt: u32, range: Range, internal: u16, parity: bool) -> u16 {
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

/// Claims a port that no other internal endpoint uses (RFC 4787 REQ-3: no overloading).
///
/// # Errors
/// [`DropReason::NoFreePort`], or [`DropReason::MappingTableFull`].
#[inline(always)]
pub fn per_endpoint<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    config: &Config,
    source: &Source<F>,
    key: &FlowKey<F>,
    now: Tick,
) -> Result<Port, DropReason> {
    let range = class(source.ports, key);
    let protocol = key.link().protocol();
    let seed = seed(key, 0, now);
    let endpoint = Endpoint { internal: key.source, port: key.source_port, rule: source.rule, open: source.open as u32 };
    for attempt in 0..ATTEMPTS {
        let number = candidate(config.secret, seed, attempt, range, key.source_port.number(), protocol == Protocol::UDP);
        let port = Port::new(number);
        let claimed = EndpointKey { address: source.address, port, protocol, zero: 0 };
        match env.insert_endpoint(&claimed, &endpoint) {
            Insert::Done => return Ok(port),
            Insert::Exists => {}
            Insert::Full => return Err(DropReason::MappingTableFull),
        }
    }
    Err(DropReason::NoFreePort)
}

/// Finds a port with which the flow's reply tuple is unique; flows to other remotes may share it.
///
/// The reply key's destination port is set on return. Storing the flow claims the tuple.
///
/// # Errors
/// [`DropReason::NoFreePort`].
#[inline(always)]
pub fn per_flow<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    config: &Config,
    source: &Source<F>,
    key: &FlowKey<F>,
    reply: &mut FlowKey<F>,
    now: Tick,
) -> Result<Claim, DropReason> {
    let range = class(source.ports, key);
    let protocol = key.link().protocol();
    let seed = seed(key, reply.source.fold() ^ ((reply.source_port.wire() as u64) << 40), now);
    for attempt in 0..ATTEMPTS {
        let number = candidate(config.secret, seed, attempt, range, key.source_port.number(), protocol == Protocol::UDP);
        let port = Port::new(number);
        reply.destination_port = port;
        let taken = env.endpoint(&EndpointKey { address: source.address, port, protocol, zero: 0 }).is_some()
            || env.flow(Table::Main, reply).is_some()
            || env.flow(Table::HalfOpen, reply).is_some();
        if !taken {
            return Ok(Claim { port, fresh: false });
        }
    }
    Err(DropReason::NoFreePort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn candidates_stay_in_range_and_keep_parity(seed: u64, attempt in 0..ATTEMPTS, first in 1024u16..60000, size in 1u16..5000, internal: u16) {
            let range = Range { first, last: first + size };
            let port = candidate([1, 2], seed, attempt, range, internal, true);
            prop_assert!((range.first..=range.last).contains(&port));
            prop_assert_eq!(port & 1, internal & 1);
        }
    }
}
