//! The interleaved rounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use gateway_tests::figures::Sample;

use crate::clock::CpuClock;
use crate::path::Path;
use crate::subject::{Rig, Subject};

/// How often a measurement is repeated: when packets were lost, or the machine changed its speed meanwhile.
const TRIES: u32 = 6;

/// How many packets XDP may leave to tc before a run of the XDP datapath is void, of a thousand: a complete checksum that looks like a
/// partial one is tc's, once in 65,536 flows.
const XDP_MISSES_PER_MILLE: u64 = 2;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rounds; each measures everything once.
    pub rounds: usize,
    /// Packets per measurement.
    pub packets: u32,
}

/// All that was measured of one subject with one number of flows.
pub struct Cell {
    /// The subject.
    pub subject: Subject,
    /// How many flows took turns.
    pub flows: u32,
    /// One per round; `None` where all tries were void.
    pub samples: Vec<Option<Sample>>,
    /// Why tries were void.
    pub voids: Vec<String>,
    /// Tries repeated because the machine changed its speed meanwhile.
    pub unsteady: u32,
}

/// Measures every rig with every number of flows, round by round.
///
/// # Errors
/// When the generator itself does not work, or on Ctrl-C.
pub fn run(
    door: &mut Path,
    rigs: &mut [Rig],
    cpu: &CpuClock,
    flows: &[u32],
    extent: Extent,
    interrupted: &AtomicBool,
    say: &dyn Fn(&str),
) -> Result<Vec<Cell>> {
    let new = |rig: &Rig, flows| Cell { subject: rig.subject, flows, samples: Vec::new(), voids: Vec::new(), unsteady: 0 };
    let mut cells: Vec<Cell> = flows.iter().flat_map(|flows| rigs.iter().map(|rig| new(rig, *flows))).collect();
    let start = Instant::now();
    for round in 0..extent.rounds {
        let mut line = format!("round {} of {}:", round + 1, extent.rounds);
        for (set, flows) in flows.iter().enumerate() {
            line += &format!("  {flows} flows");
            for place in 0..rigs.len() {
                ensure!(!interrupted.load(Ordering::Relaxed), "interrupted");
                // Another one begins each round, so that nobody always follows the same neighbour.
                let number = (place + round) % rigs.len();
                let cell = &mut cells[set * rigs.len() + number];
                let sample = measure(door, &mut rigs[number], cpu, *flows, extent.packets, cell)?;
                line += &sample.map_or(" void".into(), |s| format!(" {:.0}", s.during - (s.before + s.after) / 2.0));
                cell.samples.push(sample);
            }
        }
        let left = start.elapsed().as_secs_f32() / (round + 1) as f32 * (extent.rounds - round - 1) as f32;
        say(&format!("{line}  (about {left:.0} s left)"));
    }
    Ok(cells)
}

/// One measurement, repeated while it is void or unsteady. The last valid one counts even when unsteady: it is scaled, and the median
/// bears with it.
fn measure(door: &mut Path, rig: &mut Rig, cpu: &CpuClock, flows: u32, packets: u32, cell: &mut Cell) -> Result<Option<Sample>> {
    let mut valid = None;
    for _ in 0..TRIES {
        let before = generator(door, cpu, flows, packets)?;
        let during = match subject(rig, cpu, flows, packets) {
            Ok(during) => during,
            Err(error) => {
                cell.voids.push(format!("{error:#}"));
                continue;
            }
        };
        let after = generator(door, cpu, flows, packets)?;
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
fn generator(door: &mut Path, cpu: &CpuClock, flows: u32, packets: u32) -> Result<f64> {
    let mut last = None;
    for _ in 0..TRIES {
        match door.measure(cpu, flows, packets) {
            Ok(cost) => return Ok(cost),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no tries")?).context("the generator by itself does not work")
}

fn subject(rig: &mut Rig, cpu: &CpuClock, flows: u32, packets: u32) -> Result<f64> {
    if rig.has_flows() {
        rig.path.converse(cpu, flows).context("opening the flows")?;
    }
    if rig.subject != Subject::Xdp {
        return rig.path.measure(cpu, flows, packets);
    }
    let before = rig.path.redirected_by_xdp()?;
    let cost = rig.path.measure(cpu, flows, packets)?;
    let fast = rig.path.redirected_by_xdp()? - before;
    let missed = u64::from(packets).saturating_sub(fast);
    ensure!(missed * 1000 <= XDP_MISSES_PER_MILLE * u64::from(packets), "XDP left {missed} of {packets} packets to tc");
    Ok(cost)
}
