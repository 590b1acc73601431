//! RFC 9693 section 4.9: how many flows the tables hold, by what they were configured for.
//!
//! Flows are offered in steps, each with an internal endpoint of its own so that the tables of mappings fill too, and each answered, which
//! validates it. Two figures come of it. The greatest number of flows offered of which every one was validated, and still was when the
//! first one had been refused, is what the RFC searches for, with one step as its error. The most held is what was validated of all
//! when another step added nearly nothing; that a full table refuses new flows and keeps the old ones is part of it.

use anyhow::{Context, Result, ensure};

use crate::figure::{Case, Figure, Metric};
use crate::fresh::{self, Fresh};
use crate::path::{Path, Range};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

/// What the tables are configured for: a third of the flows that can be offered, so that they are full in the end.
const CONFIGURED: u32 = 65_536;
/// Flows that are offered at a time until the first refusal: that figure's error.
const STEP: u32 = 1000;
/// The same from then on, when each step waits for replies that do not come. Fewer than the 8,192 that may be half open.
const WIDE: u32 = 5000;
/// A step of which one flow of so many is taken adds nearly nothing.
const NEARLY_NOTHING: u64 = 50;

/// What was found.
struct Held {
    /// The greatest number of flows offered of which all were validated.
    all: u32,
    /// The most that were validated at a time.
    most: u64,
    /// So many had been offered then.
    offered: u32,
}

/// Measures ours. Both our datapaths have the same tables, so one stands for both.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    for subject in run.wanted(&[Subject::Nftables, Subject::Flowtable]) {
        let why = "conntrack ends flows that it may end when it is full, and holds nf_conntrack_max, which is the machine's own to set";
        run.miss(format!("capacity of {subject}"), why);
    }
    for subject in run.wanted(&[Subject::Einat]) {
        run.miss(format!("capacity of {subject}"), "its tables are fixed when it is built");
    }
    let ours = run.wanted(&[Subject::Tc, Subject::Xdp]);
    let Some((first, others)) = ours.split_first() else { return Ok(()) };
    for other in others {
        run.miss(format!("capacity of {other}"), format!("its tables are those of {first}"));
    }
    run.say(&format!("capacity: setting up {first}"));
    for mut rig in run.set_up(&[*first], Setting { capacity: CONFIGURED, ..Setting::pool() })? {
        let figure = |what: &str| Figure::new(Metric::Capacity, Case::of(format!("{CONFIGURED} configured, {what}")), rig.subject);
        let (mut all, mut most) = (figure("all offered were validated"), figure("the most held"));
        match fill(run, &mut rig.path) {
            Ok(held) => {
                let share = |flows: u64| Some(flows as f64 / f64::from(CONFIGURED) * 100.0);
                all.samples.push(share(held.all.into()));
                most.samples.push(share(held.most));
                let Held { all, most, offered } = held;
                run.say(&format!(
                    "capacity: all of {all} flows were validated; of {offered} offered {most} were held, and the rest refused"
                ));
            }
            Err(error) => {
                run.go_on()?;
                fresh::void(&mut all, &error);
                most.samples.push(None);
            }
        }
        run.record([all, most]);
    }
    Ok(())
}

/// Offers flows until no more are taken.
fn fill(run: &Run<'_>, path: &mut Path) -> Result<Held> {
    let mut fresh = Fresh::default();
    let mut steps = Vec::new();
    let mut all = None;
    loop {
        run.go_on()?;
        let step = fresh.next(if all.is_none() { STEP } else { WIDE }).context("the tables were not full yet")?;
        let taken = path.offer(run.cpu, step)?.replies;
        if taken < u64::from(step.flows) && all.is_none() {
            let (before, validated) = (offered(&steps), validate(run, path, &steps)?);
            ensure!(
                validated == u64::from(before),
                "of {before} flows that were taken {validated} were left when the next ones were offered"
            );
            run.say(&format!("capacity: the first refusals after {before} flows"));
            all = Some(before);
        }
        if all.is_some() {
            run.say(&format!("capacity: of {} more flows {taken} were taken", step.flows));
        }
        steps.push(step);
        if let Some(all) = all
            && taken * NEARLY_NOTHING <= u64::from(step.flows)
        {
            let offered = offered(&steps);
            let most = validate(run, path, &steps)?;
            let still = validate(run, path, &steps)?;
            ensure!(still >= most, "of {most} flows only {still} were left when more were offered");
            ensure!(most < u64::from(offered), "all of {offered} flows were held: the tables were not full");
            return Ok(Held { all, most, offered });
        }
    }
}

fn offered(steps: &[Range]) -> u32 {
    steps.iter().map(|step| step.flows).sum()
}

/// How many of the flows are answered. Those that are not there are thereby offered once more, to tables that are full.
fn validate(run: &Run<'_>, path: &mut Path, steps: &[Range]) -> Result<u64> {
    let mut replies = 0;
    for step in steps {
        run.go_on()?;
        replies += path.offer(run.cpu, *step)?.replies;
    }
    Ok(replies)
}
