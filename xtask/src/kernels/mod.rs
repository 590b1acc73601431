//! What `tests/kernels` boots: kernels of three Debian releases, one small Debian system for all of them, and the workspace's test programs.
//!
//! Everything is in memory once it is booted, so all of it is cpio archives, of which the kernel unpacks several one over another: the system
//! (`guest.cpio`), each kernel's modules (`<kernel>/modules.cpio`) and the tests (`tests.cpio`). What comes from the network is kept with
//! the project's tools.

mod guest;
mod kernel;
mod programs;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::appliance::workshop::enter;

use crate::image;
use crate::progress::Progress;
use crate::setup::{self, Tools};
use crate::shell::{logged, target_directory};
use guest::Guest;

/// Names the directory that `tests/kernels` finds everything in; see [`for_tests`].
pub const TEST_DIRECTORY: &str = "GATEWAY_KERNELS_DIR";

/// The kernels: the name under which the test asks for one, and the Debian release that it comes from.
const KERNELS: [(&str, &str); 3] = [("6.1", "bookworm"), ("6.12", "trixie"), ("newest", "sid")];

/// Where what is kept is, in the tools' directory. The number is raised when what is made of the same packages changes.
const STORE: &str = "kernels/1";

/// Fetches and builds everything, and says which directory it is in. `fresh`: fetch the kernels again, for newer ones.
///
/// # Errors
/// When not root, or when something cannot be had.
pub fn for_tests(progress: &Progress, fresh: bool) -> Result<PathBuf> {
    ensure!(rustix::process::geteuid().is_root(), "what is booted holds files of root, which only root can make; run it as root");
    if std::env::consts::ARCH != "x86_64" {
        bail!("the kernels that are booted, and the tests in them, are for x86_64, and this machine is {}", std::env::consts::ARCH);
    }
    setup::run(&setup::Arguments::for_image())?;
    let workshop = image::workshop(progress)?;
    let tools = Tools::open()?;
    // Two clones may fetch at the same time: the second waits, and then finds everything done.
    let lock = tools.lock()?;
    let guest = Guest::fetch(progress, &tools)?;
    let kernels: Vec<(&str, PathBuf)> = KERNELS
        .iter()
        .map(|(name, suite)| Ok((*name, kernel::fetch(progress, &tools, &guest, name, suite, fresh)?)))
        .collect::<Result<_>>()?;
    drop(lock);
    let directory = target_directory().join("kernels");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let links = [("guest.cpio", guest.archive.clone()), ("workshop", workshop)].into_iter().chain(kernels);
    for (name, target) in links {
        let link = directory.join(name);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&target, &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    programs::archive(progress, &guest, &directory)?;
    Ok(directory)
}

/// Packs the directory `tree` of `work` as `to`, with the guest's own tools.
fn pack(progress: &Progress, guest: &Path, work: &Path, tree: &str, to: &str) -> Result<()> {
    in_guest(progress, guest, work, &format!("(cd '{tree}' && find . -print0 | cpio --null --create --format=newc --quiet) > '{to}'"))
}

/// Runs a shell script in the guest's root, with `work` as its working directory.
fn in_guest(progress: &Progress, guest: &Path, work: &Path, script: &str) -> Result<()> {
    let words = enter(guest, work, "sh", &["-euc", script]);
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]);
    logged(progress, script, &mut command, &work.join("log"), std::time::Duration::from_secs(300))
}

/// Removes what is in a directory, and makes it.
fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory).with_context(|| format!("cannot clear {}", directory.display()))?;
    }
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}
