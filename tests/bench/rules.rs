//! What rules cost: replacing the policy, under traffic, and a new flow against 10, 1,000 and 10,000 rules.

use std::path::Path as FilePath;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use gateway_tests::Namespace;

use crate::clock::CpuClock;
use crate::figure::{Case, Figure, Metric};
use crate::fresh::{self, Fresh};
use crate::path::{Path, Range};
use crate::policy;
use crate::rig::{self, Rig, mode};
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::Setting;

/// Numbers of firewall rules. Only the last one matches.
const RULES: [usize; 3] = [10, 1000, 10_000];
/// New flows per measurement: nftables takes a third of a millisecond for each against 10,000 rules.
const FLOWS: u32 = 2000;
/// Established flows that go on while the policy is replaced.
const GOING: u32 = 1000;
/// Packets of one run of the generator meanwhile: a few milliseconds.
const PACKETS: u32 = 16 * 1024;

/// Measures all of it.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    // Three numbers of rules each time, out of 100 times 2,000 fresh flows.
    let rounds = if run.full { 10 } else { 3 };
    let setting = Setting::pool();
    run.say("rules: setting up");
    let mut door = Path::door(run.tools.object, setting)?;
    let mut rigs = run.set_up(&run.wanted(&[Subject::Nftables, Subject::Tc]), setting)?;
    let mut series: Vec<Series> = rigs.iter().flat_map(|rig| RULES.map(|rules| Series::new(rig.subject, rules))).collect();
    let mut fresh = Fresh::default();
    let going = fresh.next(GOING)?;
    for round in 0..rounds {
        for (place, rules) in RULES.into_iter().enumerate() {
            let range = fresh.next(FLOWS)?;
            for (number, rig) in rigs.iter_mut().enumerate() {
                run.go_on()?;
                let series = &mut series[number * RULES.len() + place];
                if series.refused {
                    continue;
                }
                match replace(run, rig, rules, going) {
                    Ok((milliseconds, lost)) => {
                        series.reload.samples.push(Some(milliseconds));
                        series.lost.samples.push(Some(lost as f64));
                    }
                    Err(error) => {
                        series.refused = true;
                        run.miss(format!("{} with {rules} rules", rig.subject), reason(&format!("{error:#}")));
                        continue;
                    }
                }
                let opened = fresh::open(run, &mut door, rig, range);
                series.new_flow.samples.push(opened.as_ref().ok().copied());
                series.new_flow.void.extend(opened.err().map(|error| format!("{error:#}")));
            }
        }
        run.say(&format!("rules: round {} of {rounds}", round + 1));
    }
    for series in series.into_iter().filter(|series| !series.refused) {
        run.record([series.reload, series.lost, series.new_flow]);
    }
    Ok(())
}

struct Series {
    reload: Figure,
    lost: Figure,
    new_flow: Figure,
    /// The subject does not take so many rules.
    refused: bool,
}

impl Series {
    fn new(subject: Subject, rules: usize) -> Self {
        let figure = |metric| Figure::new(metric, Case::of(format!("{rules} rules")), subject);
        Self { reload: figure(Metric::Reload), lost: figure(Metric::ReloadLost), new_flow: figure(Metric::NewFlowNs), refused: false }
    }
}

/// Replaces the rules while established flows go on: milliseconds from the command to its answer, and packets lost.
fn replace(run: &Run<'_>, rig: &mut Rig, rules: usize, going: Range) -> Result<(f64, u64)> {
    rig.path.converse(run.cpu, going).context("keeping flows alive")?;
    let room = Namespace::existing(rig.path.network.gateway.name());
    let Rig { path, daemon, subject, setting, .. } = rig;
    let files = run.tools.files;
    let reload = || -> Result<f64> {
        match (daemon.as_ref(), mode(*subject)) {
            (Some(daemon), Some(mode)) => {
                let text = policy::gateway(setting, mode, rules, None);
                let begin = Instant::now();
                daemon.reload(&room, &text)?;
                Ok(begin.elapsed().as_secs_f64() * 1000.0)
            }
            _ => nftables(&room, files, &policy::nftables(setting, false, rules)),
        }
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| keep_going(run.cpu, path, going, &done));
        let milliseconds = reload();
        done.store(true, Ordering::Relaxed);
        let lost = traffic.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((milliseconds?, lost.context("the flows that go on")?))
    })
}

/// Sends until told to stop, and then once more: what the new rules make of the flows counts too.
fn keep_going(cpu: &CpuClock, path: &mut Path, going: Range, done: &AtomicBool) -> Result<u64> {
    let mut lost = 0;
    loop {
        let last = done.load(Ordering::Relaxed);
        lost += path.lose(cpu, going, PACKETS)?;
        if last {
            return Ok(lost);
        }
    }
}

/// Replaces the table in one transaction.
fn nftables(room: &Namespace, files: &FilePath, rules: &str) -> Result<f64> {
    let text = format!("table ip bench {{}}\ndelete table ip bench\n{rules}");
    let begin = Instant::now();
    rig::nftables(room, files, &text)?;
    Ok(begin.elapsed().as_secs_f64() * 1000.0)
}

/// An error of the policy names a place in a file that is gone by the time somebody reads this.
fn reason(text: &str) -> &str {
    let line = text.lines().find(|line| line.contains(".toml:")).or_else(|| text.lines().next()).unwrap_or_default();
    line.split_once(".toml:").and_then(|(_, place)| place.split_once(": ")).map_or(line, |(_, error)| error)
}
