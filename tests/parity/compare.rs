//! Tables and counters of both sides, entry by entry.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use anyhow::{Result, ensure};
use gateway_daemon::datapath::FamilyMaps;
use gateway_ebpf::abi::{Abi, Family, Flow, FlowFlags, Mac, SetKey};
use gateway_tests::world::{Bounded, FamilyTables, World};

use crate::kernel::{Kernel, entries, flows, shared};

/// Compares everything that packets change.
///
/// # Errors
/// What differs.
pub fn tables(kernel: &Kernel, world: &World) -> Result<()> {
    let maps = kernel.maps();
    family("IPv4", &maps.v4, &world.state.v4)?;
    family("IPv6", &maps.v6, &world.state.v6)?;
    equal("mappings", &shared(&maps.mappings), &plain(&world.state.v4.mappings))?;
    equal("endpoints", &shared(&maps.endpoints), &plain(&world.state.v4.endpoints))?;
    let theirs = kernel.reasons()?;
    for (index, (ours, theirs)) in world.state.reasons.iter().zip(theirs).enumerate() {
        ensure!(*ours == theirs, "reason {index} was counted {ours} times by the core and {theirs} times by the programs");
    }
    for rule in 0..64 {
        let ours = world.state.rule_hits.get(&rule).copied().unwrap_or(0);
        let theirs = kernel.rule_hits(rule)?;
        ensure!(ours == theirs, "rule {rule} was hit {ours} times in the core and {theirs} times in the programs");
    }
    Ok(())
}

fn family<F: Family>(name: &str, maps: &FamilyMaps<F>, tables: &FamilyTables<F>) -> Result<()>
where
    SetKey<F>: Abi,
{
    for ((table, theirs), ours) in flows(maps).into_iter().zip([&tables.flows, &tables.half_open]) {
        let theirs = shared(theirs).into_iter().map(|(key, flow)| (key, meant(flow))).collect();
        let ours = ours.iter().map(|(key, flow)| (*key, meant(*flow))).collect();
        equal(&format!("{name} {table}"), &theirs, &ours)?;
    }
    equal(&format!("{name} hosts"), &entries(&maps.hosts)?, &plain(&tables.hosts))
}

/// Without what has no meaning: the MACs of a next hop that is not resolved are whatever the scratch memory held.
fn meant<F: Family>(mut flow: Flow<F>) -> Flow<F> {
    if !flow.flags.has(FlowFlags::NEXT_HOP) {
        flow.next_mac = Mac::default();
    }
    flow
}

fn plain<K: Eq + Hash + Copy, V: Copy>(table: &Bounded<K, V>) -> HashMap<K, V> {
    table.iter().map(|(key, value)| (*key, *value)).collect()
}

fn equal<K: Eq + Hash + Debug, V: PartialEq + Debug>(name: &str, theirs: &HashMap<K, V>, ours: &HashMap<K, V>) -> Result<()> {
    for (key, value) in ours {
        let other = theirs.get(key);
        ensure!(other == Some(value), "{name}: {key:?}\n core    {value:?}\n program {other:?}");
    }
    let more = theirs.keys().find(|key| !ours.contains_key(key));
    ensure!(more.is_none(), "{name}: only the programs have {more:?}");
    Ok(())
}
