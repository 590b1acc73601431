//! The daemon under test: started in a namespace of its own, asked, reloaded, stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::wait::{wait_for, wait_until};
use crate::{Namespace, Process};

/// Longer than any test, and the end of a forgotten daemon.
const LIFETIME: Duration = Duration::from_secs(240);
/// From start to an answer on the control socket: the verifier's work, on a machine that compiles beside.
const START: Duration = Duration::from_secs(60);
/// What "within seconds" means for a clean stop.
const STOP: Duration = Duration::from_secs(5);
/// Until something that the daemon does by itself is seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The built `gateway` program: `GATEWAY_BIN`, or the one beside this test's own build.
///
/// # Errors
/// When it has not been built.
pub fn program() -> Result<PathBuf> {
    let path = match std::env::var_os("GATEWAY_BIN") {
        Some(path) => PathBuf::from(path),
        None => {
            let own = std::env::current_exe().context("this test does not know its own path")?;
            // <target>/debug/deps/netns-<hash>
            let profile = own.parent().and_then(Path::parent).context("this test's path has no parents")?;
            profile.join("gateway")
        }
    };
    ensure!(path.exists(), "no {}: run `cargo build -p gateway-daemon`, or `cargo xtask test`, which builds everything", path.display());
    Ok(path)
}

/// An instance name that no other process and no other call uses.
#[must_use]
pub fn unique_instance() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("t{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// How a daemon is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The policy's text.
    pub policy: &'a str,
    /// The instance; a name of its own when `None`.
    pub instance: Option<&'a str>,
    /// Further environment variables, `NAME=value`.
    pub environment: &'a [String],
}

impl<'a> Start<'a> {
    /// With this policy, and nothing unusual.
    #[must_use]
    pub fn policy(policy: &'a str) -> Self {
        Self { policy, instance: None, environment: &[] }
    }
}

/// A running `gateway run`. Dropped, it is killed; its namespace goes soon after.
#[derive(Debug)]
pub struct Gateway<'a> {
    namespace: &'a Namespace,
    program: PathBuf,
    instance: String,
    directory: TempDir,
    process: Process,
}

impl<'a> Gateway<'a> {
    /// Starts it in the namespace and waits until it is ready.
    ///
    /// # Errors
    /// When it ends, or is not ready in time; with its log.
    pub fn start(namespace: &'a Namespace, policy: &str) -> Result<Self> {
        Self::start_as(namespace, &Start::policy(policy))
    }

    /// As [`Gateway::start`], with more to say.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_as(namespace: &'a Namespace, start: &Start<'_>) -> Result<Self> {
        let gateway = Self::launch(namespace, start)?;
        gateway.wait_ready()?;
        Ok(gateway)
    }

    /// Starts it without waiting: for those that are expected to refuse.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn launch(namespace: &'a Namespace, start: &Start<'_>) -> Result<Self> {
        let program = program()?;
        let instance = start.instance.map_or_else(unique_instance, str::to_owned);
        let directory = TempDir::with_prefix("gateway-test-").context("no temporary directory")?;
        let policy = directory.path().join("policy.toml");
        fs::write(&policy, start.policy).context("cannot write the policy")?;
        let mut words: Vec<String> = start.environment.to_vec();
        words.extend([program.display().to_string(), "run".into(), "--policy".into(), policy.display().to_string()]);
        words.extend(["--instance".into(), instance.clone()]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let process = namespace.spawn(LIFETIME, "env", &words)?;
        Ok(Self { namespace, program, instance, directory, process })
    }

    fn wait_ready(&self) -> Result<()> {
        let ready = wait_until(START, "the gateway to be ready", || {
            if let Some(status) = self.process.ended()? {
                bail!("the gateway ended while starting ({status})");
            }
            Ok(self.status().is_ok_and(|status| status["ready"] == true))
        });
        ready.with_context(|| format!("its log:\n{}", self.log()))
    }

    /// Its instance's name.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The file its policy is in.
    #[must_use]
    pub fn policy_path(&self) -> PathBuf {
        self.directory.path().join("policy.toml")
    }

    /// The instance's own directory under /run.
    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        Path::new("/run/gateway").join(&self.instance)
    }

    /// All it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Waits until its log holds this text.
    ///
    /// # Errors
    /// When it does not come; with the log.
    pub fn wait_log(&self, text: &str) -> Result<()> {
        wait_until(PATIENCE, format_args!("the log to say {text:?}"), || Ok(self.log().contains(text)))
            .with_context(|| format!("the log:\n{}", self.log()))
    }

    /// Runs `gateway <command> --instance … --json`, whatever comes of it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn command(&self, command: &str) -> Result<Output> {
        self.namespace.output(&self.program.display().to_string(), &[command, "--instance", &self.instance, "--json"])
    }

    /// What `gateway <command> --instance … --json` answers.
    ///
    /// # Errors
    /// When the command fails or answers no JSON.
    pub fn ask(&self, command: &str) -> Result<Value> {
        let output = self.command(command)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`gateway {command}` ended with {}: {error}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("`gateway {command} --json` answered no JSON"))
    }

    /// `gateway status`, which fails while an interface waits, and answers all the same.
    ///
    /// # Errors
    /// When it answers no JSON: the gateway does not run, or is not ready.
    pub fn status(&self) -> Result<Value> {
        let output = self.command("status")?;
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("`gateway status` ended with {}: {error}", output.status))
    }

    /// `gateway flows`.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn flows(&self) -> Result<Vec<Value>> {
        array(self.ask("flows")?)
    }

    /// `gateway mappings`.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn mappings(&self) -> Result<Vec<Value>> {
        array(self.ask("mappings")?)
    }

    /// `gateway drops`.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn drops(&self) -> Result<Value> {
        self.ask("drops")
    }

    /// Packets that are counted under a reason of this kind ("drop", "punt", "pass"); 0 when it is not listed.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn reason(&self, kind: &str, label: &str) -> Result<u64> {
        let drops = self.drops()?;
        let reasons = drops["reasons"].as_array().context("drops without reasons")?;
        let found = reasons.iter().find(|reason| reason["kind"] == kind && reason["reason"] == label);
        Ok(found.and_then(|reason| reason["packets"].as_u64()).unwrap_or(0))
    }

    /// Packets that the named firewall rule decided, or "default"; 0 when it is not listed.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn rule(&self, name: &str) -> Result<u64> {
        let drops = self.drops()?;
        let lists = [&drops["rules"], &drops["accepted"]];
        let found = lists.iter().filter_map(|list| list.as_array()).flatten().find(|rule| rule["rule"] == name);
        Ok(found.and_then(|rule| rule["packets"].as_u64()).unwrap_or(0))
    }

    /// The interface's entry of `gateway status`.
    ///
    /// # Errors
    /// When it is not listed.
    pub fn interface(&self, name: &str) -> Result<Value> {
        let status = self.status()?;
        let found = status["interfaces"].as_array().and_then(|list| list.iter().find(|interface| interface["name"] == name));
        found.cloned().with_context(|| format!("status shows no interface {name}: {status:#}"))
    }

    /// Waits until the interface's entry is as wanted, and gives it.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn wait_interface(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_for(PATIENCE, format_args!("{name} to be {what}"), || Ok(Some(self.interface(name)?).filter(|found| wanted(found))))
            .with_context(|| format!("status: {:#}\nthe log:\n{}", self.interface(name).unwrap_or_default(), self.log()))
    }

    /// The policy generation in force.
    ///
    /// # Errors
    /// As [`Gateway::ask`].
    pub fn generation(&self) -> Result<u64> {
        self.status()?["policy"]["generation"].as_u64().context("status without a generation")
    }

    /// Writes the policy file's text in place, without a word to the daemon beyond what it sees by itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_policy(&self, text: &str) -> Result<()> {
        fs::write(self.policy_path(), text).context("cannot write the policy")
    }

    /// Replaces the policy file by a rename.
    ///
    /// # Errors
    /// When that fails.
    pub fn replace_policy(&self, text: &str) -> Result<()> {
        let new = self.directory.path().join("policy.new");
        fs::write(&new, text).context("cannot write the new policy")?;
        fs::rename(new, self.policy_path()).context("cannot replace the policy")
    }

    /// Replaces the policy and waits until it is in force.
    ///
    /// # Errors
    /// When it is not taken up.
    pub fn reload(&self, text: &str) -> Result<()> {
        let before = self.generation()?;
        self.replace_policy(text)?;
        wait_until(PATIENCE, "the new policy to be in force", || Ok(self.generation()? > before))
            .with_context(|| format!("the log:\n{}", self.log()))
    }

    /// Sends the daemon itself a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.process.program_pid()?, signal).context("cannot signal the gateway")
    }

    /// Kills it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn crash(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.process.wait(STOP).map(|_| ())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after a minute.
    pub fn wait_end(&self) -> Result<ExitStatus> {
        self.process.wait(START)
    }

    /// Asks it to end, which it must do within seconds and with exit code 0.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.process.wait(STOP).with_context(|| format!("the log:\n{}", self.log()))?;
        ensure!(status.success(), "the gateway ended with {status}; its log:\n{}", self.log());
        Ok(())
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the gateway {}:\n{}", self.instance, self.log());
        }
        self.process.kill();
        // After a crash the files under /run stay, as they must; nobody will start this instance again.
        let _ = fs::remove_dir_all(self.run_directory());
    }
}

fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => bail!("expected an array, not {other}"),
    }
}
