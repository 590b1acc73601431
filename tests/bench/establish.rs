//! RFC 9693, the metrics that only a stateful gateway has.

mod capacity;
mod tear_down;

use std::time::Duration;

use anyhow::{Context, Result};
use gateway_tests::Namespace;
use gateway_tests::wait::wait_until;

use crate::choice::Part;
use crate::figure::{Case, Figure, Metric};
use crate::fresh;
use crate::path::{Path, Range};
use crate::rig::{Rig, Unavailable};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

/// New flows per round, each of an internal endpoint of its own, so that each needs a mapping too. Ours has room for 32,768 that are not
/// answered yet.
const FLOWS: u32 = 20_000;
/// Until conntrack has no entry left after it was flushed.
const FLUSHED: Duration = Duration::from_secs(20);

/// Measures all three.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    rate(run)?;
    capacity::run(run)?;
    if run.full {
        tear_down::run(run)
    } else {
        // It waits for several of the daemon's sweeps.
        run.miss("the tear-down rate", "only --full takes the time");
        Ok(())
    }
}

/// Section 4.5. The RFC searches for the highest rate without loss. Here generator and gateway share one CPU, so the generator cannot
/// outrun the gateway and nothing is lost: the rate is the inverse of the CPU time that a new flow takes, by one core. Flows are UDP, one
/// packet each, then validated by packets from the other side (section 4.6).
///
/// Every round begins with an empty table, as the RFC's first phase does: a flow costs more in a table that holds others, and not equally
/// more for everybody, so that the figure would depend on how many rounds came before.
fn rate(run: &Run<'_>) -> Result<()> {
    let rounds = if run.full { 12 } else { 6 };
    let setting = Setting::masquerade();
    run.say("new flows: setting up");
    let mut door = Path::door(run.tools.object, setting)?;
    let mut rigs = run.set_up(&run.wanted(Part::Establish.subjects()), setting)?;
    let case = Case::of(format!("{FLOWS} flows into an empty table"));
    let mut figures: Vec<Figure> = rigs.iter().map(|rig| Figure::new(Metric::EstablishmentNs, case.clone(), rig.subject)).collect();
    for round in 0..rounds {
        for place in 0..rigs.len() {
            run.go_on()?;
            let number = (place + round) % rigs.len();
            let (rig, figure) = (&mut rigs[number], &mut figures[number]);
            if round > 0 {
                empty(run, rig).with_context(|| format!("emptying the tables of {}", rig.subject))?;
            }
            fresh::keep(figure, fresh::open(run, &mut door, rig, Range::of(FLOWS)));
            let outcome = figure.samples.last().copied().flatten().map_or("void".to_owned(), |ns| format!("{ns:.0} ns"));
            run.say(&format!("new flows: round {} of {rounds}: {} {outcome}", round + 1, rig.subject));
        }
    }
    for figure in figures {
        let rates = figure.samples.iter().map(|sample| sample.map(|ns| 1e9 / ns)).collect();
        run.record([Figure { metric: Metric::EstablishmentRate, samples: rates, raw: Vec::new(), ..figure.clone() }, figure]);
    }
    Ok(())
}

/// Leaves no flow in a rig's tables. conntrack is flushed; who has no such command, and flowtables, which a flush leaves as they are, are set
/// up anew.
fn empty(run: &Run<'_>, rig: &mut Rig) -> Result<()> {
    if rig.subject == Subject::Nftables {
        return flush(&rig.path.network.gateway);
    }
    *rig = match Rig::set_up(rig.subject, rig.setting, run.tools) {
        Ok(rig) => rig,
        Err(Unavailable::Missing(why)) => anyhow::bail!("it was there before: {why}"),
        Err(Unavailable::Failed(error)) => return Err(error),
    };
    Ok(())
}

/// Ends every flow that conntrack has in a room.
fn flush(room: &Namespace) -> Result<()> {
    room.run("conntrack", &["-F"])?;
    wait_until(FLUSHED, "conntrack to be empty", || {
        let count = room.within(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"))??;
        Ok(count.trim() == "0")
    })
}
