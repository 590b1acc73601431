//! The guest agent's side of the hypervisor: asks the machine about itself, and runs commands in it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::wait::wait_for;

/// One answer, under emulation and load.
const ANSWER: Duration = Duration::from_secs(60);
/// A command in the guest.
const COMMAND: Duration = Duration::from_secs(300);

/// The agent's channel.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
}

/// How a command in the guest ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; `None` after a signal.
    pub code: Option<i64>,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub error: String,
}

impl Agent {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks one question. Each has a connection of its own, so that a late answer to an earlier one is not taken for this one's.
    ///
    /// # Errors
    /// When the agent does not answer within a minute, or answers with an error.
    pub fn ask(&self, command: &str, arguments: &Value) -> Result<Value> {
        let stream = UnixStream::connect(&self.socket).with_context(|| format!("cannot reach {}", self.socket.display()))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        // The agent answers with the number that it was sent; what comes before is left from another connection.
        let number = u64::from(std::process::id());
        writeln!(&stream, "{}", json!({ "execute": "guest-sync", "arguments": { "id": number } }))?;
        writeln!(&stream, "{}", json!({ "execute": command, "arguments": arguments }))?;
        let mut synchronised = false;
        loop {
            let line = lines.next().context("the agent's channel was closed")?.with_context(|| format!("no answer to {command}"))?;
            let answer: Value = serde_json::from_str(&line).with_context(|| format!("{command}: no JSON: {line}"))?;
            if !synchronised {
                synchronised = answer["return"] == number;
                continue;
            }
            if let Some(error) = answer.get("error") {
                bail!("{command}: {error}");
            }
            return Ok(answer["return"].clone());
        }
    }

    /// Runs a shell line in the guest, as root.
    ///
    /// # Errors
    /// When the agent does not answer, or the command does not end within five minutes.
    pub fn run(&self, line: &str) -> Result<Ran> {
        let started = self.begin(line)?;
        let ended = wait_for(COMMAND, format_args!("`{line}` in the guest"), || {
            let status = self.ask("guest-exec-status", &json!({ "pid": started["pid"] }))?;
            Ok((status["exited"] == true).then_some(status))
        })?;
        let text = |key: &str| decode(ended[key].as_str().unwrap_or_default());
        Ok(Ran { code: ended["exitcode"].as_i64(), output: text("out-data"), error: text("err-data") })
    }

    /// Begins a shell command in the guest, whose end nobody waits for: a machine's last one has none. What the agent says of it.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn begin(&self, line: &str) -> Result<Value> {
        self.ask("guest-exec", &json!({ "path": "/bin/sh", "arg": ["-c", line], "capture-output": true }))
    }
}

/// The agent hands out what a program wrote in base64.
fn decode(text: &str) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
