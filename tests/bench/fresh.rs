//! New flows: how they are opened, and what one costs.
//!
//! Fresh ones are for measurements that cannot empty the tables between their rounds.

use anyhow::{Context, Error, Result, bail};
use gateway_ebpf::bench::{BLOCK, FLOWS, HOSTS, PORTS};
use gateway_tests::figures::Sample;

use crate::figure::Figure;
use crate::path::{Path, Range};
use crate::rig::Rig;
use crate::rounds::generator;
use crate::run::Run;

/// Flows of a block that have an internal endpoint of their own; the others share it, and so its mapping.
const ENDPOINTS: u32 = HOSTS * PORTS;

/// Hands out flows that nobody has seen yet, each with an endpoint of its own, so that each needs a mapping too.
#[derive(Default)]
pub struct Fresh {
    block: u32,
    used: u32,
}

impl Fresh {
    /// The next so many.
    ///
    /// # Errors
    /// When there are no more.
    pub fn next(&mut self, flows: u32) -> Result<Range> {
        if self.used + flows > ENDPOINTS {
            self.block += 1;
            self.used = 0;
        }
        if flows > ENDPOINTS || (self.block + 1) * BLOCK > FLOWS {
            bail!("no fresh flows are left");
        }
        let first = self.block * BLOCK + self.used;
        self.used += flows;
        Ok(Range { first, flows })
    }
}

/// Opens every flow of the range by one packet, between two runs of the generator alone. Each is then answered, which shows that it is
/// there (RFC 9693 section 4.6).
///
/// # Errors
/// When a packet or a reply is wrong or missing: the run is void.
pub fn open(run: &Run<'_>, door: &mut Path, rig: &mut Rig, range: Range) -> Result<Sample> {
    let before = generator(door, run.cpu, range.flows, range.flows)?;
    let during = rig.path.measure(run.cpu, range, range.flows).context("the flows' first packets")?;
    let after = generator(door, run.cpu, range.flows, range.flows)?;
    rig.path.converse(run.cpu, range).context("validating the flows")?;
    Ok(Sample { before, during, after })
}

/// Adds a round's outcome to the figure of the CPU nanoseconds that a new flow takes. Unscaled: the generator's own runs are too short here
/// to tell the machine's speed to a few parts of a hundred.
pub fn keep(figure: &mut Figure, outcome: Result<Sample>) {
    match outcome {
        Ok(sample) => {
            figure.unsteady += u32::from(!sample.is_steady());
            figure.samples.push(Some(sample.during - (sample.before + sample.after) / 2.0));
            figure.raw.push(Some([sample.before, sample.during, sample.after]));
        }
        Err(error) => void(figure, &error),
    }
}

/// Adds a round that does not count, and says why.
pub fn void(figure: &mut Figure, error: &Error) {
    figure.samples.push(None);
    figure.void.push(format!("{error:#}"));
}
