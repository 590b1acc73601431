//! A program that runs beside the test, in a process group of its own, for a bounded time.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::wait_for;

/// A started program. Clones name the same one. Its namespace ends it at the latest.
#[derive(Clone, Debug)]
pub struct Process {
    child: Arc<Mutex<Child>>,
    pid: Pid,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with its output in the file `log`.
    ///
    /// `timeout(1)` stands in front of it, so that it ends after `lifetime` even when this process was killed.
    /// `prefix` is put between the two: the words that enter a namespace.
    pub(crate) fn spawn(prefix: &[&str], program: &str, args: &[&str], lifetime: Duration, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = Command::new("timeout")
            // In the foreground: a signal sent to `timeout` reaches the program once, not a second time through its group.
            .args(["--foreground", "--kill-after=2"])
            .arg(format!("{}", lifetime.as_secs().max(1)))
            .args(prefix)
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("cannot share the log")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let pid = Pid::from_child(&child);
        Ok(Self { child: Arc::new(Mutex::new(child)), pid, name: program.to_owned(), log })
    }

    /// The program's name as it was started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds its standard output and error.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All it has written so far; empty when it wrote nothing.
    #[must_use]
    pub fn output(&self) -> String {
        // A machine's console may say anything.
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its exit status once it has ended; 124 or 137 when its lifetime ran out.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// The process id of the program itself, which is the child of the `timeout` in front of it. `timeout` forwards no SIGUSR1, and after
    /// any signal that it does forward it kills two seconds later: what must reach the program as it is goes here.
    ///
    /// # Errors
    /// When it has ended, or has not been started yet.
    pub fn program_pid(&self) -> Result<Pid> {
        let parent = self.pid.as_raw_nonzero().to_string();
        for entry in std::fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            // proc_pid_stat(5): the name stands in parentheses and may hold any character; behind it come the state and the parent.
            let Some((_, behind)) = stat.rsplit_once(") ") else { continue };
            if behind.split(' ').nth(1) == Some(&parent) {
                return Ok(pid);
            }
        }
        anyhow::bail!("{} is not running", self.name)
    }

    /// Sends it one signal.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        anyhow::ensure!(self.ended()?.is_none(), "{} has ended already", self.name);
        // `timeout` forwards what it can catch and would die of what it cannot, so that goes to the whole group.
        let sent = if signal == Signal::KILL { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
        sent.with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        wait_for(timeout, format_args!("{} to end", self.name), || self.ended())
    }

    /// Asks it to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it had ended before, or still runs after `grace`; it is killed then.
    pub fn stop(&self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(grace).inspect_err(|_| self.kill())
    }

    /// Kills it and what it started (its process group), and reaps it.
    pub fn kill(&self) {
        // Only while the leader is not reaped does the number certainly name our group. What a dead leader left behind
        // is found through its namespace.
        let mut child = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = child.wait();
        }
    }
}
