//! The machine's other side: qemu's monitor (QMP), where a hypervisor plugs disks and pulls cables.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// One answer or event, under emulation and load.
const ANSWER: Duration = Duration::from_secs(120);

/// A connection to it. There can be one at a time.
#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    lines: Lines<BufReader<UnixStream>>,
}

impl Monitor {
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("cannot reach {}", socket.display()))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let lines = BufReader::new(stream.try_clone()?).lines();
        let mut monitor = Self { stream, lines };
        monitor.run("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Runs one command.
    ///
    /// # Errors
    /// When qemu refuses it, or does not answer within two minutes.
    pub fn run(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        writeln!(&self.stream, "{}", json!({ "execute": command, "arguments": arguments }))?;
        loop {
            let said = self.next().with_context(|| format!("no answer to {command}"))?;
            if let Some(error) = said.get("error") {
                bail!("{command}: {error}");
            }
            if let Some(answer) = said.get("return") {
                return Ok(answer.clone());
            }
        }
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// When it does not come within two minutes of silence.
    pub fn event(&mut self, name: &str) -> Result<()> {
        loop {
            if self.next().with_context(|| format!("no event {name}"))?["event"] == name {
                return Ok(());
            }
        }
    }

    /// The next thing said: greeting, answer or event.
    fn next(&mut self) -> Result<Value> {
        let line = self.lines.next().context("the monitor was closed")??;
        serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))
    }
}
