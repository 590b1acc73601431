//! Both directions of a flow in their tables.

use crate::abi::{DropReason, Family, Flow, FlowFlags, FlowKey, IfIndex, RuleId, Tick};
use crate::env::{Env, Insert, Table};

/// Both directions of one flow: memory for building a flow before anything is stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pair<F: Family> {
    /// Key of the original direction.
    pub original_key: FlowKey<F>,
    /// Key of the reply direction.
    pub reply_key: FlowKey<F>,
    /// Original direction.
    pub original: Flow<F>,
    /// Reply direction.
    pub reply: Flow<F>,
}

impl<F: Family> Pair<F> {
    /// Fills in the reply direction, from the original direction and both keys. `from` is the interface that the first
    /// packet came from. The reply's route is asked for by its first packet, which tc sees in any case.
    #[inline(always)]
    pub fn complete(&mut self, from: IfIndex, now: Tick, flags: u8, nat_rule: RuleId) {
        let Self { original_key: key, original, reply, .. } = self;
        original.flags.set(flags | FlowFlags::ORIGINAL, true);
        *reply = Flow {
            source: key.destination,
            destination: key.source,
            source_port: key.destination_port,
            destination_port: key.source_port,
            egress: from,
            last_seen: now,
            // The policy has judged both directions, if not yet their routes.
            decided: original.decided,
            state: original.state,
            rule: nat_rule,
            ..Default::default()
        };
        reply.flags.set(flags, true);
    }
}

/// Stores a new flow. All or nothing. `other` is memory for a flow that stands in its way.
///
/// # Errors
/// The reason to drop the packet.
#[inline(always)]
pub fn store_half_open<'m, F: Family, E: Env<'m, F>>(env: &mut E, pair: &Pair<F>, other: &mut Flow<F>) -> Result<(), DropReason> {
    // The translated tuple may already be in use. An insertion finds that out for its own table only.
    if env.read_flow(Table::Main, &pair.reply_key, other) {
        make_way(env, Table::Main, pair, other)?;
    }
    let mut insert = insert_both(env, Table::HalfOpen, pair);
    if insert == Err(Insert::Exists) && env.read_flow(Table::HalfOpen, &pair.reply_key, other) {
        make_way(env, Table::HalfOpen, pair, other)?;
        insert = insert_both(env, Table::HalfOpen, pair);
    }
    insert.map_err(|insert| match insert {
        Insert::Full => DropReason::HalfOpenTableFull,
        _ => DropReason::TupleConflict,
    })
}

/// Forgets `other`, which holds the new flow's reply key, if it may be forgotten: to both ends it is the same flow, but from another
/// interface. The host has moved (its source has been validated there), and its old flow can only stand in the way.
#[inline(always)]
fn make_way<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, pair: &Pair<F>, other: &Flow<F>) -> Result<(), DropReason> {
    let moved = other.egress != pair.reply.egress
        && other.source == pair.reply.source
        && other.destination == pair.reply.destination
        && other.source_port == pair.reply.source_port
        && other.destination_port == pair.reply.destination_port;
    if !moved {
        return Err(DropReason::TupleConflict);
    }
    remove_both(env, table, &pair.reply_key, &pair.reply_key.reply(other));
    Ok(())
}

/// Moves a flow that has shown to be one from the half-open table to the main table: the direction of `key` as `flow` is now, the other as
/// it stands there, in the same state. `pair` is memory.
///
/// # Errors
/// [`DropReason::FlowTableFull`]: the flow stays half-open as it was, and a later packet tries again.
#[inline(always)]
pub fn promote<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    key: &FlowKey<F>,
    flow: &Flow<F>,
    peer: &FlowKey<F>,
    pair: &mut Pair<F>,
) -> Result<(), DropReason> {
    if !env.read_flow(Table::HalfOpen, peer, &mut pair.reply) {
        // Another CPU has moved it in between.
        return Ok(());
    }
    // Which of the two is the original one does not matter to an insertion.
    pair.original_key = *key;
    pair.reply_key = *peer;
    pair.original = *flow;
    pair.reply.state = flow.state;
    // Anything else than a full table means that it is there, put by another CPU.
    if insert_both(env, Table::Main, pair) == Err(Insert::Full) {
        return Err(DropReason::FlowTableFull);
    }
    remove_both(env, Table::HalfOpen, key, peer);
    Ok(())
}

/// Forgets a flow wherever it stands.
#[inline(always)]
pub fn remove_both<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, key: &FlowKey<F>, peer: &FlowKey<F>) {
    env.remove_flow(table, key);
    env.remove_flow(table, peer);
}

#[inline(always)]
fn insert_both<'m, F: Family, E: Env<'m, F>>(env: &mut E, table: Table, pair: &Pair<F>) -> Result<(), Insert> {
    match env.insert_flow(table, &pair.original_key, &pair.original) {
        Insert::Done => {}
        refused => return Err(refused),
    }
    match env.insert_flow(table, &pair.reply_key, &pair.reply) {
        Insert::Done => Ok(()),
        refused => {
            env.remove_flow(table, &pair.original_key);
            Err(refused)
        }
    }
}
