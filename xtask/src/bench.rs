//! `cargo xtask bench`: builds the gateway and the bench (`tests/bench`), which does the measuring.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use gateway_tests::bench::choice::{Choice, Only, Part, together};
use gateway_tests::bench::subject::Subject;

use crate::progress::Progress;
use crate::shell::{answer, interruption};
use crate::{product, setup};

/// What no name says, behind the lists of names.
const EXAMPLES: &str = "\
What the machine does not have is shown as not measured, with the reason. xdp-devmap is the limit that ratios are taken to, tc-redirect \
that of TCP; xdp-fib does what xdp-forward does, which Debian 12 lacks.

Workloads (--only): family and translation, size of frames, number of flows, as in v4-snat-64-100k
  v4-snat v4-forward v4-plain v6-plain
  64 1514
  1 1k 100k 1m

A million flows through nftables need sysctl net.netfilter.nf_conntrack_max=1048576, which is the machine's own to set.

Words of one kind add up, words of different kinds narrow each other down: --only gateway-xdp --only nftables --only v4-snat-64-1k. \
What they name and no figure can have is shown as not measured, and where nothing is left the bench says so before it builds.

Examples:
  cargo xtask bench                                     everything in short, 2 to 3 minutes
  cargo xtask bench --full --json run.json --html run.html      the reference run, half an hour
  cargo xtask bench --only tcp --compare run.json       TCP, against the run before
  cargo xtask bench --micro --compare micro.json        has a change changed anything?
  cargo xtask bench --show run.json --html run.html     the page of an older run

How: frames are injected by the kernel (BPF_PROG_TEST_RUN, live frames) on one CPU: the generator, the gateway and the sink all run \
there, so CPU time over packets is the whole cost, and no packet is lost. What is reported is that cost minus the generator's own, \
which is measured just before and just after. Rounds go through all subjects in turn, and ratios pair figures of one round, because a \
shared machine changes its speed all the time. Each packet is verified at its receiver, MACs, checksums, addresses, ports and hop limit; \
a run with a wrong, missing or repeated one is void. A void try makes the exit code 1, even if a later one was whole, and so does a part \
that fails; what the others have measured is shown and written all the same.

A comparison first divides timed figures by those of kernel routing (or the limit) of the same round, since another day's machine is \
another machine. It then says \"faster\" or \"slower\" of ours only where the 95 % interval of the ratio lies beyond what the controls, \
which are not ours and so have not changed, did by themselves between the two runs; \"same\" where it lies within 5 %, and \"not \
distinguishable\" otherwise. Fewer than six rounds say nothing.";

/// The names that `--only` knows, and the rest.
fn help() -> String {
    let parts: String = Part::ALL.map(|part| format!("  {:<18} {}\n", part.name(), part.title())).concat();
    let subjects: String = Subject::ALL.map(|subject| format!("  {:<18} {}\n", subject.name(), subject.title())).concat();
    format!("Parts (--only):\n{parts}\nSubjects (--only):\n{subjects}\n{}.\n\n{EXAMPLES}", together())
}

/// What `bench` is asked for.
#[derive(clap::Args)]
#[command(after_long_help = help())]
pub struct Arguments {
    /// Few rounds of small packets with source NAT, and everything else in short: two to three minutes. This is what you get without a word.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More rounds, and IPv6, port forwards, large packets, a million flows too.
    #[arg(long)]
    full: bool,
    /// Single programs and single look-ups (BPF_PROG_TEST_RUN) and the packet core (callgrind) only: a minute.
    #[arg(long, conflicts_with_all = ["quick", "full", "only"])]
    micro: bool,
    /// Measure only this: a part, a subject or a workload. May be repeated. `--help` lists them.
    #[arg(long, value_name = "NAME")]
    only: Vec<Only>,
    /// Write everything, with every sample, into this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report with drawings, as a page that needs nothing else, into this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Say what has become faster or slower since the run in this JSON file.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Measure nothing; report on the run in this JSON file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "full", "micro", "only", "cpu"])]
    show: Option<PathBuf>,
    /// The CPU to measure on, counted from 0; the last one otherwise.
    #[arg(long)]
    cpu: Option<usize>,
}

/// Builds, and runs the bench.
///
/// # Errors
/// When the words of `--only` leave nothing to measure, when not root, or when something does not build. What the bench finds is the exit
/// code's to tell.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    // The bench does the same again; here a mistake in a word does not cost two builds.
    Choice::of(&arguments.only, arguments.full)?;
    let progress = Progress::start();
    let root = rustix::process::geteuid().is_root() || arguments.show.is_some();
    ensure!(root, "the bench makes network namespaces and loads BPF programs, which needs root");
    setup::run(&setup::Arguments::for_bench())?;
    // Ctrl-C goes to the bench too, which takes its namespaces down; this process waits for that.
    interruption();
    progress.say("build: the gateway (release)");
    let gateway = product::build("gateway-daemon", ["--bin", "gateway"])?;
    progress.say("build: the bench (release)");
    let bench = product::build("gateway-tests", ["--bench", "gateway-bench"])?;
    let mut command = Command::new(&bench);
    command.arg("--gateway").arg(gateway);
    if let Ok(commit) = answer("git", &["-C", &crate::shell::root().display().to_string(), "describe", "--always", "--dirty"]) {
        command.arg("--commit").arg(commit);
    }
    for (flag, given) in [("--full", arguments.full), ("--micro", arguments.micro)] {
        if given {
            command.arg(flag);
        }
    }
    for name in &arguments.only {
        command.args(["--only", &name.to_string()]);
    }
    let files = [("--json", &arguments.json), ("--html", &arguments.html), ("--compare", &arguments.compare), ("--show", &arguments.show)];
    for (flag, file) in files {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    if let Some(cpu) = arguments.cpu {
        command.args(["--cpu", &cpu.to_string()]);
    }
    let status = command.status().with_context(|| format!("cannot run {}", bench.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_wrong_word_is_refused_before_anything_is_built() {
        let Err(error) = Whole::try_parse_from(["bench", "--only", "gateway-xpd"]) else { panic!("it was taken") };
        assert!(error.to_string().contains("nothing is named gateway-xpd"), "{error}");
        let words = ["bench", "--only", "tcp", "--only", "v4-snat-64-1k"];
        let error = run(&Whole::try_parse_from(words).unwrap().arguments).unwrap_err().to_string();
        assert!(error.contains("leaves nothing to measure"), "{error}");
    }

    #[test]
    fn the_help_lists_every_name() {
        let help = help();
        for name in Part::ALL.map(Part::name).into_iter().chain(Subject::ALL.map(Subject::name)) {
            assert!(help.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
