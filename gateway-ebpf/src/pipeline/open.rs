//! The first packet of a flow.

use super::{Scratch, policy};
use crate::abi::{Config, DropReason, Family, Flow, FlowFlags, FlowState, PassReason, PuntReason, Reason};
use crate::decision::Forward;
use crate::env::{Env, RouteAnswer, RouteKind};
use crate::nat;
use crate::packet::{Kind, Packet};
use crate::verifier::forget;
use crate::wire::tcp;
use crate::zone::Subject;
use crate::{fast_path, flow, route};

/// Decides a packet of no known flow.
///
/// # Errors
/// What becomes of it when it is not forwarded.
#[inline(always)]
pub fn decide<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Result<(), Reason> {
    let refuse = Reason::Drop;
    let Scratch { packet, arrival, config, forward, pair, flow: other, answer, .. } = scratch;
    let key = &packet.key;
    let from = env.interface(arrival.ifindex).ok_or(Reason::Pass(PassReason::NoZone))?;
    let policy = policy::current(env, config).ok_or(refuse(DropReason::NotReady))?;
    let destination = policy::destination(env, &policy, from, key, packet.icmp_type).ok_or(refuse(DropReason::NotReady))?;
    let redirected = destination.address != key.destination;

    // Both ask the same tables; the route comes second, so that its answer is the one that stays.
    let valid = route::validate_source(env, packet, from, answer);
    let kind = route::next_hop(env, packet, destination.address, answer);
    if kind == RouteKind::Local {
        // The kernel validates the sources of its own packets, and must still see DHCP answers and the like.
        return Err(Reason::Pass(PassReason::Local));
    }
    valid.map_err(refuse)?;
    match kind {
        RouteKind::Unreachable if redirected => return Err(refuse(DropReason::NoRoute)),
        RouteKind::Unreachable => return Err(Reason::Punt(PuntReason::NoRoute)),
        RouteKind::ForwardingOff => return Err(refuse(DropReason::NotReady)),
        RouteKind::Local | RouteKind::Resolved | RouteKind::Unresolved => {}
    }
    let resolved = forget((kind == RouteKind::Resolved) as u32, packet.length as u32) != 0;
    let to = env.interface(answer.egress).ok_or(refuse(DropReason::NoZone))?;
    may_open(packet).map_err(refuse)?;
    route::check_hop(packet, arrival, answer.mtu, redirected)?;
    let subject =
        Subject { key: *key, destination: destination.address, port: destination.port, admitted: destination.admitted, again: false };
    let (rule, source) = policy::judge_and_select(env, &policy, config, from, to, &subject, arrival).map_err(refuse)?;
    // The internal host pays: behind a port forward the server, whatever number of clients it has.
    let host = if destination.rule.0 != 0 { destination.address } else { key.source };
    if env.host_flows(host) >= config.flows_per_host {
        return Err(refuse(DropReason::HostQuota));
    }

    pair.original_key = *key;
    pair.original = Flow {
        source: key.source,
        destination: destination.address,
        source_port: key.source_port,
        destination_port: destination.port,
        state: FlowState::OPENING,
        rule,
        ..Default::default()
    };
    set_route(&mut pair.original, answer, resolved, config);
    pair.reply_key = key.reply(&pair.original);
    // From here on something is claimed; what fails gives it back.
    let claim = match &source {
        Some(source) => {
            pair.original.source = source.address;
            pair.reply_key.destination = source.address;
            let claim = nat::claim(env, config, source, key, &mut pair.reply_key, arrival.now()).map_err(refuse)?;
            pair.original.source_port = claim.port;
            pair.reply_key.destination_port = claim.port;
            Some(claim)
        }
        None => None,
    };
    let flags = if destination.rule.0 != 0 { FlowFlags::TRANSLATED | FlowFlags::DESTINATION_NAT } else { 0 }
        | if source.is_some() { FlowFlags::TRANSLATED | FlowFlags::SOURCE_NAT } else { 0 };
    let nat_rule = source.as_ref().map_or(destination.rule, |source| source.rule);
    pair.complete(from.index, arrival.now(), flags, nat_rule);
    fast_path::touch(&mut pair.original, packet, arrival.now());
    if let Err(reason) = flow::store_half_open(env, pair, other) {
        if let (Some(source), Some(claim)) = (&source, &claim) {
            nat::undo(env, source, key, claim);
        }
        return Err(refuse(reason));
    }
    env.count_host(host);
    *forward = Forward::by(&pair.original, key, to.mac, answer.gateway);
    Ok(())
}

/// TCP begins with a SYN; an echo reply begins nothing.
#[inline(always)]
fn may_open<F: Family>(packet: &Packet<F>) -> Result<(), DropReason> {
    match packet.kind {
        Kind::Tcp if packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST | tcp::FIN) != tcp::SYN => Err(DropReason::TcpNoFlow),
        Kind::EchoReply => Err(DropReason::State),
        _ => Ok(()),
    }
}

/// Writes a routing answer into a flow.
#[inline(always)]
pub fn set_route<F: Family>(flow: &mut Flow<F>, answer: &RouteAnswer<F>, resolved: bool, config: &Config) {
    flow.egress = answer.egress;
    flow.mtu = answer.mtu;
    flow.next_mac = answer.next_mac;
    flow.flags.set(FlowFlags::NEXT_HOP, resolved);
    flow.decided = config.generation();
}
