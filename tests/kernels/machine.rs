//! The virtual machine: qemu with a kernel and everything else in memory. It has no disk and no network but those that the tests in it make.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gateway_tests::appliance::workshop::enter;
use gateway_tests::{Namespace, Process};
use tempfile::TempDir;

use crate::results::{self, Results};

/// The longest that the plan may take, under emulation, on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(1800);
/// MiB. The root and the test programs take 250 of them, twice while they are unpacked.
const MEMORY: &str = "2048";
/// Unpacked one over another, in this order: the root, the kernel's modules, the tests.
const PARTS: [&str; 3] = ["guest.cpio", "modules.cpio", "tests.cpio"];

/// Boots the kernel `name` of `directory`, waits until it has switched itself off, and tells what its tests said and how long it all took.
///
/// # Errors
/// When it cannot be started, or does not come to its end; with its console.
pub fn run(directory: &Path, name: &str) -> Result<(Results, Duration)> {
    // In the directory, which is on a disk: what is booted has some 250 MB.
    let work = TempDir::with_prefix_in("run-", directory).context("no directory for the machine")?;
    let kernel = directory.join(name);
    link(&kernel.join("vmlinuz"), &work.path().join("vmlinuz"))?;
    let mut all = File::create(work.path().join("initrd")).context("no initrd")?;
    for part in PARTS {
        let path = [directory.join(part), kernel.join(part)].into_iter().find(|path| path.exists());
        let path = path.with_context(|| format!("no {part} for the kernel {name}; `cargo xtask test --kernels` builds it"))?;
        io::copy(&mut File::open(&path)?, &mut all).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    let words = enter(&directory.join("workshop"), work.path(), "qemu-system-x86_64", &ARGUMENTS);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // A namespace without any link: whatever the machine does stays in it, and it is ended with it.
    let namespace = Namespace::unique("kernels")?;
    let start = Instant::now();
    let process = namespace.spawn(LIMIT, words[0], &words[1..])?;
    let _ended = Ended(&process);
    let told = |what: &str| {
        let console = std::fs::read_to_string(work.path().join("console")).unwrap_or_default();
        let results = std::fs::read_to_string(work.path().join("results")).unwrap_or_default();
        format!("{name}: {what}\nqemu: {}\nthe console:\n{console}\nthe tests:\n{results}", process.output())
    };
    process.wait(LIMIT + Duration::from_secs(10)).with_context(|| told("it did not switch itself off"))?;
    let results = results::read(&work.path().join("results")).with_context(|| told("no results"))?;
    Ok((results, start.elapsed()))
}

/// Kills the machine, whatever happened.
struct Ended<'a>(&'a Process);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// qemu64 is the cheapest CPU to emulate. The kernel talks on the first port and the tests on the second, so that neither cuts into the other.
const ARGUMENTS: [&str; 23] = [
    "-nodefaults",
    "-no-reboot",
    "-display",
    "none",
    "-accel",
    "tcg,thread=multi",
    "-cpu",
    "qemu64",
    "-smp",
    "2",
    "-m",
    MEMORY,
    "-kernel",
    "vmlinuz",
    "-initrd",
    "initrd",
    "-append",
    "console=ttyS0 loglevel=4 rdinit=/init panic=1 mitigations=off",
    "-serial",
    "file:console",
    "-serial",
    "file:results",
    "-snapshot",
];

fn link(from: &Path, to: &Path) -> Result<()> {
    std::fs::hard_link(from, to)
        .or_else(|_| std::fs::copy(from, to).map(drop))
        .with_context(|| format!("cannot put {} in place", from.display()))
}
