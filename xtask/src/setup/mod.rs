//! `cargo xtask setup`: what building the BPF object and running the tests need, brought onto a fresh Debian machine.
//!
//! Everything goes into one directory of the project's own ([`tools::Tools`]); only Debian packages touch the system.
//! The daemon's build script reads what was found from the file `env` in that directory.

mod cargo_deb;
mod linker;
mod packages;
mod rust_src;
mod toolchain;
mod tools;

use std::path::PathBuf;

use anyhow::Result;

use crate::progress::Progress;
pub use packages::archives;
use toolchain::Toolchain;
pub use tools::Tools;

/// What `setup` is asked for.
#[derive(clap::Args, Default)]
pub struct Arguments {
    /// Bring clippy and rustfmt too, which .ci/run needs.
    #[arg(long)]
    ci: bool,
    /// Bring what building the image needs too.
    #[arg(long)]
    image: bool,
    /// Bring what trying the package needs too.
    #[arg(long)]
    package_test: bool,
    /// Bring what only the bench runs too.
    #[arg(long)]
    bench: bool,
}

impl Arguments {
    /// What building the image needs.
    pub fn for_image() -> Self {
        Self { image: true, ..Self::default() }
    }

    /// What trying the package needs.
    pub fn for_package_test() -> Self {
        Self { package_test: true, ..Self::default() }
    }

    /// What `cargo xtask bench` needs.
    pub fn for_bench() -> Self {
        Self { bench: true, ..Self::default() }
    }

    fn further_packages(&self) -> Vec<packages::Need> {
        let wanted =
            [(self.image, packages::FOR_IMAGE), (self.package_test, packages::FOR_PACKAGE_TEST), (self.bench, packages::FOR_BENCH)];
        wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).flat_map(|(_, packages)| packages.iter().copied()).collect()
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
    packages::ensure(&progress, &tools, &arguments.further_packages())?;
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

/// What makes packages.
pub struct Packaging {
    /// The program.
    pub cargo_deb: PathBuf,
    /// The target for programs that need no library; `None` where rustup cannot bring it.
    pub musl: Option<String>,
}

/// Brings what making packages needs.
///
/// # Errors
/// When cargo-deb cannot be had.
pub fn packaging(progress: &Progress) -> Result<Packaging> {
    let tools = Tools::open()?;
    let _lock = tools.lock()?;
    let toolchain = Toolchain::detect()?;
    Ok(Packaging { cargo_deb: cargo_deb::ensure(progress, &tools)?, musl: toolchain.musl(progress, &tools) })
}
