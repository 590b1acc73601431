//! `cargo xtask package`: the gateway for Debian routers as a package, and for any other Linux as a tarball with a static program.
//!
//! What both carry besides the program is in `gateway-daemon/packaging/`; manual pages and completions are written by the program itself.

mod deb;
mod root;
mod staged;
mod tarball;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::progress::Progress;
use crate::setup::{self, Packaging};
use crate::shell::{answer, cargo, root, target_directory};
use crate::{product, test};
use staged::Staged;

/// What `package` is asked for.
///
/// Builds `target/package/gateway_<version>_<arch>.deb`, to be installed with `apt install ./…`, and `gateway-<version>-<arch>-linux.tar.gz`,
/// to be unpacked into /usr/local.
#[derive(clap::Args)]
pub struct Arguments {
    /// Then install, use, upgrade and remove them in a Debian system of their own, booted in a container. Needs root.
    #[arg(long)]
    test: bool,
}

/// Names the directory that the tests find everything in; see [`for_tests`].
pub const TEST_DIRECTORY: &str = "GATEWAY_PACKAGE_DIR";

/// Builds, prints what was made, and tests it when asked to.
///
/// # Errors
/// When something does not build. What the tests find is the exit code's to tell.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let progress = Progress::start();
    let made = Made::build(&progress)?;
    for path in [&made.deb, &made.tarball] {
        let size = path.metadata().with_context(|| format!("no {}", path.display()))?.len();
        println!("{}  {:.1} MB", path.display(), size as f64 / 1e6);
    }
    if !arguments.test {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(rustix::process::geteuid().is_root(), "the test boots a container, which needs root");
    let directory = made.with_what_tests_need(&progress)?;
    progress.say("test: installing, using, upgrading and removing it in a container");
    let status = cargo()
        .args(["test", "-p", "gateway-tests", "--test", "package", "--", "--include-ignored", "--test-threads", test::THREADS])
        .env(TEST_DIRECTORY, directory)
        .status()
        .context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds everything that `tests/package` works with, and says which directory it is in: `gateway.deb`, `next.deb` (the same with a higher
/// revision), `gateway.tar.gz`, and `root.tar`, a Debian system without the gateway.
///
/// # Errors
/// When something cannot be had.
pub fn for_tests(progress: &Progress) -> Result<PathBuf> {
    Made::build(progress)?.with_what_tests_need(progress)
}

/// What was made.
struct Made {
    directory: PathBuf,
    packaging: Packaging,
    deb: PathBuf,
    tarball: PathBuf,
}

impl Made {
    fn build(progress: &Progress) -> Result<Self> {
        setup::run(&setup::Arguments::default())?;
        let packaging = setup::packaging(progress)?;
        let directory = target_directory().join("package");
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        progress.say("build: the gateway (release)");
        let program = product::build("gateway-daemon", ["--bin", "gateway"])?;
        let staged = Staged::by(&program)?;
        let deb = deb::build(progress, &packaging.cargo_deb, &directory, 1)?;
        let tarball = tarball::build(progress, packaging.musl.as_deref(), &staged, &directory)?;
        Ok(Self { directory, packaging, deb, tarball })
    }

    fn with_what_tests_need(&self, progress: &Progress) -> Result<PathBuf> {
        let directory = self.directory.join("test");
        std::fs::create_dir_all(&directory)?;
        let next = deb::build(progress, &self.packaging.cargo_deb, &directory, 2)?;
        let root = root::tar(progress)?;
        for (name, path) in [("gateway.deb", &self.deb), ("next.deb", &next), ("gateway.tar.gz", &self.tarball), ("root.tar", &root)] {
            let link = directory.join(name);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(path, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
        Ok(directory)
    }
}

/// The time that everything in the packages is dated with, in seconds since 1970: that of the last commit, so that the same tree gives
/// the same packages. `None` outside of git.
fn epoch() -> Option<String> {
    answer("git", &["-C", &root().to_string_lossy(), "log", "-1", "--format=%ct"]).ok()
}

/// A file of `gateway-daemon/packaging/`.
fn source(relative: &str) -> PathBuf {
    root().join("gateway-daemon/packaging").join(relative)
}

/// Copies one file, with the directories that it needs.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().context("a file without a directory")?;
    std::fs::create_dir_all(directory)?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
