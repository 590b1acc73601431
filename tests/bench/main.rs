//! `cargo xtask bench`: the gateway beside what users would pick instead, in one interleaved run.
//!
//! A bench target of its own, because it needs the daemon's library, which xtask must not.

mod clock;
mod daemon;
mod figure;
mod network;
mod packets;
mod path;
mod policy;
mod rig;
mod rounds;
mod run;
mod subject;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::Parser;
use gateway_daemon::datapath::bench_object;

use clock::CpuClock;
use rig::Tools;
use run::Run;
use subject::Subject;
use workload::Workload;

/// What to measure. `cargo xtask bench` has the same, and its help.
#[derive(Parser)]
struct Arguments {
    /// The program `gateway`.
    #[arg(long)]
    gateway: PathBuf,
    #[arg(long)]
    full: bool,
    #[arg(long)]
    only: Vec<Subject>,
    #[arg(long)]
    workload: Vec<Workload>,
    #[arg(long)]
    cpu: Option<usize>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot watch for Ctrl-C")?;
    }
    // The last one: interrupts and other programs tend to be on the first.
    let last = std::thread::available_parallelism().map_or(0, |cpus| cpus.get() - 1);
    let cpu = CpuClock::of(arguments.cpu.unwrap_or(last));
    let files = tempfile::Builder::new().prefix("gateway-bench-").tempdir().context("no place for temporary files")?;
    let tools = Tools { object: bench_object(), gateway: &arguments.gateway, files: files.path() };
    let subjects: Vec<Subject> =
        Subject::ALL.into_iter().filter(|subject| arguments.only.is_empty() || arguments.only.contains(subject)).collect();
    let workloads: Vec<Workload> = Workload::all()
        .filter(|workload| match &*arguments.workload {
            [] if arguments.full => workload.is_full(),
            [] => workload.is_quick(),
            named => named.contains(workload),
        })
        .collect();
    let run = Run::new(&cpu, tools, &subjects, arguments.full, &interrupted);
    packets::run(&run, &workloads)?;
    let (figures, missing) = run.finish();
    for f in figures { println!("{} {} {:?} void {:?}", f.case.name(), f.subject, gateway_tests::figures::Summary::of(&f.valid()), f.void.first()); }
    println!("{missing:?}");
    Ok(ExitCode::SUCCESS)
}
