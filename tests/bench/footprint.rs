//! What the daemon itself takes: memory, CPU time at rest, and the time until it forwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use gateway_tests::wait::wait_until;

use crate::choice::Part;
use crate::daemon::Daemon;
use crate::figure::{Case, Figure, Metric};
use crate::fresh;
use crate::path::{Path, Range};
use crate::policy;
use crate::rig::{Rig, mode};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

/// What an IPv4 flow has entries in: both directions, half open or established, and its mapping.
const TABLES: [&str; 4] = ["FLOWS_V4", "HALF_OPEN_V4", "MAPPINGS_V4", "ENDPOINTS_V4"];
/// Flows that are held while the daemon rests.
const HELD: u32 = 100_000;
/// The tables' size of the great measurement, and its flows.
const MILLION: u32 = 1_000_000;
/// How long the daemon is watched at rest in the short form: two of its sweeps, which come every five seconds.
const SHORT: Duration = Duration::from_secs(11);
/// In the long form: several of them.
const REST: Duration = Duration::from_secs(31);
/// With a million flows they take longer and come less often, so that a short time would hold none of them by chance.
const LONG: Duration = Duration::from_secs(61);
/// From the start to a forwarded packet.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures all of it.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    for subject in run.wanted(Part::Footprint.subjects()) {
        start(run, subject)?;
    }
    let Some(subject) = run.wanted(Part::Footprint.subjects()).first().copied() else { return Ok(()) };
    for mut rig in run.set_up(&[subject], Setting::masquerade())? {
        if run.full {
            at_rest(run, &rig, "no flows", REST)?;
        }
        rig.path.converse(run.cpu, Range::of(HELD))?;
        at_rest(run, &rig, &format!("{HELD} flows"), if run.full { REST } else { SHORT })?;
        memory(run, &rig, rig.setting.capacity)?;
    }
    if run.full {
        run.say("a million flows: setting up");
        for mut rig in run.set_up(&[subject], Setting { capacity: MILLION, ..Setting::pool() })? {
            run.say("a million flows: opening them");
            // A packet lost on the way is a flow less: the second round opens it, and has to be whole.
            if let Err(error) = rig.path.converse(run.cpu, Range::of(MILLION)) {
                run.say(&format!("a million flows: once more: {error:#}"));
                rig.path.converse(run.cpu, Range::of(MILLION)).context("holding a million flows")?;
            }
            memory(run, &rig, MILLION)?;
            at_rest(run, &rig, &format!("{MILLION} flows"), LONG)?;
        }
    }
    Ok(())
}

/// From the start of the process to the first packet that arrives.
fn start(run: &Run<'_>, subject: Subject) -> Result<()> {
    let rounds = if run.full { 8 } else { 6 };
    let mode = mode(subject).context("a mode")?;
    let setting = Setting::masquerade();
    let mut samples = Vec::new();
    for round in 1..=rounds {
        run.go_on()?;
        let mut path = Path::through(subject.name(), run.tools.object, setting, subject.expected(&setting))?;
        let begin = Instant::now();
        let daemon = Daemon::launch(&path.network.gateway, run.tools.gateway, run.tools.files, &policy::gateway(&setting, mode, 1, None))?;
        wait_until(PATIENCE, "the first packet to be forwarded", || path.probe(run.cpu))?;
        samples.push(Some(begin.elapsed().as_secs_f64() * 1000.0));
        daemon.wait_ready(&path.network.gateway, mode)?;
        run.say(&format!("start: {subject}: {round} of {rounds}"));
    }
    run.record([Figure::with(Metric::Start, Case::of(format!("tables for {} flows", setting.capacity)), subject, samples)]);
    Ok(())
}

/// CPU time and memory while nothing happens.
fn at_rest(run: &Run<'_>, rig: &Rig, case: &str, rest: Duration) -> Result<()> {
    let daemon = rig.daemon.as_ref().context("a daemon")?;
    let figure = |metric| Figure::new(metric, Case::of(case), rig.subject);
    let (mut idle, mut resident) = (figure(Metric::IdleCpu), figure(Metric::Resident));
    let times = if run.full { 2 } else { 1 };
    for time in 1..=times {
        let (begin, before) = (Instant::now(), daemon.cpu_time()?);
        while begin.elapsed() < rest {
            run.go_on()?;
            // What is measured is this time itself.
            std::thread::sleep(Duration::from_millis(100));
        }
        let share = (daemon.cpu_time()? - before).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
        idle.samples.push(Some(share));
        resident.samples.push(Some(daemon.resident()? as f64 / 1e6));
        run.say(&format!("at rest with {case}: {time} of {times}: {share:.2} % of a core"));
    }
    run.record([idle, resident]);
    Ok(())
}

/// What the kernel says that the tables take, by flow that they are made for.
fn memory(run: &Run<'_>, rig: &Rig, flows: u32) -> Result<()> {
    let maps = rig.daemon.as_ref().context("a daemon")?.maps()?;
    let mut figure = Figure::new(Metric::MemoryPerFlow, Case::of(format!("{flows} flows")), rig.subject);
    // A table that goes by another name now would make flows look cheap.
    match TABLES.iter().map(|name| maps.get(*name).copied().ok_or(*name)).sum::<Result<u64, &str>>() {
        Ok(bytes) => figure.samples.push(Some(bytes as f64 / f64::from(flows))),
        Err(name) => fresh::void(&mut figure, &anyhow!("the daemon has no map named {name}")),
    }
    run.record([figure]);
    Ok(())
}
