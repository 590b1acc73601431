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

use crate::abi::{Config, DropReason, Family, Flow, FlowKey, PassReason, Reason};
use crate::decision::Forward;
use crate::env::{Arrival, Env, RouteAnswer, RouteKind, Table};
use crate::flow::Pair;
use crate::packet::{Kind, Packet};
use crate::wire::tcp;
use crate::{fast_path, route};

/// The memory of one decision: what goes in, what comes out, and what is built on the way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scratch<F: Family> {
    /// In: the packet.
    pub packet: Packet<F>,
    /// In: what the hook knows besides.
    pub arrival: Arrival,
    /// The configuration under which it is decided.
    pub config: Config,
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

/// The quick answer that tc gives before anything else: `scratch.forward` is filled, or [`decide_known`] goes on.
#[inline(always)]
pub fn decide_established<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> bool {
    let Scratch { packet, arrival, forward, .. } = scratch;
    let Some((flow, place)) = fast_path::find(env, packet, arrival) else { return false };
    let Some(egress) = env.interface(flow.egress) else { return false };
    env.count_flow(place, arrival.now(), packet.length as u32);
    *forward = Forward::by(&flow, &packet.key, egress.mac, F::Address::default());
    true
}

/// Decides a packet of a known flow: `scratch.forward` is filled, or (false) the packet opens a flow, if it may: [`decide_new`].
///
/// # Errors
/// What becomes of it otherwise.
#[inline(always)]
pub fn decide_known<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Result<bool, Reason> {
    scratch.config = env.config().ok_or(Reason::Drop(DropReason::NotReady))?;
    if !scratch.packet.kind.is_tracked() {
        return Err(untracked(env, scratch));
    }
    match find(env, scratch) {
        Some(table) => hit::decide(env, table, scratch),
        None => Ok(false),
    }
}

/// Decides a packet that [`decide_known`] has found no flow for; `scratch.forward` is filled when it is forwarded.
///
/// # Errors
/// What becomes of it otherwise.
#[inline(always)]
pub fn decide_new<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Result<(), Reason> {
    scratch.config = env.config().ok_or(Reason::Drop(DropReason::NotReady))?;
    open::decide(env, scratch)
}

/// Finds the packet's flow and copies it. The half-open table comes first: whoever moves a flow puts it into the main table before taking it
/// out of the other, so it is not missed, and most packets that come here open a flow or make it established. What closes one is not of them.
#[inline(always)]
fn find<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Option<Table> {
    let Scratch { packet, flow, .. } = scratch;
    let closes = packet.kind == Kind::Tcp && packet.tcp_flags & (tcp::FIN | tcp::RST) != 0;
    if closes && env.read_flow(Table::Main, &packet.key, flow) {
        return Some(Table::Main);
    }
    if env.read_flow(Table::HalfOpen, &packet.key, flow) {
        return Some(Table::HalfOpen);
    }
    env.read_flow(Table::Main, &packet.key, flow).then_some(Table::Main)
}

/// A packet without a tuple: the gateway's own, or dropped.
#[inline(always)]
fn untracked<'m, F: Family, E: Env<'m, F>>(env: &mut E, scratch: &mut Scratch<F>) -> Reason {
    let Scratch { packet, answer, .. } = scratch;
    if route::next_hop(env, packet, packet.key.destination, answer) == RouteKind::Local {
        return Reason::Pass(PassReason::Local);
    }
    Reason::Drop(match packet.kind {
        Kind::Fragment => DropReason::Fragment,
        Kind::IcmpOther => DropReason::IcmpType,
        _ => DropReason::Protocol,
    })
}
