//! What needs no thought: a packet of an established flow whose cached rewrite and next hop are current.
//!
//! XDP answers only this, and drops only what is certain to be dropped; everything else it leaves, unmodified, to tc. tc begins with
//! the same look-up.

use crate::abi::{DropReason, Family, Flow, FlowState, Generation, InterfaceFlags, PassReason, Reason, Tick};
use crate::decision::Forward;
use crate::env::{Arrival, Env};
use crate::packet::{Kind, Packet};
use crate::wire::{checksum, tcp};
use crate::{flow, route};

/// Decides a packet as XDP does, which admits none but [`crate::packet::Headers::Plain`].
///
/// # Errors
/// XDP leaves it to tc.
#[inline(always)]
pub fn decide<'m, F: Family, E: Env<'m, F>>(env: &mut E, packet: &Packet<F>, arrival: &Arrival) -> Result<Forward<F>, Reason> {
    if !has_partial_checksum(packet)
        && let Some((flow, place)) = find(env, packet, arrival)
        && let Some(egress) = env.interface(flow.egress)
        && egress.flags.has(InterfaceFlags::XDP_TRANSMIT)
    {
        env.count_flow(place, arrival.now(), packet.length as u32);
        return Ok(Forward::by(&flow, &packet.key, egress.mac, F::Address::default()));
    }
    Err(Reason::Pass(PassReason::NotFast))
}

/// The packet's flow, when its cached answer may be used: where both hooks begin. Nothing is counted yet.
#[inline(always)]
pub fn find<'m, F: Family, E: Env<'m, F>>(env: &mut E, packet: &Packet<F>, arrival: &Arrival) -> Option<(Flow<F>, E::Place)> {
    if !packet.kind.is_tracked() || changes_state(packet) {
        return None;
    }
    let generation = env.generation()?;
    env.established(&packet.key).filter(|(flow, _)| is_usable(flow, packet, generation, arrival))
}

/// Whether the cached answer may be used for this packet.
#[inline(always)]
fn is_usable<F: Family>(flow: &Flow<F>, packet: &Packet<F>, generation: Generation, arrival: &Arrival) -> bool {
    flow.state == FlowState::ESTABLISHED
        && flow.decided == generation
        && flow::has_next_hop(flow)
        && route::check_hop(packet, arrival, flow.mtu, true).is_ok()
}

/// Counts a packet that will be forwarded in a copy of its flow.
#[inline(always)]
pub fn touch<F: Family>(flow: &mut Flow<F>, packet: &Packet<F>, now: Tick) {
    flow.last_seen = now;
    flow.packets = flow.packets.wrapping_add(1);
    flow.bytes = flow.bytes.wrapping_add(packet.length as u64);
}

/// SYN, FIN and RST are tc's, and so is an echo request or reply, whose direction must be checked.
#[inline(always)]
fn changes_state<F: Family>(packet: &Packet<F>) -> bool {
    match packet.kind {
        Kind::Tcp => packet.tcp_flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0,
        Kind::Udp => false,
        _ => true,
    }
}

/// A packet from a local stack (veth, virtio) may carry only the pseudo-header's sum, for the device to complete. XDP cannot see the
/// flag, so a checksum that equals that sum is left to tc. A complete checksum that happens to be equal loses nothing but speed.
#[inline(always)]
#[must_use]
pub fn has_partial_checksum<F: Family>(packet: &Packet<F>) -> bool {
    use crate::abi::Address;
    let length = packet.length - (packet.l4 - packet.l3);
    let sum = checksum::sum(packet.key.source.words())
        + checksum::sum(packet.key.destination.words())
        + length.to_be() as u64
        + (packet.key.link().protocol().0 as u16).to_be() as u64;
    checksum::fold(sum) == packet.checksum
}

/// What XDP may drop by itself: the reasons that parsing alone finds. A frame that seems truncated may go on in a second buffer, which
/// only tc sees.
///
/// # Errors
/// What XDP does with any other packet.
#[inline(always)]
pub fn admit_certain<T>(admitted: Result<T, Reason>) -> Result<T, Reason> {
    match admitted {
        Err(Reason::Drop(DropReason::Truncated)) => Err(Reason::Pass(PassReason::NotFast)),
        other => other,
    }
}
