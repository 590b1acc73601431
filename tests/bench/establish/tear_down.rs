//! RFC 9693 section 4.8: all flows are ended, and the time that the same takes with an empty table is subtracted, with tables filled in two
//! ways, because the rate may depend on it.
//!
//! The clocks differ, and each case names its own. conntrack has a command that ends everything, and the time is the command's, by the wall.
//! Ours ends flows by its sweep, which comes when it comes: the time is the daemon's CPU time. It takes one core, so both are seconds of one
//! core's work; but the figures stand in cases of their own and no ratio is formed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;
use crate::figure::{Case, Figure, Metric};
use crate::fresh;
use crate::path::Range;
use crate::policy;
use crate::rig::{Rig, mode};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

/// Flows that are opened to be ended.
const FILLS: [u32; 2] = [50_000, 100_000];
/// How often each fill is ended.
const SAMPLES: usize = 3;
/// Until a sweep has come that saw or ended everything.
const SWEPT: Duration = Duration::from_secs(120);
/// Between two questions to the daemon whose CPU time is being taken.
const ASKED: Duration = Duration::from_millis(250);

/// Measures conntrack's and ours. Both our datapaths are swept alike, so one stands for both.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    for subject in run.wanted(&[Subject::Flowtable, Subject::Einat]) {
        run.miss(format!("the tear-down rate of {subject}"), "nothing ends all of its flows at once");
    }
    let ours = run.wanted(&[Subject::Tc, Subject::Xdp]);
    let mut subjects = run.wanted(&[Subject::Nftables]);
    subjects.extend(ours.first());
    for other in ours.iter().skip(1) {
        run.miss(format!("the tear-down rate of {other}"), format!("its tables are swept as those of {} are", ours[0]));
    }
    run.say("tear-down: setting up");
    for mut rig in run.set_up(&subjects, Setting::masquerade())? {
        let clock = if rig.subject.is_ours() { "CPU time of the sweep" } else { "wall clock of conntrack -F" };
        for flows in FILLS {
            let mut figure = Figure::new(Metric::TearDownRate, Case::of(format!("{flows} flows, {clock}")), rig.subject);
            for sample in 0..SAMPLES {
                run.go_on()?;
                let seconds = if rig.subject.is_ours() { sweep(run, &mut rig, flows) } else { flush(run, &mut rig, flows) };
                match seconds.with_context(|| format!("ending flows of {}", rig.subject)) {
                    Ok(seconds) => figure.samples.push(Some(f64::from(flows) / seconds)),
                    Err(error) => {
                        run.go_on()?;
                        fresh::void(&mut figure, &error);
                    }
                }
                run.say(&format!("tear-down: {}, {flows} flows: {} of {SAMPLES}", rig.subject, sample + 1));
            }
            run.record([figure]);
        }
    }
    Ok(())
}

fn flush(run: &Run<'_>, rig: &mut Rig, flows: u32) -> Result<f64> {
    let time = |rig: &Rig| -> Result<f64> {
        let begin = Instant::now();
        rig.path.network.gateway.run("conntrack", &["-F"])?;
        Ok(begin.elapsed().as_secs_f64())
    };
    super::flush(&rig.path.network.gateway)?;
    let empty = time(rig)?;
    rig.path.converse(run.cpu, Range::of(flows))?;
    let full = time(rig)?;
    ensure!(full > empty, "flushing {flows} flows took no longer than flushing none");
    Ok(full - empty)
}

/// What ending the flows takes beyond ending a single one, which stands for an empty table: by its end one sees that the sweep has come.
fn sweep(run: &Run<'_>, rig: &mut Rig, flows: u32) -> Result<f64> {
    let empty = ending(run, rig, 1)?;
    let full = ending(run, rig, flows)?;
    ensure!(full > empty, "ending {flows} flows took the daemon {full:.3} s, and ending one {empty:.3} s");
    Ok(full - empty)
}

/// Opens flows and lets a sweep see them; then the daemon's CPU seconds from lowering the idle timeout to the end of all of them.
fn ending(run: &Run<'_>, rig: &mut Rig, flows: u32) -> Result<f64> {
    let mode = mode(rig.subject).context("a mode")?;
    let setting = rig.setting;
    let Rig { daemon, path, .. } = rig;
    let daemon = daemon.as_ref().context("a daemon")?;
    daemon.reload(&path.network.gateway, &policy::gateway(&setting, mode, 1, None))?;
    path.converse(run.cpu, Range::of(flows))?;
    let held = || held(daemon, &path.network.gateway);
    // The sweep is what counts them, so it has to have seen them first.
    until(run, "the sweep to see all flows", || Ok(held()? >= u64::from(flows)))?;
    let before = daemon.cpu_time()?;
    daemon.reload(&path.network.gateway, &policy::gateway(&setting, mode, 1, Some("1s")))?;
    until(run, "the sweep to end all flows", || Ok(held()? == 0))?;
    Ok((daemon.cpu_time()? - before).as_secs_f64())
}

/// Flows that the last sweep saw.
fn held(daemon: &Daemon, room: &gateway_tests::Namespace) -> Result<u64> {
    let status = daemon.ask(room, "status")?;
    let tables = status["tables"].as_array().context("status without tables")?;
    let flows = tables.iter().filter(|table| table["name"].as_str().is_some_and(|name| name.starts_with("flows")));
    Ok(flows.filter_map(|table| table["used"].as_u64()).sum())
}

/// Asks seldom, because each answer is paid by the daemon whose CPU time is being taken.
fn until(run: &Run<'_>, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !condition()? {
        run.go_on()?;
        ensure!(begin.elapsed() < SWEPT, "waited {} s for {what}, in vain", SWEPT.as_secs());
        sleep(ASKED);
    }
    Ok(())
}
