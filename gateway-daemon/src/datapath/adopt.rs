//! Takes over flows that another datapath has carried until now.
//!
//! They are written as of an old generation: the next packet of each is decided by tc under the policy and the routes of now, which also
//! finds its next hop. What the policy does not allow ends there.

use std::net::{IpAddr, SocketAddr};

use gateway_ebpf::abi::{
    Abi, Endpoint, EndpointKey, Family, Flow, FlowFlags, FlowKey, FlowState, IfIndex as AbiIfIndex, Ipv4, Ipv6, Link, Mapping, MappingKey,
    Port, Protocol, RuleId, SetKey, Tick, V4, V6,
};
use gateway_ebpf::flow::Pair;

use super::error::DatapathError;
use super::maps::{FamilyMaps, Maps};
use crate::inventory::IfIndex;

/// An established flow, in the original direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened it, as it arrives.
    pub source: SocketAddr,
    /// Whom it is sent to, as it arrives.
    pub destination: SocketAddr,
    /// The source it leaves with.
    pub translated_source: SocketAddr,
    /// The destination it leaves with.
    pub translated_destination: SocketAddr,
    /// Interface it comes from.
    pub arrival: IfIndex,
    /// Interface it leaves by.
    pub egress: IfIndex,
    /// The firewall rule that accepted it.
    pub rule: RuleId,
    /// The NAT rule that translated it; 0 none.
    pub nat_rule: RuleId,
    /// Its source's external port is to be that of every later flow of the same internal endpoint; `open` to any remote.
    pub mapping: Option<MappingKind>,
}

/// What an adopted flow's mapping admits (RFC 4787 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingKind {
    /// Any remote may send to it.
    pub open: bool,
}

/// Writes the flows; how many found their place. What does not fit, or belongs to no family, is left out.
///
/// # Errors
/// A table cannot be written for another reason than being full.
pub fn adopt(maps: &mut Maps, flows: &[Adopted], now: Tick) -> Result<usize, DatapathError> {
    let mut adopted = 0;
    for flow in flows {
        let ends = [flow.source, flow.destination, flow.translated_source, flow.translated_destination].map(|end| end.ip());
        let stored = match ends {
            [IpAddr::V4(a), IpAddr::V4(b), IpAddr::V4(c), IpAddr::V4(d)] => {
                let addresses = [a, b, c, d].map(|address| Ipv4::from_octets(address.octets()));
                let stored = store::<V4>(&mut maps.v4, flow, addresses, now)?;
                if stored && let Some(kind) = flow.mapping {
                    map(maps, flow, addresses, kind, now)?;
                }
                stored
            }
            [IpAddr::V6(a), IpAddr::V6(b), IpAddr::V6(c), IpAddr::V6(d)] => {
                store::<V6>(&mut maps.v6, flow, [a, b, c, d].map(|address| Ipv6::from_octets(address.octets())), now)?
            }
            _ => false,
        };
        adopted += usize::from(stored);
    }
    Ok(adopted)
}

/// `addresses`: source, destination, translated source, translated destination. False: no room.
fn store<F: Family>(maps: &mut FamilyMaps<F>, flow: &Adopted, addresses: [F::Address; 4], now: Tick) -> Result<bool, DatapathError>
where
    SetKey<F>: Abi,
{
    let [source, destination, translated_source, translated_destination] = addresses;
    let port = |end: SocketAddr| Port::new(end.port());
    let mut pair = Pair::<F> {
        original_key: FlowKey::new(
            source,
            destination,
            port(flow.source),
            port(flow.destination),
            Link::new(AbiIfIndex(flow.arrival.0), flow.protocol),
        ),
        original: Flow {
            source: translated_source,
            destination: translated_destination,
            source_port: port(flow.translated_source),
            destination_port: port(flow.translated_destination),
            egress: AbiIfIndex(flow.egress.0),
            state: FlowState::ESTABLISHED,
            rule: flow.rule,
            last_seen: now,
            ..Default::default()
        },
        ..Default::default()
    };
    pair.reply_key = pair.original_key.reply(&pair.original);
    let (source_nat, destination_nat) = (flow.source != flow.translated_source, flow.destination != flow.translated_destination);
    let mut flags = FlowFlags(0);
    flags.set(FlowFlags::TRANSLATED, source_nat || destination_nat);
    flags.set(FlowFlags::SOURCE_NAT, source_nat);
    flags.set(FlowFlags::DESTINATION_NAT, destination_nat);
    pair.complete(AbiIfIndex(flow.arrival.0), now, flags.0, flow.nat_rule);

    if !maps.flows.set(pair.original_key, pair.original) {
        return Ok(false);
    }
    if !maps.flows.set(pair.reply_key, pair.reply) {
        maps.flows.remove(pair.original_key);
        return Ok(false);
    }
    // The internal host pays, as in the core: behind a port forward the server.
    let host = if destination_nat { translated_destination } else { source };
    let opened = maps.hosts.get(host).unwrap_or(0).wrapping_add(1);
    fits(maps.hosts.set(host, opened))?;
    Ok(true)
}

/// The internal endpoint keeps its external one, and nobody else gets it.
fn map(maps: &mut Maps, flow: &Adopted, addresses: [Ipv4; 4], kind: MappingKind, now: Tick) -> Result<(), DatapathError> {
    let [internal, _, external, _] = addresses;
    let (internal_port, external_port) = (Port::new(flow.source.port()), Port::new(flow.translated_source.port()));
    let key = MappingKey { internal, external, internal_port, rule: flow.nat_rule, protocol: flow.protocol, zero: [0; 3] };
    // Conntrack may have given one internal endpoint several external ones: the first stands, the others end with their flows.
    if maps.mappings.get(key).is_some() {
        return Ok(());
    }
    let endpoint = EndpointKey { address: external, port: external_port, protocol: flow.protocol, zero: 0 };
    let owner = Endpoint { internal, port: internal_port, rule: flow.nat_rule, open: u32::from(kind.open) };
    if maps.endpoints.set(endpoint, owner) {
        let mapping = Mapping { external_port, zero: 0, created: now, last_used: now };
        if !maps.mappings.set(key, mapping) {
            maps.endpoints.remove(endpoint);
        }
    }
    Ok(())
}

/// A full table is an answer, not an error.
fn fits(written: Result<(), DatapathError>) -> Result<bool, DatapathError> {
    match written {
        Ok(()) => Ok(true),
        Err(DatapathError::Map(aya::maps::MapError::SyscallError(error))) if error.io_error.raw_os_error() == Some(libc::E2BIG) => {
            Ok(false)
        }
        Err(other) => Err(other),
    }
}
