//! `cargo xtask setup`: what building the BPF object and running the tests need, brought onto a fresh Debian machine.
//!
//! Everything goes into one directory of the project's own ([`tools::Tools`]); only Debian packages touch the system.
//! The daemon's build script reads what was found from the file `env` in that directory.

mod linker;
mod packages;
mod rust_src;
mod toolchain;
mod tools;

use anyhow::Result;

use crate::progress::Progress;
use toolchain::Toolchain;
use tools::Tools;

/// What `setup` is asked for.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Bring clippy and rustfmt too, which .ci/run needs.
    #[arg(long)]
    ci: bool,
    /// Bring what only the bench runs too.
    #[arg(long)]
    bench: bool,
}

impl Arguments {
    /// What `cargo xtask bench` needs.
    pub fn for_bench() -> Self {
        Self { bench: true, ..Self::default() }
    }
}

/// Brings everything, or says what is missing and what to do by hand.
///
/// # Errors
/// When something that the build needs cannot be had.
pub fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress::start();
    let tools = Tools::open()?;
    // Two clones may set up at the same time: the second waits, and then finds everything done.
    let _lock = tools.lock()?;
    let toolchain = Toolchain::detect()?;
    // First, since the steps below call programs that a minimal system may lack.
    packages::ensure(&progress, &tools, arguments.bench)?;
    let rust_src = rust_src::ensure(&progress, &tools, &toolchain)?;
    let linker = linker::ensure(&progress, &tools, &toolchain)?;
    if arguments.ci {
        toolchain.ensure_component(&progress, &tools, "clippy", "cargo-clippy")?;
        toolchain.ensure_component(&progress, &tools, "rustfmt", "cargo-fmt")?;
    }
    tools.write_env(&linker, rust_src.as_deref())?;
    progress.say(format_args!("setup: ready (rustc {}, {})", toolchain.release, tools.env_file().display()));
    Ok(())
}
