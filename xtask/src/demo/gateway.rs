//! The gateway under demonstration: started, asked, stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::wait::wait_until;
use gateway_tests::{Namespace, Process};
use serde_json::Value;

use super::check_interruption;
use crate::shell::tail;

/// Longer than any demo, and the end of a forgotten one.
const LIFETIME: Duration = Duration::from_secs(300);

/// From start to `ready`: loading and verifying the programs takes most of it.
const START: Duration = Duration::from_secs(30);

/// From SIGTERM to the exit.
const STOP: Duration = Duration::from_secs(10);

/// A running `gateway run`. Its namespace ends it at the latest.
pub struct Gateway<'a> {
    namespace: &'a Namespace,
    program: PathBuf,
    instance: String,
    process: Process,
}

impl<'a> Gateway<'a> {
    /// Starts it in the namespace and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in time; with the end of its log.
    pub fn start(namespace: &'a Namespace, program: &Path, policy: &Path, instance: &str) -> Result<Self> {
        let path = program.to_str().context("the program's path is no text")?;
        let policy = policy.to_str().context("the policy's path is no text")?;
        let process = namespace.spawn(LIFETIME, path, &["run", "--policy", policy, "--instance", instance])?;
        let gateway = Self { namespace, program: program.to_owned(), instance: instance.to_owned(), process };
        if let Err(error) = gateway.wait_ready() {
            bail!("{error:#}; its last words:\n{}", tail(gateway.process.log(), 25));
        }
        Ok(gateway)
    }

    fn wait_ready(&self) -> Result<()> {
        wait_until(START, "the gateway to be ready", || {
            check_interruption()?;
            if let Some(status) = self.process.ended()? {
                bail!("the gateway ended while starting ({status})");
            }
            Ok(self.ask("status").is_ok_and(|status| status["ready"] == true))
        })
    }

    /// What `gateway <command> --instance … --json` answers.
    ///
    /// # Errors
    /// When the command fails or answers no JSON.
    pub fn ask(&self, command: &str) -> Result<Value> {
        let text = self.namespace.run(&self.program.display().to_string(), &[command, "--instance", &self.instance, "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("`gateway {command} --json` answered no JSON: {text}"))
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When it does not end in time, or not with exit code 0.
    pub fn stop(self) -> Result<()> {
        let status = self.process.stop(STOP)?;
        ensure!(status.success(), "the gateway ended with {status}; its last words:\n{}", tail(self.process.log(), 10));
        Ok(())
    }
}
