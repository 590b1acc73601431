//! Packets, in interleaved rounds: within one, the machine's state is nearly the same for everybody.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gateway_ebpf::bench::BLOCK;
use gateway_tests::figures::Sample;

use crate::clock::CpuClock;
use crate::figure::{Case, Figure, Metric};
use crate::path::{Path, Range};
use crate::rig::Rig;
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::{Size, Workload};

/// How often a measurement is repeated: when packets were lost, or the machine changed its speed meanwhile.
const TRIES: u32 = 6;

/// After so many rounds that stayed void from the beginning, the rest counts as void.
const GIVE_UP: usize = 2;

/// How many packets XDP may leave to tc before a run of the XDP datapath is void, of a thousand: a complete checksum that looks like a
/// partial one is tc's, once in 65,536 flows.
const XDP_MISSES_PER_MILLE: u64 = 2;

/// Flows are answered anew after this long, so that nobody's idle timeout ends them between two rounds.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rounds; each measures everything once.
    pub rounds: usize,
    /// Small packets per measurement.
    pub packets: u32,
}

impl Extent {
    fn rounds_of(self, workload: &Workload) -> usize {
        // A million flows have to be opened first.
        if workload.flows > BLOCK { self.rounds.div_ceil(2) } else { self.rounds }
    }

    fn packets_of(self, workload: &Workload) -> u32 {
        let packets = if workload.size == Size::Large { self.packets / 4 } else { self.packets };
        packets.max(workload.flows)
    }
}

/// Measures every rig with one workload.
///
/// # Errors
/// When the generator itself does not work, or on Ctrl-C.
pub fn measure(run: &Run<'_>, door: &mut Path, rigs: &mut [Rig], workload: &Workload, extent: Extent) -> Result<Vec<Figure>> {
    let case = Case::of(workload);
    let mut cells: Vec<Cell> = rigs.iter().map(|_| Cell::default()).collect();
    let rounds = extent.rounds_of(workload);
    let packets = extent.packets_of(workload);
    door.prepare(workload.size);
    for rig in &mut *rigs {
        rig.path.prepare(workload.size);
    }
    let begin = Instant::now();
    let mut last = String::new();
    for round in 0..rounds {
        last.clear();
        for place in 0..rigs.len() {
            run.go_on()?;
            // Another one begins each round, so that nobody always follows the same neighbour.
            let number = (place + round) % rigs.len();
            let measured = one(run, door, &mut rigs[number], workload.flows, packets, &mut cells[number])?;
            let added = measured.map_or("void".to_owned(), |s| format!("{:.0}", s.during - (s.before + s.after) / 2.0));
            last += &format!(" {}={added}", rigs[number].subject);
            cells[number].samples.push(measured);
        }
        if round == 0 {
            run.say(&format!("{case}: {rounds} rounds, about {:.0} s", begin.elapsed().as_secs_f32() * rounds as f32));
        }
    }
    run.say(&format!("{case}: last round, raw added ns:{last}"));
    let of = |cell: &Cell| cell.samples.iter().flatten().map(|s| (s.before + s.after) / 2.0).fold(f64::INFINITY, f64::min);
    let fastest = cells.iter().map(of).fold(f64::INFINITY, f64::min);
    Ok(rigs.iter().zip(cells).map(|(rig, cell)| cell.into_figure(case.clone(), rig.subject, fastest)).collect())
}

#[derive(Default)]
struct Cell {
    samples: Vec<Option<Sample>>,
    voids: Vec<String>,
    unsteady: u32,
    /// When its flows were last answered.
    answered: Option<Instant>,
}

impl Cell {
    fn into_figure(self, case: Case, subject: Subject, fastest: f64) -> Figure {
        Figure {
            samples: self.samples.iter().map(|sample| sample.map(|sample| sample.added(fastest))).collect(),
            raw: self.samples.iter().map(|sample| sample.map(|s| [s.before, s.during, s.after])).collect(),
            void: self.voids,
            unsteady: self.unsteady,
            ..Figure::new(Metric::AddedNs, case, subject)
        }
    }
}

/// One measurement, repeated while it is void or unsteady. The last valid one counts even when unsteady: it is scaled, and the median
/// bears with it.
fn one(run: &Run<'_>, door: &mut Path, rig: &mut Rig, flows: u32, packets: u32, cell: &mut Cell) -> Result<Option<Sample>> {
    // What was void twice over will not become valid by trying on, and takes the time of everybody else.
    if cell.samples.len() >= GIVE_UP && cell.samples.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut valid = None;
    for _ in 0..TRIES {
        let before = generator(door, run.cpu, flows, packets)?;
        let during = match through(run.cpu, rig, flows, packets, &mut cell.answered) {
            Ok(during) => during,
            Err(error) => {
                cell.voids.push(format!("{error:#}"));
                cell.answered = None;
                continue;
            }
        };
        let after = generator(door, run.cpu, flows, packets)?;
        let sample = Sample { before, during, after };
        valid = Some(sample);
        if sample.is_steady() {
            break;
        }
        cell.unsteady += 1;
    }
    Ok(valid)
}

/// The generator alone.
///
/// # Errors
/// When it does not work.
pub fn generator(door: &mut Path, cpu: &CpuClock, flows: u32, packets: u32) -> Result<f64> {
    let mut last = None;
    for _ in 0..TRIES {
        match door.measure(cpu, Range::of(flows), packets) {
            Ok(cost) => return Ok(cost),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no tries")?).context("the generator by itself does not work")
}

fn through(cpu: &CpuClock, rig: &mut Rig, flows: u32, packets: u32, answered: &mut Option<Instant>) -> Result<f64> {
    let range = Range::of(flows);
    if rig.subject.has_flows() && answered.is_none_or(|at| at.elapsed() > KEEP_ALIVE) {
        rig.path.converse(cpu, range).context("opening the flows")?;
        *answered = Some(Instant::now());
    }
    if rig.subject != Subject::Xdp {
        return rig.path.measure(cpu, range, packets);
    }
    let before = rig.path.redirected_by_xdp()?;
    let cost = rig.path.measure(cpu, range, packets)?;
    let fast = rig.path.redirected_by_xdp()? - before;
    let missed = u64::from(packets).saturating_sub(fast);
    ensure!(missed * 1000 <= XDP_MISSES_PER_MILLE * u64::from(packets), "XDP left {missed} of {packets} packets to tc");
    Ok(cost)
}
