//! Packets, in interleaved rounds: within one, the machine's state is nearly the same for everybody.

mod cell;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gateway_ebpf::bench::BLOCK;
use gateway_tests::figures::Sample;

use crate::clock::CpuClock;
use crate::figure::{Case, Figure};
use crate::path::{Path, Range};
use crate::rig::Rig;
use crate::run::Run;
use crate::subject::Subject;
use crate::workload::{Size, Workload};

use cell::Cell;

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
    for round in 0..rounds {
        let mut line = String::new();
        for place in 0..rigs.len() {
            run.go_on()?;
            // Another one begins each round, so that nobody always follows the same neighbour.
            let number = (place + round) % rigs.len();
            let subject = rigs[number].subject;
            run.doing(format!("{case}: round {} of {rounds}, {subject}", round + 1));
            let measured = one(run, door, &mut rigs[number], workload.flows, packets, &mut cells[number])?;
            line += &format!(" {subject}={}", cells[number].show(measured));
        }
        run.say(&format!("{case}: round {} of {rounds}, raw added ns:{line}", round + 1));
    }
    let fastest = cells.iter().map(Cell::fastest).fold(f64::INFINITY, f64::min);
    Ok(rigs.iter().zip(cells).map(|(rig, cell)| cell.into_figure(case.clone(), rig.subject, fastest)).collect())
}

/// One measurement, repeated while it is void or unsteady.
fn one(run: &Run<'_>, door: &mut Path, rig: &mut Rig, flows: u32, packets: u32, cell: &mut Cell) -> Result<Option<Sample>> {
    let mut answered = cell.answered;
    let sample = cell.measure(
        || door.measure(run.cpu, Range::of(flows), packets),
        || {
            let during = through(run.cpu, rig, flows, packets, &mut answered);
            if during.is_err() {
                answered = None;
            }
            during
        },
    );
    cell.answered = answered;
    sample
}

/// The generator alone, once.
///
/// # Errors
/// When a packet is wrong or missing.
pub fn generator(door: &mut Path, cpu: &CpuClock, flows: u32, packets: u32) -> Result<f64> {
    door.measure(cpu, Range::of(flows), packets).context("the generator by itself")
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
