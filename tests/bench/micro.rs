//! Micro-benchmarks: whether a change is one, in seconds.
//!
//! Three kinds. Each loaded program by itself under `BPF_PROG_TEST_RUN`: nanoseconds, on this machine. Likewise one look-up in each
//! structure that flows could be kept in. And the packet core on the host, by callgrind: instructions, which are the same on a busy
//! machine as on a quiet one, and so show a change of one in a hundred. criterion would measure the time of the host's build, which is
//! neither what runs in the kernel nor repeatable on a shared machine; iai-callgrind counts as callgrind does, but wants a runner of
//! exactly its version installed beside.

mod core;
mod programs;
mod structures;

use anyhow::Result;

use crate::run::Run;

pub use self::core::CoreCase;

/// Measures all of it.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    core::run(run)?;
    programs::run(run)?;
    structures::run(run)
}
