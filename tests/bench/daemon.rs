//! Our daemon as a subject.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::MapInfo;
use gateway_tests::gateway::unique_instance;
use gateway_tests::wait::wait_until;
use gateway_tests::{Namespace, Process};
use serde_json::Value;

use crate::policy::Mode;

/// Longer than any run, and the end of a forgotten daemon.
const LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// From start to `ready`: loading and verifying the programs takes most of it.
const START: Duration = Duration::from_secs(120);
/// From SIGTERM to the exit.
const STOP: Duration = Duration::from_secs(20);

/// A policy that the daemon does not take; the one before it runs on.
#[derive(Debug, thiserror::Error)]
#[error("the policy is refused: {0}")]
pub struct Refused(
    /// The policy's error, without its place in a file that is gone by the time somebody reads this.
    pub String,
);

/// A running `gateway run`. Dropped, it is stopped in order.
pub struct Daemon {
    process: Process,
    program: PathBuf,
    instance: String,
    policy: PathBuf,
}

impl Daemon {
    /// Starts it in a room, without waiting. The policy's file is in `files`.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn launch(room: &Namespace, program: &Path, files: &Path, policy: &str) -> Result<Self> {
        let instance = unique_instance();
        let file = files.join(format!("{instance}.toml"));
        std::fs::write(&file, policy).with_context(|| format!("cannot write {}", file.display()))?;
        let process = room.spawn(LIFETIME, word(program)?, &["run", "--policy", word(&file)?, "--instance", &instance])?;
        Ok(Self { process, program: program.to_owned(), instance, policy: file })
    }

    /// Waits until it is ready and carries both interfaces as asked for.
    ///
    /// # Errors
    /// When it ends, is not ready in time, or attached other programs.
    pub fn wait_ready(&self, room: &Namespace, mode: Mode) -> Result<()> {
        let mut status = Value::Null;
        wait_until(START, "the gateway to be ready", || {
            if let Some(ended) = self.process.ended()? {
                bail!("the gateway ended while starting ({ended}): {}", self.process.output());
            }
            status = self.ask(room, "status").unwrap_or_default();
            Ok(status["ready"] == true)
        })?;
        let attached: Vec<&str> = status["interfaces"].as_array().into_iter().flatten().filter_map(|i| i["datapath"].as_str()).collect();
        let wanted = mode.datapath();
        ensure!(attached == [wanted; 2], "the daemon attached {attached:?} where {wanted} was asked for");
        Ok(())
    }

    /// What `gateway <command> --json` answers.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn ask(&self, room: &Namespace, command: &str) -> Result<Value> {
        let output = room.output(word(&self.program)?, &[command, "--instance", &self.instance, "--json"])?;
        ensure!(output.status.success(), "`gateway {command}` failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Replaces the policy and has it taken up, without waiting for the daemon to see the file by itself.
    ///
    /// # Errors
    /// [`Refused`] when the policy is; anything else is a failure of the daemon or of the command.
    pub fn reload(&self, room: &Namespace, policy: &str) -> Result<()> {
        let new = self.policy.with_extension("new");
        std::fs::write(&new, policy)?;
        std::fs::rename(&new, &self.policy)?;
        self.ask(room, "reload").map(drop).map_err(|failed| self.refusal(room).map_or(failed, Into::into))
    }

    /// Why the last reload was refused, if it was: a command that failed may have failed otherwise.
    fn refusal(&self, room: &Namespace) -> Option<Refused> {
        let status = self.ask(room, "status").ok()?;
        Some(Refused(without_place(status["policy"]["error"].as_str()?).to_owned()))
    }

    /// The daemon's own process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<i32> {
        Ok(self.process.program_pid()?.as_raw_nonzero().get())
    }

    /// The CPU time that it has taken so far, in user space and in the kernel.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        // Its threads together; a schedstat holds one thread's time, in nanoseconds.
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.pid()?))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().and_then(|time| time.parse::<u64>().ok()).context("an unreadable schedstat")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The memory that it keeps resident, in bytes, the tables not among it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> Result<u64> {
        // The tables are mapped: /proc/PID/smaps tells their pages from the rest, the status does not.
        let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", self.pid()?))?;
        let (mut kilobytes, mut is_table) = (0, false);
        for line in smaps.lines() {
            match line.strip_prefix("Rss:") {
                Some(rss) if !is_table => kilobytes += rss.trim().trim_end_matches(" kB").parse::<u64>()?,
                Some(_) => {}
                // A mapping's first line begins with its addresses; what follows, with a name and a colon.
                None if line.split_whitespace().next().is_some_and(|first| first.contains('-')) => is_table = line.ends_with("bpf-map"),
                None => {}
            }
        }
        ensure!(kilobytes > 0, "the daemon's memory cannot be read: it has ended");
        Ok(kilobytes * 1024)
    }

    /// The bytes of each of its maps, by name.
    ///
    /// # Errors
    /// When it has ended.
    pub fn maps(&self) -> Result<HashMap<String, u64>> {
        let mut maps = HashMap::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid()?))? {
            let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
            let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
            let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) else { continue };
            let info = MapInfo::from_id(u32::try_from(id)?)?;
            maps.insert(info.name_as_str().unwrap_or_default().to_owned(), bytes);
        }
        Ok(maps)
    }

    /// The ids of its programs, by name.
    ///
    /// # Errors
    /// When it has ended.
    pub fn programs(&self) -> Result<HashMap<String, u32>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid()?))? {
            let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
            ids.extend(text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()));
        }
        let all = aya::programs::loaded_programs().filter_map(Result::ok);
        let own = all.filter(|info| ids.contains(&info.id()));
        Ok(own.map(|info| (info.name_as_str().unwrap_or_default().to_owned(), info.id())).collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In order, so that it takes its socket and its lock with it; its namespace kills it otherwise.
        if let Err(error) = self.process.stop(STOP) {
            eprintln!("the daemon {} did not end in order: {error:#}", self.instance);
        }
    }
}

/// A path as a program's argument.
///
/// # Errors
/// When it is no text.
pub fn word(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}

/// The first error of a refusal, without `file:line:column`.
fn without_place(text: &str) -> &str {
    let line = text.lines().find(|line| line.contains(".toml:")).or_else(|| text.lines().next()).unwrap_or_default();
    line.split_once(".toml:").and_then(|(_, place)| place.split_once(": ")).map_or(line, |(_, error)| error)
}
