//! A packet of a known flow that the fast path could not answer: one that changes the flow's state, or whose entry is stale, or whose
//! next hop is not known.

use super::{Scratch, open, policy};
use crate::abi::{DropReason, Family, Flow, FlowFlags, FlowKey, FlowState, Reason, Tick};
use crate::decision::Forward;
use crate::env::{Arrival, Env, Insert, RouteKind, Table};
use crate::flow::{self, Step, step};
use crate::packet::{Kind, Packet};
use crate::verifier::forget;
use crate::zone::Subject;
use crate::{fast_path, nat, route};

/// A one-way UDP stream has shown that it lasts after this many packets ...
const STREAM_PACKETS: u64 = 16;
/// ... over this long.
const STREAM_TICKS: u32 = Tick::ceil_millis(2000);

/// Decides a packet of `scratch.flow`, a copy of its entry in `table`. False: the flow is closed and the packet opens a new one.
///
/// # Errors
/// What becomes of the packet when it is not forwarded.
#[inline(always)]
pub fn decide<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, scratch: &mut Scratch<F>) -> Result<bool, Reason> {
    let original = scratch.flow.flags.has(FlowFlags::ORIGINAL);
    scratch.peer = scratch.packet.key.reply(&scratch.flow);
    let state = match step(scratch.flow.state, original, &scratch.packet) {
        Step::To(state) => FlowState(forget(state.0 as u32, scratch.packet.length as u32) as u8),
        Step::Refuse(reason) => return Err(Reason::Drop(reason)),
        Step::Reopen => {
            flow::remove_both(env, table, &scratch.packet.key, &scratch.peer);
            return Ok(false);
        }
    };
    if !flow::is_current(&scratch.flow, &scratch.config) || !flow::has_next_hop(&scratch.flow) {
        refresh(env, table, scratch)?;
    }
    let Scratch { packet, arrival, forward, pair, flow, peer, answer, .. } = scratch;
    // The answer to a packet that is too big names it, wherever the route came from.
    answer.mtu = flow.mtu;
    route::check_hop(packet, arrival, flow.mtu, flow.destination != packet.key.destination)?;
    let state = if lasts(env, table, flow, peer, &mut pair.reply, packet, arrival) { FlowState::ESTABLISHED } else { state };
    fast_path::touch(flow, packet, arrival.now());
    let changed = state != flow.state;
    flow.state = state;
    if table == Table::HalfOpen && state == FlowState::ESTABLISHED {
        flow::promote(env, &packet.key, flow, peer, pair).map_err(Reason::Drop)?;
    } else {
        env.update_flow(table, &packet.key, flow);
        if changed {
            env.set_state(table, peer, state);
        }
    }
    let egress = env.interface(flow.egress).ok_or(Reason::Drop(DropReason::NoZone))?;
    *forward = Forward::by(flow, &packet.key, egress.mac, answer.gateway);
    Ok(true)
}

/// Whether an unanswered UDP stream has earned its place in the main table. The reply entry's time of last packet is still that of its
/// creation; `reply` is memory for it.
#[inline(always)]
fn lasts<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    table: Table,
    flow: &Flow<F>,
    peer: &FlowKey<F>,
    reply: &mut Flow<F>,
    packet: &Packet<F>,
    arrival: &Arrival,
) -> bool {
    // Asked for every sixteenth packet only: it costs a look-up.
    let stream = table == Table::HalfOpen && flow.flags.has(FlowFlags::ORIGINAL) && packet.kind == Kind::Udp;
    if !stream || flow.packets < STREAM_PACKETS || !flow.packets.is_multiple_of(STREAM_PACKETS) {
        return false;
    }
    env.read_flow(table, peer, reply) && arrival.now().since(reply.last_seen) >= STREAM_TICKS
}

/// Brings this direction's entry up to date: the route, and, under another policy or other routes, everything that was decided.
///
/// # Errors
/// [`DropReason::PolicyChanged`]: the flow has been ended. Another reason: only this packet is stopped.
#[inline(always)]
fn refresh<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, scratch: &mut Scratch<F>) -> Result<(), Reason> {
    let stale = !flow::is_current(&scratch.flow, &scratch.config);
    let from = env.interface(scratch.arrival.ifindex).ok_or(Reason::Drop(DropReason::NoZone))?;
    route::validate_source(env, &scratch.packet, from, &mut scratch.answer).map_err(Reason::Drop)?;
    let kind = route::next_hop(env, &scratch.packet, scratch.flow.destination, &mut scratch.answer);
    match kind {
        RouteKind::Resolved | RouteKind::Unresolved => {}
        // Not for ever, perhaps: the flow stays.
        RouteKind::Unreachable => return Err(Reason::Drop(DropReason::NoRoute)),
        RouteKind::ForwardingOff => return Err(Reason::Drop(DropReason::NotReady)),
        // The destination has become the gateway's own address.
        RouteKind::Local => return end(env, table, scratch),
    }
    let resolved = forget((kind == RouteKind::Resolved) as u32, scratch.packet.length as u32) != 0;
    let to = env.interface(scratch.answer.egress).ok_or(Reason::Drop(DropReason::NoZone))?;
    // The kernel may know of another route before the daemon has said so.
    if stale || scratch.answer.egress != scratch.flow.egress {
        // The flow as it would leave now, so that the key of the original direction is that of now.
        let before = scratch.flow.egress;
        scratch.flow.egress = scratch.answer.egress;
        let original = scratch.flow.flags.has(FlowFlags::ORIGINAL);
        let (arrived, leaves) = if original { (from, to) } else { (to, from) };
        let peer = scratch.packet.key.reply(&scratch.flow);
        let Some(rule) = still_allowed(env, arrived, leaves, &peer, scratch) else { return end(env, table, scratch) };
        if original {
            scratch.flow.rule = rule;
        }
        if before != scratch.answer.egress {
            // A packet that cannot leave moves nothing: half a move would lose the flow (path MTU discovery begins this way).
            let redirected = scratch.flow.destination != scratch.packet.key.destination;
            route::check_hop(&scratch.packet, &scratch.arrival, scratch.answer.mtu, redirected)?;
            if !move_peer(env, table, &peer, scratch) {
                return end(env, table, scratch);
            }
        }
    }
    open::set_route(&mut scratch.flow, &scratch.answer, resolved, &scratch.config);
    Ok(())
}

/// Holds the flow against the policy of now; the rule that accepts it.
#[inline(always)]
fn still_allowed<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    from: &'m crate::abi::Interface,
    to: &'m crate::abi::Interface,
    peer: &FlowKey<F>,
    scratch: &Scratch<F>,
) -> Option<crate::abi::RuleId> {
    let Scratch { packet, arrival, config, flow, .. } = scratch;
    let original = flow.flags.has(FlowFlags::ORIGINAL);
    let key = if original { &packet.key } else { peer };
    let policy = policy::current(env, config)?;
    let wanted = policy::destination(env, &policy, from, key, original_icmp_type::<F>(packet))?;
    // The reply direction's key is the original's rewrite, the other way round.
    let reply = if original { peer } else { &packet.key };
    if wanted.address != reply.source || wanted.port != reply.source_port {
        return None;
    }
    let subject = Subject { key: *key, destination: wanted.address, port: wanted.port, admitted: wanted.admitted, again: true };
    let (rule, source) = policy::judge_and_select(env, &policy, config, from, to, &subject, arrival).ok()?;
    if nat::expected_source(&source, key.source) != reply.destination { None } else { Some(rule) }
}

/// The flow leaves by another interface than before: its other direction will arrive there. The translation is the same, or the flow
/// would not have been allowed.
#[inline(always)]
fn move_peer<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, peer: &FlowKey<F>, scratch: &mut Scratch<F>) -> bool {
    if !env.read_flow(table, &scratch.peer, &mut scratch.pair.reply) {
        return false;
    }
    // It must find its own route again.
    scratch.pair.reply.flags.set(FlowFlags::NEXT_HOP, false);
    if env.insert_flow(table, peer, &scratch.pair.reply) == Insert::Full {
        return false;
    }
    env.remove_flow(table, &scratch.peer);
    scratch.peer = *peer;
    true
}

#[inline(always)]
fn end<'m, F: Family, E: Env<'m, F>, T>(env: &mut E, table: Table, scratch: &Scratch<F>) -> Result<T, Reason> {
    flow::remove_both(env, table, &scratch.packet.key, &scratch.peer);
    Err(Reason::Drop(DropReason::PolicyChanged))
}

/// The firewall judges the request, whichever direction brought the flow here.
#[inline(always)]
fn original_icmp_type<F: Family>(packet: &Packet<F>) -> u8 {
    match packet.kind {
        Kind::EchoRequest | Kind::EchoReply => F::ECHO_REQUEST,
        _ => 0,
    }
}
