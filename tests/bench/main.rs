//! `cargo xtask bench`: the gateway beside what users would pick instead, in one interleaved run.
//!
//! A bench target of its own, because it needs the daemon's library, which xtask must not.

mod clock;
mod compare;
mod counts;
mod daemon;
mod establish;
mod figure;
mod footprint;
mod fresh;
mod html;
mod micro;
mod network;
mod packets;
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

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
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
    // Read before anything is measured: a mistake in a name shall not cost an hour.
    let old = arguments.compare.as_deref().map(read).transpose()?;
    let results = match &arguments.show {
        Some(file) => read(file)?,
        None => measure(arguments)?,
    };
    println!("{}", report::text(&results));
    if let Some(old) = &old {
        println!("{}", compare::text(old, &results));
    }
    if let Some(file) = &arguments.json {
        write(file, &(serde_json::to_string(&results)? + "\n"))?;
    }
    if let Some(file) = &arguments.html {
        write(file, &html::page(&results)?)?;
    }
    // Retries until a run happens to be whole would make a gateway that loses packets look well.
    let lossy: Vec<_> = results.figures.iter().filter(|figure| figure.samples.iter().any(Option::is_none)).collect();
    for figure in &lossy {
        let void = figure.samples.iter().filter(|sample| sample.is_none()).count();
        let (subject, case) = (&figure.subject, &figure.case);
        eprintln!("not to be trusted: {:?} of {subject} in {case}: {void} of {} rounds void", figure.metric, figure.samples.len());
    }
    Ok(if lossy.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    if arguments.micro {
        micro::run(&run)?;
    }
    for part in choice.parts.iter().filter(|_| !arguments.micro) {
        match part {
            Part::Packets => packets::run(&run, &choice.workloads)?,
            Part::Tcp => tcp::run(&run)?,
            Part::Establish => establish::run(&run)?,
            Part::Rules => rules::run(&run)?,
            Part::Footprint => footprint::run(&run)?,
        }
    }
    run.say("done");
    let (figures, missing) = run.finish()?;
    let machine = machine();
    let extent = if arguments.micro { "micro".to_owned() } else { choice.extent };
    Ok(Results { format: Results::FORMAT, date, commit: arguments.commit.clone(), extent, machine, figures, missing })
}

fn read(file: &Path) -> Result<Results> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{} holds no JSON", file.display()))?;
    let format = &value["format"];
    ensure!(*format == Results::FORMAT, "{} has the format {format}; this program knows {}", file.display(), Results::FORMAT);
    serde_json::from_value(value).with_context(|| format!("{} holds no results of this bench", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("written: {}", file.display());
    Ok(())
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
