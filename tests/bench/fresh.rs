//! New flows: how they are opened, and what one costs.

use anyhow::{Context, Result, bail};
use gateway_ebpf::bench::{BLOCK, FLOWS, HOSTS, PORTS};

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

/// Opens every flow of the range by one packet, and gives what one adds in CPU nanoseconds. Each is then answered, which shows that it is
/// there (RFC 9693 section 4.6).
///
/// # Errors
/// When a packet or a reply is wrong or missing: the run is void.
pub fn open(run: &Run<'_>, door: &mut Path, rig: &mut Rig, range: Range) -> Result<f64> {
    let before = generator(door, run.cpu, range.flows, range.flows)?;
    let during = rig.path.measure(run.cpu, range, range.flows).context("the flows' first packets")?;
    let after = generator(door, run.cpu, range.flows, range.flows)?;
    rig.path.converse(run.cpu, range).context("validating the flows")?;
    Ok(during - (before + after) / 2.0)
}
