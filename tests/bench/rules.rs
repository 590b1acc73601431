//! What rules cost: replacing the policy, under traffic, and a new flow against 10, 1,000 and 10,000 rules.
//!
//! Each replacement begins with the same policy in force, of one rule, which is put there untimed: freeing the rules before is part of it, and
//! would otherwise be charged to whoever comes after 10,000 of them.

use std::path::Path as FilePath;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Error, Result};
use gateway_tests::Namespace;

use crate::clock::CpuClock;
use crate::daemon::Refused;
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
    let rounds = if run.full { 12 } else { 6 };
    let setting = Setting::pool();
    run.say("rules: setting up");
    let mut door = Path::door(run.tools.object, setting)?;
    let mut rigs = run.set_up(&subjects(run), setting)?;
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
                let outcome = match replace(run, rig, rules, going) {
                    Ok((milliseconds, lost)) => {
                        series.reload.samples.push(Some(milliseconds));
                        series.lost.samples.push(Some(lost as f64));
                        fresh::keep(&mut series.new_flow, fresh::open(run, &mut door, rig, range));
                        format!("{milliseconds:.1} ms, {lost} packets lost")
                    }
                    // What was measured before stays: a policy that was taken once is taken again, or something is wrong.
                    Err(error) => match error.downcast_ref::<Refused>() {
                        Some(Refused(why)) => {
                            series.refused = true;
                            run.miss(format!("{} with {rules} rules", rig.subject), why);
                            continue;
                        }
                        None => {
                            series.void(&error);
                            format!("void: {error:#}")
                        }
                    },
                };
                run.say(&format!("rules: round {} of {rounds}: {}, {rules} rules: {outcome}", round + 1, rig.subject));
            }
        }
    }
    for series in series {
        run.record(series.into_figures());
    }
    Ok(())
}

/// Both our datapaths open flows by the same programs, at tc: one stands for both.
fn subjects(run: &Run<'_>) -> Vec<Subject> {
    let ours = run.wanted(&[Subject::Tc, Subject::Xdp]);
    for other in ours.iter().skip(1) {
        run.miss(format!("rules of {other}"), format!("new flows are those of {} there too", ours[0]));
    }
    let mut subjects = run.wanted(&[Subject::Nftables]);
    subjects.extend(ours.first());
    subjects
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

    /// A round in which something was wrong: nothing of it counts.
    fn void(&mut self, error: &Error) {
        fresh::void(&mut self.reload, error);
        // Rounds that are void for one reason name it once.
        self.lost.samples.push(None);
        self.new_flow.samples.push(None);
    }

    /// None of a subject that has taken no such policy even once.
    fn into_figures(self) -> impl Iterator<Item = Figure> {
        [self.reload, self.lost, self.new_flow].into_iter().filter(|figure| !figure.samples.is_empty())
    }
}

/// Replaces the rules while established flows go on: milliseconds from the command to its answer, and packets lost.
fn replace(run: &Run<'_>, rig: &mut Rig, rules: usize, going: Range) -> Result<(f64, u64)> {
    let room = Namespace::existing(rig.path.network.gateway.name());
    let Rig { path, daemon, subject, setting, .. } = rig;
    let files = run.tools.files;
    let reload = |rules: usize| -> Result<f64> {
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
    reload(1).context("the policy that is to be replaced")?;
    path.converse(run.cpu, going).context("keeping flows alive")?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| keep_going(run.cpu, path, going, &done));
        let milliseconds = reload(rules);
        done.store(true, Ordering::Relaxed);
        let lost = traffic.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A wrong packet says more than a policy that was not taken.
        let lost = lost.context("the flows that go on")?;
        Ok((milliseconds?, lost))
    })
}

/// Sends until told to stop, and then once more, answered: what the new rules make of the flows counts too, both ways.
fn keep_going(cpu: &CpuClock, path: &mut Path, going: Range, done: &AtomicBool) -> Result<u64> {
    let mut lost = 0;
    loop {
        let last = done.load(Ordering::Relaxed);
        lost += path.lose(cpu, going, PACKETS)?;
        if last {
            let counts = path.offer(cpu, going)?;
            return Ok(lost + (counts.sent - counts.replies));
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
