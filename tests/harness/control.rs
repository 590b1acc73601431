//! The daemon's control socket, asked without a process for each question: one JSON value per line, a request up, an answer down.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// Longer than any reload takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question that has been asked and not been answered yet.
#[derive(Debug)]
pub struct Question {
    stream: UnixStream,
}

/// Asks the daemon whose socket this is, without waiting for the answer: several daemons can work at the same time.
///
/// # Errors
/// When nobody listens there.
pub fn ask(socket: &Path, request: &Value) -> Result<Question> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("nobody listens at {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE)).context("no time-out for the control socket")?;
    stream.write_all(format!("{request}\n").as_bytes()).context("cannot ask the gateway")?;
    Ok(Question { stream })
}

impl Question {
    /// Waits for the answer: an object of one member, whose key says what it is ("status", "reloaded", "refused" …).
    ///
    /// # Errors
    /// When none comes, or no JSON.
    pub fn answer(self) -> Result<Value> {
        let mut line = String::new();
        BufReader::new(self.stream).read_line(&mut line).context("the gateway does not answer")?;
        serde_json::from_str(&line).with_context(|| format!("the gateway's answer is no JSON: {line:?}"))
    }
}
