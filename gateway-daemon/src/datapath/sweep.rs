//! Expiry: one walk through the tables now and then, never a timer per flow.
//!
//! A flow ends when both of its directions have been idle for the time its state allows. A mapping ends when no flow uses it and it has
//! been idle itself (RFC 4787 REQ-5; RFC 5508 REQ-2; RFC 5382 REQ-5). Between reading an entry and removing it a packet may come: it is
//! looked at once more, and what slips through the remaining microsecond opens a flow anew on the same mapping.
//!
//! A flow whose original direction came through an interface that is gone ends at once, whatever its age: the same endpoints come again
//! through another interface, as another key, and would find their reply tuple taken.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use gateway_ebpf::abi::{Abi, Family, Flow, FlowFlags, FlowKey, FlowState, Ipv4, Mapping, MappingKey, Port, Protocol, SetKey, Tick, V4};
use gateway_ebpf::table::{FlowEntry, MappingEntry};

use super::error::DatapathError;
use super::maps::{FamilyMaps, Maps};
use super::shared::Shared;
use crate::inventory::IfIndex;
use crate::model::Timeouts;

/// What one sweep saw and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Flows alive, both directions counted once.
    pub flows: u64,
    /// Of these, half-open ones.
    pub half_open: u64,
    /// Of all flows, IPv6's, which have tables of their own.
    pub flows_v6: u64,
    /// Of the half-open ones, IPv6's.
    pub half_open_v6: u64,
    /// Flows ended by this sweep.
    pub ended: u64,
    /// Mappings alive.
    pub mappings: u64,
    /// Packets and bytes of the flows alive.
    pub live: Traffic,
    /// Packets and bytes of the flows ended.
    pub gone: Traffic,
}

/// Packets and bytes, both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets; a GSO packet counts once.
    pub packets: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
}

impl Traffic {
    fn add<F: Family>(&mut self, flow: &Flow<F>) {
        self.packets += flow.packets;
        self.bytes += flow.bytes;
    }
}

/// A connection that was refused before it was one: nothing late can come that the flow would have to translate, and a scan of closed
/// ports would otherwise fill the half-open table for minutes.
const REFUSED: Duration = Duration::from_secs(10);

/// What an unanswered flow is given while the half-open table is more than half full: enough for an answer from the other side of the
/// world. A flood of first packets then keeps as many places busy as it sends in this time, not in minutes.
const CROWDED: Duration = Duration::from_secs(10);

/// How long a flow of that protocol and state may be idle, in ticks. `half_open`: it stands in the half-open table.
#[must_use]
pub fn allowance(timeouts: &Timeouts, protocol: Protocol, state: FlowState, half_open: bool) -> u32 {
    let duration = match protocol {
        Protocol::TCP => match state {
            FlowState::CLOSED if half_open => REFUSED,
            FlowState::OPENING | FlowState::ANSWERED => timeouts.tcp_opening,
            FlowState::ESTABLISHED => timeouts.tcp_established,
            _ => timeouts.tcp_closing,
        },
        Protocol::UDP => timeouts.udp,
        _ => timeouts.icmp,
    };
    ticks(duration)
}

fn ticks(duration: Duration) -> u32 {
    Tick::ceil_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2_000_000))
}

/// What decides whether a flow lives.
pub struct Terms<'a> {
    /// The datapath's clock.
    pub now: Tick,
    /// How long flows may be idle.
    pub timeouts: &'a Timeouts,
    /// The interfaces that carry traffic.
    pub interfaces: &'a BTreeSet<IfIndex>,
    /// The half-open table is more than half full.
    pub crowded: bool,
}

impl Terms<'_> {
    fn has_ended<F: Family>(&self, key: &FlowKey<F>, flow: &Flow<F>, half_open: bool) -> bool {
        // A reply leaves where its flow came from.
        let came_by = if flow.flags.has(FlowFlags::ORIGINAL) { key.link().ifindex() } else { flow.egress };
        let mut allowed = allowance(self.timeouts, key.link().protocol(), flow.state, half_open);
        if half_open && self.crowded {
            allowed = allowed.min(ticks(CROWDED));
        }
        !self.interfaces.contains(&IfIndex(came_by.0)) || self.now.since(flow.last_seen) > allowed
    }
}

/// Sweeps every table.
///
/// # Errors
/// A table cannot be read.
pub fn sweep(maps: &mut Maps, terms: &Terms<'_>) -> Result<Swept, DatapathError> {
    let mut swept = Swept::default();
    let mut idle = idle_mappings(&maps.mappings, terms, &mut swept);
    // Half-open ones first: a flow that becomes established meanwhile is then seen, if need be twice, and its mapping kept.
    let mut hosts = HashMap::new();
    sweep_table::<V4>(&mut maps.v4.half_open, true, terms, &mut swept, &mut hosts, |key, flow| idle.keep(key, flow));
    swept.half_open = swept.flows;
    sweep_table::<V4>(&mut maps.v4.flows, false, terms, &mut swept, &mut hosts, |key, flow| idle.keep(key, flow));
    write_hosts(&mut maps.v4, &hosts)?;

    let mut hosts = HashMap::new();
    let before = swept.flows;
    sweep_table(&mut maps.v6.half_open, true, terms, &mut swept, &mut hosts, |_, _| {});
    swept.half_open_v6 = swept.flows - before;
    swept.half_open += swept.half_open_v6;
    sweep_table(&mut maps.v6.flows, false, terms, &mut swept, &mut hosts, |_, _| {});
    swept.flows_v6 = swept.flows - before;
    write_hosts(&mut maps.v6, &hosts)?;

    for (key, mapping) in idle.unused() {
        // A packet may have opened a flow on it behind the walk.
        if maps.mappings.get(key).is_none_or(|now| now.last_used != mapping.last_used) {
            continue;
        }
        maps.mappings.remove(key);
        maps.endpoints.remove(gateway_ebpf::abi::EndpointKey {
            address: key.external,
            port: mapping.external_port,
            protocol: key.protocol,
            zero: 0,
        });
        swept.mappings = swept.mappings.saturating_sub(1);
    }
    Ok(swept)
}

/// Mappings that may end, unless a flow uses them.
#[derive(Default)]
struct Idle {
    mappings: HashMap<MappingKey<V4>, Mapping>,
    used: HashSet<(Ipv4, Port, Ipv4, Protocol)>,
    wanted: HashSet<(Ipv4, Port, Ipv4, Protocol)>,
}

impl Idle {
    fn keep(&mut self, key: &FlowKey<V4>, flow: &Flow<V4>) {
        let endpoint = if flow.flags.has(FlowFlags::SOURCE_NAT) {
            (key.source, key.source_port, flow.source, key.link().protocol())
        } else {
            // Inbound through an open mapping: the original direction's destination is the mapping's external endpoint.
            (flow.destination, flow.destination_port, key.destination, key.link().protocol())
        };
        if self.wanted.contains(&endpoint) {
            self.used.insert(endpoint);
        }
    }

    fn unused(self) -> impl Iterator<Item = (MappingKey<V4>, Mapping)> {
        let used = self.used;
        self.mappings.into_iter().filter(move |(key, _)| !used.contains(&(key.internal, key.internal_port, key.external, key.protocol)))
    }
}

fn idle_mappings(table: &Shared<MappingEntry>, terms: &Terms<'_>, swept: &mut Swept) -> Idle {
    let mut idle = Idle::default();
    table.for_each(|key, mapping| {
        swept.mappings += 1;
        // A mapping without flows has nothing established: the closing time is TCP's.
        if terms.now.since(mapping.last_used) > allowance(terms.timeouts, key.protocol, FlowState::CLOSED, false) {
            idle.wanted.insert((key.internal, key.internal_port, key.external, key.protocol));
            idle.mappings.insert(key, mapping);
        }
    });
    idle
}

fn sweep_table<F: Family>(
    table: &mut Shared<FlowEntry<F>>,
    half_open: bool,
    terms: &Terms<'_>,
    swept: &mut Swept,
    hosts: &mut HashMap<F::Address, u32>,
    mut alive: impl FnMut(&FlowKey<F>, &Flow<F>),
) {
    let mut expired = Vec::new();
    let has_expired = |key: &FlowKey<F>, flow: &Flow<F>| terms.has_ended(key, flow, half_open);
    let mut entries = 0u64;
    table.for_each(|key, flow| {
        let original = flow.flags.has(FlowFlags::ORIGINAL);
        entries += u64::from(original);
        if has_expired(&key, &flow) {
            // Looked at after the walk: most are alive by their other direction only while one side is silent.
            expired.push((key, flow));
            return;
        }
        swept.live.add(&flow);
        if original {
            *hosts.entry(host(&key, &flow)).or_insert(0) += 1;
            alive(&key, &flow);
        }
    });
    swept.flows += entries;
    for (key, seen) in expired {
        let original = seen.flags.has(FlowFlags::ORIGINAL);
        let peer_key = key.reply(&seen);
        let peer = table.get(peer_key);
        let entry = table.get(key);
        if half_open && entry.is_none() {
            // Established meanwhile: it counts where it stands now.
            swept.flows -= u64::from(original);
            continue;
        }
        let other_lives = peer.as_ref().is_some_and(|peer| !has_expired(&peer_key, peer));
        let refreshed = entry.is_some_and(|entry| !has_expired(&key, &entry));
        if other_lives || refreshed {
            swept.live.add(&seen);
            if original {
                *hosts.entry(host(&key, &seen)).or_insert(0) += 1;
                alive(&key, &seen);
            }
            continue;
        }
        // Each direction counts for itself; the other one is in the list too, or already gone.
        swept.gone.add(&seen);
        if original {
            swept.ended += 1;
            swept.flows -= 1;
        }
        table.remove(key);
    }
}

/// The internal host that a flow counts for, as in the core: behind a port forward the server.
fn host<F: Family>(key: &FlowKey<F>, flow: &Flow<F>) -> F::Address {
    if flow.flags.has(FlowFlags::DESTINATION_NAT) { flow.destination } else { key.source }
}

/// Tells the programs how many flows each host has ended: what it opened less what it holds. Counted anew every time, so that an
/// increment lost between two CPUs does not stay.
fn write_hosts<F: Family>(maps: &mut FamilyMaps<F>, held: &HashMap<F::Address, u32>) -> Result<(), DatapathError>
where
    SetKey<F>: Abi,
{
    let mut opened = Vec::new();
    maps.hosts.for_each(|host, count| opened.push((host, count)))?;
    for (host, opened) in opened {
        match held.get(&host) {
            Some(held) => {
                let ended = opened.wrapping_sub(*held);
                if maps.hosts_ended.get(host) != Some(ended) {
                    maps.hosts_ended.set(host, ended)?;
                }
            }
            None => {
                maps.hosts.remove(host);
                maps.hosts_ended.remove(host);
            }
        }
    }
    Ok(())
}
