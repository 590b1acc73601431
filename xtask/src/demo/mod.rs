//! `cargo xtask demo`: real programs through the gateway, once in tc and once in XDP mode.

mod gateway;
mod observe;
mod policy;
mod probes;
mod servers;
mod table;

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::Lab;

use crate::progress::Progress;
use crate::shell::{interruption, root};
use crate::{product, setup};
use gateway::Gateway;
use probes::Row;
use servers::Servers;

/// Which datapath the policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// tc alone.
    Tc,
    /// XDP in front of tc.
    Xdp,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
        })
    }
}

/// Runs the demo and prints a table per mode.
///
/// # Errors
/// When anything in it did not go as it should; the tables are printed all the same.
pub fn run() -> Result<()> {
    let progress = Progress::start();
    ensure!(rustix::process::geteuid().is_root(), "the demo makes network namespaces and loads BPF programs, which needs root");
    setup::run(&setup::Arguments::default())?;
    // From here on, Ctrl-C is noticed between two steps, so that everything is taken down.
    interruption();
    progress.say("build: the gateway (release)");
    let program = product::build("gateway-daemon", ["--bin", "gateway"])?;
    let mut failures = 0;
    let mut tables = Vec::new();
    for mode in [Mode::Tc, Mode::Xdp] {
        match run_mode(&progress, &program, mode) {
            Ok(rows) => {
                failures += rows.iter().filter(|row| !row.ok).count();
                tables.push(format!("{mode} mode\n\n{}", table::render(&rows)));
            }
            Err(error) => {
                check_interruption()?;
                failures += 1;
                progress.say(format_args!("{mode}: failed: {error:#}"));
                tables.push(format!("{mode} mode: failed\n\n{error:#}\n"));
            }
        }
    }
    for table in tables {
        println!("\n{table}");
    }
    if failures > 0 {
        bail!("{failures} of the demo's steps failed");
    }
    println!("Everything went as the policy says (tests/policies/seed.toml). `cargo xtask lab up` leaves you a network to play in.");
    Ok(())
}

fn run_mode(progress: &Progress, program: &Path, mode: Mode) -> Result<Vec<Row>> {
    check_interruption()?;
    let pid = std::process::id();
    let files = tempfile::Builder::new().prefix("gateway-demo-").tempdir().context("no place for temporary files")?;
    let seed = root().join("tests/policies/seed.toml");
    let text = std::fs::read_to_string(&seed).with_context(|| format!("cannot read {}", seed.display()))?;
    let policy = files.path().join("policy.toml");
    std::fs::write(&policy, policy::with_mode(&text, mode)?)?;

    progress.say(format_args!("{mode}: making the lab (namespaces gwdemo-{pid}-{mode}-…)"));
    let lab = Lab::up(&format!("gwdemo-{pid}-{mode}"))?;
    progress.say(format_args!("{mode}: starting HTTP, DNS, iperf3 and the remote desktop's stand-in"));
    let servers = Servers::start(&lab, files.path())?;
    check_interruption()?;
    progress.say(format_args!("{mode}: gateway run --policy {} --instance demo-{pid}", policy.display()));
    let gateway = Gateway::start(&lab.gateway, program, &policy, &format!("demo-{pid}"))?;
    let attached = observe::attachments(&gateway.ask("status")?, &mode.to_string());
    let sent = probes::all(progress, mode, &lab, &gateway, &servers);
    progress.say(format_args!("{mode}: stopping the gateway"));
    let stopped = gateway.stop();
    let mut rows = vec![Row::check("gateway: attached", attached)];
    rows.extend(sent?);
    rows.push(Row::check("gateway: SIGTERM", stopped.map(|()| "clean stop, exit code 0".to_owned())));
    Ok(rows)
}

/// An error once Ctrl-C was pressed: on its way out everything is taken down.
pub fn check_interruption() -> Result<()> {
    ensure!(!interruption().load(Ordering::Relaxed), "interrupted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one mode over the stand-in, changed by `change`, and gives the rows; `None` where namespaces cannot be made.
    fn over_stand_in(test: &str, change: impl FnOnce(&str) -> String) -> Option<Result<Vec<Row>>> {
        use std::os::unix::fs::PermissionsExt;
        if !gateway_tests::skip::may_use_namespaces(test) {
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("gateway");
        std::fs::write(&program, change(include_str!("stand_in.sh"))).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Two tests in one process: the labs' names contain the mode.
        let mode = if test.ends_with("says") { Mode::Tc } else { Mode::Xdp };
        Some(run_mode(&Progress::start(), &program, mode))
    }

    #[test]
    fn every_step_passes_over_a_gateway_that_does_as_the_policy_says() {
        let Some(rows) = over_stand_in("demo::every_step_passes_over_a_gateway_that_does_as_the_policy_says", str::to_owned) else {
            return;
        };
        let rows = rows.unwrap();
        let table = table::render(&rows);
        assert!(rows.iter().all(|row| row.ok), "{table}");
        assert_eq!(rows.len(), 13, "{table}");
        assert!(table.contains("⇄ 10.128.0.15:33890 ⇄ 10.10.0.10:"), "{table}");
    }

    #[test]
    fn a_gateway_that_lets_everything_in_is_found_out() {
        let Some(rows) = over_stand_in("demo::a_gateway_that_lets_everything_in_is_found_out", |text| {
            text.replace("counter name denied drop", "accept")
        }) else {
            return;
        };
        let rows = rows.unwrap();
        let bad: Vec<&str> = rows.iter().filter(|row| !row.ok).map(|row| row.sent.as_str()).collect();
        assert!(bad.contains(&"TCP pods → 10.128.0.15:33890"), "{bad:?}");
        assert!(!bad.contains(&"ping vm1 → 10.128.0.1"), "{bad:?}");
    }
}
