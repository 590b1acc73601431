//! `cargo xtask bench`: the gateway beside what users would pick instead, in one interleaved run.
//!
//! A bench target of its own, because it needs the daemon's library, which xtask must not.

mod clock;
mod compare;
mod counts;
mod daemon;
mod establish;
mod figure;
mod files;
mod footprint;
mod fresh;
mod html;
mod micro;
mod network;
mod packets;
mod parts;
mod path;
mod policy;
mod report;
mod rig;
mod rounds;
mod rules;
mod run;
mod statistics;
mod structure;
mod targets;
mod tcp;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use gateway_daemon::datapath::bench_object;
use gateway_tests::bench::{choice, subject, workload};

use choice::{Choice, Only, Part};
use clock::CpuClock;
use figure::{Machine, Results};
use micro::CoreCase;
use rig::Tools;
use run::Run;

/// What to measure. `cargo xtask bench` has the same, and its help.
#[derive(Parser)]
struct Arguments {
    /// The program `gateway`.
    #[arg(long)]
    gateway: PathBuf,
    /// The git commit, for the results.
    #[arg(long, default_value = "unknown")]
    commit: String,
    #[arg(long)]
    full: bool,
    /// The micro-benchmarks, and nothing else.
    #[arg(long)]
    micro: bool,
    /// Only perform this, for callgrind to count.
    #[arg(long)]
    core_case: Option<CoreCase>,
    #[arg(long)]
    only: Vec<Only>,
    #[arg(long)]
    json: Option<PathBuf>,
    #[arg(long)]
    html: Option<PathBuf>,
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Measure nothing; show what is in this file.
    #[arg(long)]
    show: Option<PathBuf>,
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
    if let Some(case) = arguments.core_case {
        return case.perform().map(|()| ExitCode::SUCCESS);
    }
    // Before anything is measured: a mistake in a name shall not cost an hour.
    let old = arguments.compare.as_deref().map(files::read).transpose()?;
    for file in [&arguments.json, &arguments.html].into_iter().flatten() {
        files::ensure_writable(file)?;
    }
    let results = match &arguments.show {
        Some(file) => files::read(file)?,
        None => measure(arguments)?,
    };
    println!("{}", report::text(&results));
    if let Some(old) = &old {
        println!("{}", compare::text(old, &results));
    }
    if let Some(file) = &arguments.json {
        files::write(file, &(serde_json::to_string(&results)? + "\n"))?;
    }
    if let Some(file) = &arguments.html {
        files::write(file, &html::page(&results)?)?;
    }
    let reservations = parts::reservations(&results);
    for reservation in &reservations {
        eprintln!("{reservation}");
    }
    Ok(if reservations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(arguments: &Arguments) -> Result<Results> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot watch for Ctrl-C")?;
    }
    let date = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // The last one: interrupts and other programs tend to be on the first.
    let last = std::thread::available_parallelism().map_or(0, |cpus| cpus.get() - 1);
    let cpu = CpuClock::of(arguments.cpu.unwrap_or(last));
    let files = tempfile::Builder::new().prefix("gateway-bench-").tempdir().context("no place for temporary files")?;
    let tools = Tools { object: bench_object(), gateway: &arguments.gateway, files: files.path() };
    let choice = Choice::of(&arguments.only, arguments.full)?;
    let run = Run::new(&cpu, tools, &choice, arguments.full, &interrupted);
    run.say(&format!("measuring on CPU {}: {}", cpu.cpu(), choice.extent));
    let failed = if arguments.micro {
        parts::perform(&["micro"], |line| run.say(line), |_| micro::run(&run))
    } else {
        if choice.parts.contains(&Part::Packets)
            && let Some(left) = report::left_out(&choice.workloads)
        {
            run.miss(left.what, left.why);
        }
        let measure = |part: &Part| match part {
            Part::Packets => packets::run(&run, &choice.workloads),
            Part::Tcp => tcp::run(&run),
            Part::Establish => establish::run(&run),
            Part::Rules => rules::run(&run),
            Part::Footprint => footprint::run(&run),
        };
        parts::perform(&choice.parts, |line| run.say(line), measure)
    };
    run.say("done");
    let (figures, missing) = run.finish()?;
    let machine = machine();
    let extent = if arguments.micro { "micro".to_owned() } else { choice.extent };
    Ok(Results { format: Results::FORMAT, date, commit: arguments.commit.clone(), extent, machine, figures, missing, failed })
}

/// What the figures depend on.
fn machine() -> Machine {
    let first_line = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([' ', '\t', ':']).to_owned())).unwrap_or_default()
    };
    Machine {
        kernel: first_line("/proc/sys/kernel/osrelease", ""),
        processor: first_line("/proc/cpuinfo", "model name"),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
    }
}
