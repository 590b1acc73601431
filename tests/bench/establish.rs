//! RFC 9693, the metrics that only a stateful gateway has.
//!
//! The RFC searches for the highest rate without loss. Here generator and gateway share one CPU, so the generator cannot outrun the
//! gateway and nothing is lost: the rate is the inverse of the CPU time that a new flow takes, by one core. Flows are UDP, one packet each
//! (section 4.5), then validated by packets from the other side (section 4.6).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gateway_tests::wait::wait_until;

use crate::figure::{Case, Figure, Metric};
use crate::fresh::{self, Fresh};
use crate::path::{Path, Range};
use crate::policy;
use crate::rig::{Rig, mode};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

const SUBJECTS: [Subject; 5] = [Subject::Nftables, Subject::Flowtable, Subject::Einat, Subject::Tc, Subject::Xdp];
/// New flows per round. Ours has room for 32,768 that are not answered yet.
const FLOWS: u32 = 20_000;
/// Flows that are opened to be ended.
const TORN: u32 = 100_000;
/// How often conntrack is flushed.
const TEARS: usize = 3;
/// What the tables are configured for when their capacity is looked for.
const SMALL: u32 = 65_536;
/// Until the sweep has ended everything.
const SWEPT: Duration = Duration::from_secs(120);

/// Measures all three.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    rate(run)?;
    capacity(run)?;
    if run.full {
        tear_down(run)
    } else {
        // It waits for several of the daemon's sweeps.
        run.miss("the tear-down rate", "only --full takes the time");
        Ok(())
    }
}

fn rate(run: &Run<'_>) -> Result<()> {
    // Ten times as many flows can be told apart.
    let rounds = if run.full { 10 } else { 5 };
    let setting = Setting::pool();
    run.say("new flows: setting up");
    let mut door = Path::door(run.tools.object, setting)?;
    let mut rigs = run.set_up(&run.wanted(&SUBJECTS), setting)?;
    let case = Case::of("v4-pool-64");
    let mut figures: Vec<Figure> = rigs.iter().map(|rig| Figure::new(Metric::EstablishmentNs, case.clone(), rig.subject)).collect();
    let mut fresh = Fresh::default();
    for round in 0..rounds {
        let range = fresh.next(FLOWS)?;
        for place in 0..rigs.len() {
            run.go_on()?;
            let number = (place + round) % rigs.len();
            // Flows can be new only once, so a void run is not repeated.
            let outcome = fresh::open(run, &mut door, &mut rigs[number], range);
            figures[number].samples.push(outcome.as_ref().ok().copied());
            figures[number].void.extend(outcome.err().map(|error| format!("{error:#}")));
        }
        run.say(&format!("new flows: round {} of {rounds}", round + 1));
    }
    for figure in figures {
        let rates = figure.samples.iter().map(|sample| sample.map(|ns| 1e9 / ns)).collect();
        run.record([Figure { metric: Metric::EstablishmentRate, samples: rates, ..figure.clone() }, figure]);
    }
    Ok(())
}

/// Section 4.9, for our daemon: refused flows stay refused, so what is held is what was answered. conntrack evicts instead, and its
/// capacity is a number that the machine was given.
fn capacity(run: &Run<'_>) -> Result<()> {
    let setting = Setting { capacity: SMALL, ..Setting::masquerade() };
    for mut rig in run.set_up(&run.wanted(&[Subject::Tc]), setting)? {
        // As many as may be half open at a time.
        let step = SMALL / 8;
        let offered = SMALL + SMALL / 4;
        let pass = |rig: &mut Rig| -> Result<u64> {
            let ranges = (0..offered).step_by(step as usize).map(|first| Range { first, flows: step });
            ranges.map(|range| Ok(rig.path.offer(run.cpu, range)?.replies)).sum()
        };
        let held = pass(&mut rig)?;
        let still = pass(&mut rig)?;
        ensure!(still >= held, "of {held} flows only {still} were left when more were offered");
        let case = Case::of(format!("{SMALL} configured, {offered} offered"));
        let share = held as f64 / f64::from(SMALL) * 100.0;
        run.record([Figure::with(Metric::Capacity, case, rig.subject, vec![Some(share)])]);
        run.say(&format!("capacity: {} holds {held} flows, configured for {SMALL}", rig.subject));
    }
    Ok(())
}

/// Section 4.8: all flows are ended, and the time of the same with an empty table is subtracted. With nftables that is `conntrack -F`;
/// ours ends flows by its sweep, whose CPU time is taken after the idle timeout was lowered to a second.
fn tear_down(run: &Run<'_>) -> Result<()> {
    let case = Case::of(format!("{TORN} flows"));
    for mut rig in run.set_up(&run.wanted(&[Subject::Nftables, Subject::Tc]), Setting::masquerade())? {
        let mut figure = Figure::new(Metric::TearDownRate, case.clone(), rig.subject);
        // A sweep comes every five seconds, and has to see the flows first.
        let times = if rig.subject.is_ours() { 1 } else { TEARS };
        for _ in 0..times {
            run.go_on()?;
            let seconds = if rig.subject.is_ours() { sweep(run, &mut rig) } else { flush(run, &mut rig) }
                .with_context(|| format!("ending flows of {}", rig.subject));
            figure.samples.push(seconds.as_ref().ok().map(|seconds| f64::from(TORN) / seconds));
            figure.void.extend(seconds.err().map(|error| format!("{error:#}")));
        }
        run.say(&format!("tear-down: {} measured", rig.subject));
        run.record([figure]);
    }
    Ok(())
}

fn flush(run: &Run<'_>, rig: &mut Rig) -> Result<f64> {
    let time = |rig: &Rig| -> Result<f64> {
        let begin = Instant::now();
        rig.path.network.gateway.run("conntrack", &["-F"])?;
        Ok(begin.elapsed().as_secs_f64())
    };
    time(rig)?;
    let empty = time(rig)?;
    rig.path.converse(run.cpu, Range::of(TORN))?;
    let full = time(rig)?;
    ensure!(full > empty, "flushing {TORN} flows took no longer than flushing none");
    Ok(full - empty)
}

fn sweep(run: &Run<'_>, rig: &mut Rig) -> Result<f64> {
    let mode = mode(rig.subject).context("a mode")?;
    let setting = rig.setting;
    let Rig { daemon, path, .. } = rig;
    let daemon = daemon.as_ref().context("a daemon")?;
    daemon.reload(&path.network.gateway, &policy::gateway(&setting, mode, 1, None))?;
    path.converse(run.cpu, Range::of(TORN))?;
    let used = || -> Result<u64> {
        let status = daemon.ask(&path.network.gateway, "status")?;
        let tables = status["tables"].as_array().context("status without tables")?;
        let flows = tables.iter().filter(|table| table["name"].as_str().is_some_and(|name| name.starts_with("flows")));
        Ok(flows.filter_map(|table| table["used"].as_u64()).sum())
    };
    // The sweep is what counts them, so it has to have seen them first.
    wait_until(SWEPT, "the sweep to have seen all flows", || Ok(used()? >= u64::from(TORN)))?;
    let before = daemon.cpu_time()?;
    daemon.reload(&path.network.gateway, &policy::gateway(&setting, mode, 1, Some("1s")))?;
    wait_until(SWEPT, "the sweep to have ended all flows", || Ok(used()? == 0))?;
    Ok((daemon.cpu_time()? - before).as_secs_f64())
}
