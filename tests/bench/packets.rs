//! Packets through every subject, setting by setting.

use anyhow::Result;

use crate::path::Path;
use crate::rig;
use crate::rounds::{self, Extent};
use crate::run::Run;
use crate::workload::Workload;

const QUICK: Extent = Extent { rounds: 8, packets: 128 * 1024 };
const FULL: Extent = Extent { rounds: 12, packets: 512 * 1024 };

/// Measures the workloads; those of one setting share one set-up.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>, workloads: &[Workload]) -> Result<()> {
    let extent = if run.full { FULL } else { QUICK };
    for together in workloads.chunk_by(|one, next| one.setting() == next.setting()) {
        let setting = together[0].setting();
        run.say(&format!("packets: setting up {}", rig::describe(&setting)));
        run.doing("setting up the generator's own way");
        let mut door = Path::door(run.tools.object, setting)?;
        let mut rigs = run.set_up(run.subjects, setting)?;
        if rigs.is_empty() {
            continue;
        }
        for workload in together {
            run.record(rounds::measure(run, &mut door, &mut rigs, workload, extent)?);
        }
    }
    Ok(())
}
