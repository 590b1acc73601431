//! `cargo xtask bench`: the gateway beside what users would pick instead, in one interleaved run.
//!
//! A bench target of its own, because it needs the daemon's library, which xtask must not.

mod clock;
mod path;
mod report;
mod rounds;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gateway_daemon::datapath::bench_object;
use serde_json::{Value, json};

use clock::CpuClock;
use path::Path;
use rounds::Extent;
use subject::{Rig, Subject, Unavailable};

/// Flows that take turns.
const FLOWS: [u32; 3] = [1, 1000, gateway_ebpf::bench::FLOWS];
const QUICK: Extent = Extent { rounds: 12, packets: 256 * 1024 };
const FULL: Extent = Extent { rounds: 20, packets: 1024 * 1024 };

/// What to measure. `cargo xtask bench` has the same, and its help.
#[derive(Parser)]
struct Arguments {
    /// The program `gateway`.
    #[arg(long)]
    gateway: PathBuf,
    #[arg(long)]
    full: bool,
    #[arg(long)]
    only: Vec<String>,
    #[arg(long)]
    json: Option<PathBuf>,
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
    let start = Instant::now();
    let say = |line: &str| eprintln!("[{:6.1}s] {line}", start.elapsed().as_secs_f32());
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot watch for Ctrl-C")?;
    }
    let wanted = chosen(&arguments.only)?;
    // The last one: interrupts and other programs tend to be on the first.
    let last = std::thread::available_parallelism().map_or(0, |cpus| cpus.get() - 1);
    let cpu = CpuClock::of(arguments.cpu.unwrap_or(last));
    let extent = if arguments.full { FULL } else { QUICK };
    let files = tempfile::Builder::new().prefix("gateway-bench-").tempdir().context("no place for temporary files")?;
    let mut door = Path::door(bench_object())?;
    let (mut rigs, mut missing) = (Vec::new(), Vec::new());
    for subject in wanted {
        match Rig::set_up(subject, bench_object(), &arguments.gateway, files.path()) {
            Ok(rig) => {
                say(&format!("set up: {subject}"));
                rigs.push(rig);
            }
            Err(Unavailable::Missing(why)) => {
                say(&format!("not measured: {subject}: {why}"));
                missing.push((subject, why.to_owned()));
            }
            Err(Unavailable::Failed(error)) => return Err(error.context(format!("cannot set up {subject}"))),
        }
    }
    let order: Vec<&str> = rigs.iter().map(|rig| rig.subject.name()).collect();
    say(&format!(
        "{} rounds of {} packets on CPU {}; figures are raw added ns, in an order that turns each round by one: {}",
        extent.rounds,
        extent.packets,
        cpu.cpu(),
        order.join(" ")
    ));
    let cells = rounds::run(&mut door, &mut rigs, &cpu, &FLOWS, extent, &interrupted, &say)?;
    say("taking everything down");
    drop(rigs);
    println!("{}", report::table(&cells, &missing));
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&cells, &missing, &machine()))?;
        std::fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("written: {}", file.display()));
    }
    // Retries until a run happens to be whole would make a gateway that loses packets look well.
    let lossy: Vec<_> = cells.iter().filter(|cell| cell.samples.iter().any(Option::is_none)).collect();
    for cell in &lossy {
        let void = cell.samples.iter().filter(|sample| sample.is_none()).count();
        eprintln!("not to be trusted: {} with {} flows: {void} of {} rounds void", cell.subject, cell.flows, cell.samples.len());
    }
    Ok(if lossy.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> Result<Vec<Subject>> {
    let names: Vec<&str> = Subject::ALL.iter().map(|subject| subject.name()).collect();
    for name in only {
        ensure!(names.contains(&name.as_str()), "nothing is named {name}; there are: {}", names.join(", "));
    }
    let wanted = |subject: &Subject| only.is_empty() || only.iter().any(|name| name == subject.name());
    Ok(Subject::ALL.into_iter().filter(wanted).collect())
}

/// What the figures depend on.
fn machine() -> Value {
    let first_line = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([' ', '\t', ':']).to_owned()))
    };
    json!({
        "kernel": first_line("/proc/sys/kernel/osrelease", ""),
        "processor": first_line("/proc/cpuinfo", "model name"),
        "cpus": std::thread::available_parallelism().map(usize::from).ok(),
    })
}
