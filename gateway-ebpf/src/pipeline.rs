//! The order of the stages: the only file that knows it.
//!
//! ```text
//! admit: link layer -> zone -> parse -> martians
//! flow look-up: hit  -> state -> (stale: judge again) -> hop limit, MTU -> commit -> forward
//!               miss -> destination NAT -> route -> source validation -> hop limit, MTU -> firewall -> source NAT -> commit -> forward
//! ```
//!
//! Routing stands between the two NATs, because the to-zone depends on it. State is committed after every refusal has been checked: a
//! dropped packet leaves nothing behind.
//!
//! Everything larger than a few words stands in [`Scratch`] and is passed by reference: the kernel's stack has 512 bytes.

mod admit;
mod hit;
mod open;
mod policy;

pub use admit::{Admitted, admit};

use crate::abi::{DropReason, Family, Flow, FlowKey, PassReason, Reason};
use crate::decision::Forward;
use crate::env::{Arrival, Env, RouteAnswer, RouteKind, Table};
use crate::flow::Pair;
use crate::packet::{Kind, Packet};
use crate::{fast_path, route};

/// The memory of one decision: what goes in, what comes out, and what is built on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scratch<F: Family> {
    /// In: the packet.
    pub packet: Packet<F>,
    /// In: what the hook knows besides.
    pub arrival: Arrival,
    /// Out: how the packet leaves, when it does.
    pub forward: Forward<F>,
    /// The flow being built or moved.
    pub pair: Pair<F>,
    /// The entry that was found.
    pub flow: Flow<F>,
    /// The key of its other direction.
    pub peer: FlowKey<F>,
    /// The last routing answer.
    pub answer: RouteAnswer<F>,
    /// The hook's own: what becomes of a packet that is not forwarded.
    pub refusal: Refusal,
}

/// Why a packet is not forwarded, as plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// [`Reason::index`].
    pub index: u32,
    /// Not 0: its sender is to be told.
    pub answered: u32,
}

/// The quick answer that tc gives before anything else: `scratch.forward` is filled, or the whole pipeline must decide.
#[inline(always)]
pub fn decide_established<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> bool {
    let Scratch { packet, arrival, forward, .. } = scratch;
    let Some((flow, place)) = fast_path::find(env, packet, arrival) else { return false };
    let Some(egress) = env.interface(flow.egress) else { return false };
    env.count_flow(place, arrival.now(), packet.length as u32);
    *forward = Forward::by(&flow, &packet.key, egress.mac, F::Address::default());
    true
}

/// Decides an admitted packet: the whole pipeline. `scratch.forward` is filled when it is forwarded.
///
/// # Errors
/// What becomes of it otherwise.
#[inline(always)]
pub fn decide<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Result<(), Reason> {
    let config = env.config().ok_or(Reason::Drop(DropReason::NotReady))?;
    if !scratch.packet.kind.is_tracked() {
        return untracked(env, scratch);
    }
    if let Some(table) = find(env, scratch)
        && hit::decide(env, table, &config, scratch)?
    {
        return Ok(());
    }
    open::decide(env, &config, scratch)
}

/// Finds the packet's flow and copies it. The main table is asked twice: between the two look-ups another CPU may have moved the flow.
#[inline(always)]
fn find<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Option<Table> {
    let Scratch { packet, flow, .. } = scratch;
    [Table::Main, Table::HalfOpen, Table::Main].into_iter().find(|table| env.read_flow(*table, &packet.key, flow))
}

/// A packet without a tuple: the gateway's own, or dropped.
#[inline(always)]
fn untracked<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Result<(), Reason> {
    let Scratch { packet, answer, .. } = scratch;
    if route::next_hop(env, packet, packet.key.destination, answer) == RouteKind::Local {
        return Err(Reason::Pass(PassReason::Local));
    }
    Err(Reason::Drop(match packet.kind {
        Kind::Fragment => DropReason::Fragment,
        Kind::IcmpOther => DropReason::IcmpType,
        _ => DropReason::Protocol,
    }))
}
