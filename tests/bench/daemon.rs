//! Our daemon as a subject.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
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
    /// When the policy is refused.
    pub fn reload(&self, room: &Namespace, policy: &str) -> Result<()> {
        let new = self.policy.with_extension("new");
        std::fs::write(&new, policy)?;
        std::fs::rename(&new, &self.policy)?;
        self.ask(room, "reload").map(|_| ())
    }

    /// The daemon's own process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> Result<i32> {
        Ok(self.process.program_pid()?.as_raw_nonzero().get())
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
