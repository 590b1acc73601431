//! What people want to see: flows, mappings and counters, in the standard library's types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_ebpf::abi::{
    Address, DropReason, Event, Family, FlowFlags, FlowState, PassReason, Protocol, PuntReason, Reason, Refused, RuleId, Tick,
};
use gateway_ebpf::table::FlowEntry;

use super::error::DatapathError;
use super::maps::Maps;
use super::shared::Shared;
use super::sweep::Traffic;
use crate::inventory::IfIndex;

/// One flow, both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened it, as it arrived.
    pub source: SocketAddr,
    /// Whom it was sent to, as it arrived.
    pub destination: SocketAddr,
    /// The source it leaves with.
    pub translated_source: SocketAddr,
    /// The destination it leaves with.
    pub translated_destination: SocketAddr,
    /// The source was translated.
    pub source_nat: bool,
    /// The destination was translated.
    pub destination_nat: bool,
    /// Interface it came from.
    pub arrival: IfIndex,
    /// Interface it leaves by.
    pub egress: IfIndex,
    /// Its state.
    pub state: FlowState,
    /// It stands in the half-open table.
    pub half_open: bool,
    /// The firewall rule that accepted it; 0 the default.
    pub rule: RuleId,
    /// The NAT rule; 0 none.
    pub nat_rule: RuleId,
    /// The last packet in either direction.
    pub last_seen: Tick,
    /// Original direction.
    pub original: Traffic,
    /// Reply direction.
    pub reply: Traffic,
}

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingRecord {
    /// IP protocol.
    pub protocol: Protocol,
    /// Internal endpoint.
    pub internal: SocketAddr,
    /// External endpoint.
    pub external: SocketAddr,
    /// The NAT rule.
    pub rule: RuleId,
    /// When it was made.
    pub created: Tick,
    /// When a flow was last opened through it.
    pub last_used: Tick,
}

/// Every flow of both families.
#[must_use]
pub fn flows(maps: &Maps) -> Vec<FlowRecord> {
    let mut records = Vec::new();
    collect(&maps.v4.flows, false, &mut records);
    collect(&maps.v4.half_open, true, &mut records);
    collect(&maps.v6.flows, false, &mut records);
    collect(&maps.v6.half_open, true, &mut records);
    records
}

fn collect<F: Family>(table: &Shared<FlowEntry<F>>, half_open: bool, records: &mut Vec<FlowRecord>) {
    table.for_each(|key, flow| {
        if !flow.flags.has(FlowFlags::ORIGINAL) {
            return;
        }
        // It may have ended since: then the original direction alone is shown.
        let reply = table.get(key.reply(&flow)).unwrap_or_default();
        records.push(FlowRecord {
            protocol: key.link().protocol(),
            source: socket(key.source, key.source_port.number()),
            destination: socket(key.destination, key.destination_port.number()),
            translated_source: socket(flow.source, flow.source_port.number()),
            translated_destination: socket(flow.destination, flow.destination_port.number()),
            source_nat: flow.flags.has(FlowFlags::SOURCE_NAT),
            destination_nat: flow.flags.has(FlowFlags::DESTINATION_NAT),
            arrival: IfIndex(key.link().ifindex().0),
            egress: IfIndex(flow.egress.0),
            state: flow.state,
            half_open,
            rule: flow.rule,
            nat_rule: reply.rule,
            last_seen: flow.last_seen.max(reply.last_seen),
            original: Traffic { packets: flow.packets, bytes: flow.bytes },
            reply: Traffic { packets: reply.packets, bytes: reply.bytes },
        });
    });
}

/// Every mapping.
#[must_use]
pub fn mappings(maps: &Maps) -> Vec<MappingRecord> {
    let mut records = Vec::new();
    maps.mappings.for_each(|key, mapping| {
        records.push(MappingRecord {
            protocol: key.protocol,
            internal: socket(key.internal, key.internal_port.number()),
            external: socket(key.external, mapping.external_port.number()),
            rule: key.rule,
            created: mapping.created,
            last_used: mapping.last_used,
        });
    });
    records
}

/// Packets that were not forwarded, by reason; reasons that never happened are left out.
///
/// # Errors
/// The table cannot be read.
pub fn reasons(maps: &Maps) -> Result<Vec<(Reason, u64)>, DatapathError> {
    let drops = DropReason::ALL.iter().map(|reason| Reason::Drop(*reason));
    let punts = PuntReason::ALL.iter().map(|reason| Reason::Punt(*reason));
    let passes = PassReason::ALL.iter().map(|reason| Reason::Pass(*reason));
    let mut counted = Vec::new();
    for reason in drops.chain(punts).chain(passes) {
        let packets = maps.reasons.get(&reason.index(), 0)?.iter().sum();
        if packets > 0 {
            counted.push((reason, packets));
        }
    }
    Ok(counted)
}

/// How often a rule has matched a new flow.
///
/// # Errors
/// The table cannot be read.
pub fn rule_hits(maps: &Maps, rule: RuleId) -> Result<u64, DatapathError> {
    Ok(maps.rule_hits.get(&u32::from(rule.0), 0)?.iter().sum())
}

fn socket<A: Address>(address: A, port: u16) -> SocketAddr {
    let words = address.words();
    let ip = if A::BYTES == 4 {
        IpAddr::V4(Ipv4Addr::from(words[0].to_ne_bytes()))
    } else {
        IpAddr::V6(Ipv6Addr::from(gateway_ebpf::abi::Ipv6(words).octets()))
    };
    SocketAddr::new(ip, port)
}

/// An event out of the ring buffer; `None` when it is not one of this build.
#[must_use]
pub fn event(bytes: &[u8]) -> Option<Event> {
    super::raw::read(bytes)
}

/// A refused packet out of the ring buffer; `None` when it is not one of this build.
#[must_use]
pub fn refused(bytes: &[u8]) -> Option<Refused> {
    super::raw::read(bytes)
}

/// Source and destination of an event.
#[must_use]
pub fn endpoints(event: &Event) -> (SocketAddr, SocketAddr) {
    let end = |words: [u32; 4], port| {
        if event.family == 4 { socket(gateway_ebpf::abi::Ipv4(words[0]), port) } else { socket(gateway_ebpf::abi::Ipv6(words), port) }
    };
    (end(event.source, event.source_port), end(event.destination, event.destination_port))
}
