//! A network namespace that ends what it started and removes itself.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Process;
use crate::wait::patience;

/// How long [`Namespace::run`] lets a program run, by [`patience`].
const RUN_LIMIT: Duration = Duration::from_secs(20);

/// A named network namespace, as `ip netns` knows it. Dropped, it kills what runs in it and disappears.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    started: Mutex<Vec<Process>>,
    remove_on_drop: bool,
}

impl Namespace {
    /// Makes the namespace `name` with its loopback up.
    ///
    /// # Errors
    /// When the name is taken (somebody else's namespace is never touched) or the caller is not root.
    pub fn create(name: &str) -> Result<Self> {
        ip(&["netns", "add", name], None)?;
        let namespace = Self { name: name.to_owned(), started: Mutex::default(), remove_on_drop: true };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Makes a namespace with a name of its own: `gwt-<purpose>-<pid>-<counter>`.
    ///
    /// # Errors
    /// As [`Namespace::create`].
    pub fn unique(purpose: &str) -> Result<Self> {
        Self::create(&unique_prefix(purpose))
    }

    /// Takes an existing namespace over. It stays when the value is dropped.
    #[must_use]
    pub fn existing(name: &str) -> Self {
        Self { name: name.to_owned(), started: Mutex::default(), remove_on_drop: false }
    }

    /// Its name under `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True when the kernel has a namespace of this name.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// Lets it outlive this value; the programs in it go on too.
    pub fn keep(mut self) {
        self.remove_on_drop = false;
    }

    /// A command whose program will run in here, through `ip netns exec` (which hides `/sys/fs/bpf`). Bounded by nothing.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a program to its end, at most 20 s, and hands out all it said; its exit status is the caller's to judge.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, program: &str, args: &[&str]) -> Result<Output> {
        Command::new("timeout")
            .args(["--kill-after=2", &patience(RUN_LIMIT).as_secs().to_string(), "ip", "netns", "exec", &self.name, program])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {program} in {}", self.name))
    }

    /// Runs a program to its end, at most 20 s, and gives its standard output.
    ///
    /// # Errors
    /// When it fails; the error shows what it wrote.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let output = self.output(program, args)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{}: `{program} {}` ended with {}\n{text}{}",
            self.name,
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    /// Starts a program that lives beside the caller: until it ends, until `lifetime` is over, or until the namespace goes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, lifetime: Duration, program: &str, args: &[&str]) -> Result<Process> {
        let mut started = self.lock_started();
        let short = program.rsplit('/').next().unwrap_or(program);
        let log = std::env::temp_dir().join(format!("{}-{}-{short}.log", self.name, started.len()));
        let process = Process::spawn(&["ip", "netns", "exec", &self.name], program, args, lifetime, log)?;
        started.push(process.clone());
        Ok(process)
    }

    /// Runs `ip -batch` in here: one `ip` command per line, without the word `ip`.
    ///
    /// # Errors
    /// When one of them fails; the commands before it stay done.
    pub fn ip(&self, batch: &str) -> Result<()> {
        ip(&["-n", &self.name, "-batch", "-"], Some(batch)).with_context(|| format!("in {}", self.name))
    }

    /// Sets one sysctl of this namespace: `("net/ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.within(|| std::fs::write(format!("/proc/sys/{key}"), value))?
            .with_context(|| format!("{}: cannot set {key} to {value}", self.name))
    }

    /// Runs `action` on a thread of its own that has entered this namespace. Unlike with [`Namespace::command`], the
    /// mounts stay the caller's: `/sys/fs/bpf` is visible, and `/sys/class/net` shows the caller's own interfaces.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    ///
    /// # Panics
    /// When `action` panics.
    pub fn within<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T> {
        let handle = File::open(self.path()).with_context(|| format!("no namespace {}", self.name))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("cannot enter the namespace {}", self.name))?;
                Ok(action())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The text of `/proc/net/<table>` as seen from here; empty when this kernel has no such table.
    pub(crate) fn proc_net(&self, table: &str) -> Result<String> {
        self.within(|| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default())
    }

    /// Kills everything that runs in here and deletes the namespace.
    ///
    /// # Errors
    /// When the kernel keeps the namespace.
    pub fn remove(mut self) -> Result<()> {
        self.remove_on_drop = false;
        self.clear()
    }

    fn clear(&self) -> Result<()> {
        for process in self.lock_started().drain(..) {
            process.kill();
            let _ = std::fs::remove_file(process.log());
        }
        if !self.exists() {
            return Ok(());
        }
        // What those left behind when they forked. Nobody else has business in a namespace that we made.
        for pid in self.pids() {
            let _ = kill_process(pid, Signal::KILL);
        }
        ip(&["netns", "delete", &self.name], None)
    }

    /// The processes in here, ourselves excluded.
    fn pids(&self) -> Vec<Pid> {
        let listed = Command::new("ip").args(["netns", "pids", &self.name]).output();
        let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let own = rustix::process::getpid();
        text.lines().filter_map(|line| line.trim().parse().ok().and_then(Pid::from_raw)).filter(|pid| *pid != own).collect()
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    fn lock_started(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.remove_on_drop
            && let Err(error) = self.clear()
        {
            eprintln!("{}: left behind: {error:#}", self.name);
        }
    }
}

/// A name that no other process and no other call uses: `gwt-<purpose>-<pid>-<counter>`.
#[must_use]
pub fn unique_prefix(purpose: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("gwt-{purpose}-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Runs `ip` with these words, and `input` on its standard input.
fn ip(args: &[&str], input: Option<&str>) -> Result<()> {
    let mut child = Command::new("ip")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ip (package iproute2)")?;
    let mut stdin = child.stdin.take().context("ip has no standard input")?;
    // A broken pipe means that ip stopped at an earlier line, of which its own message tells more.
    let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().context("lost ip")?;
    if !output.status.success() {
        bail!("`ip {}` failed: {}\n{}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim(), input.unwrap_or_default().trim());
    }
    Ok(())
}
