//! `cargo xtask bench`: builds the gateway and the bench (`tests/bench`), which does the measuring.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::progress::Progress;
use crate::shell::interruption;
use crate::{product, setup};

/// What `bench` is asked for.
///
/// Frames are injected by the kernel (BPF_PROG_TEST_RUN, live frames) on one CPU: the generator, the gateway and the sink all run there,
/// so CPU time over packets is the whole cost, and no packet is lost. What is reported is that cost minus the generator's own, which is
/// measured just before and just after. Rounds go through all subjects in turn, and ratios pair figures of one round, because a shared
/// machine changes its speed all the time. Each packet is verified at its receiver; a run with a wrong or missing one is void.
#[derive(clap::Args)]
pub struct Arguments {
    /// 12 rounds of 256 Ki packets: one to two minutes. This is what you get without a word.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// 20 rounds of 1 Mi packets.
    #[arg(long)]
    full: bool,
    /// Measure only this: xdp-redirect, kernel-routing, nftables, nftables-flowtable, gateway-tc or gateway-xdp. May be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write everything, with every sample, into this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The CPU to measure on, counted from 0; the last one otherwise.
    #[arg(long)]
    cpu: Option<usize>,
}

/// Builds, and runs the bench.
///
/// # Errors
/// When not root, or when something does not build. What the bench finds is the exit code's to tell.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let progress = Progress::start();
    ensure!(rustix::process::geteuid().is_root(), "the bench makes network namespaces and loads BPF programs, which needs root");
    setup::run(&setup::Arguments::default())?;
    // Ctrl-C goes to the bench too, which takes its namespaces down; this process waits for that.
    interruption();
    progress.say("build: the gateway (release)");
    let gateway = product::build("gateway-daemon", ["--bin", "gateway"])?;
    progress.say("build: the bench (release)");
    let bench = product::build("gateway-tests", ["--bench", "gateway-bench"])?;
    let mut command = Command::new(&bench);
    command.arg("--gateway").arg(gateway);
    if arguments.full {
        command.arg("--full");
    }
    for name in &arguments.only {
        command.args(["--only", name]);
    }
    if let Some(file) = &arguments.json {
        command.arg("--json").arg(file);
    }
    if let Some(cpu) = arguments.cpu {
        command.args(["--cpu", &cpu.to_string()]);
    }
    let status = command.status().with_context(|| format!("cannot run {}", bench.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
