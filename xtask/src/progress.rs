//! Progress lines: `[ 12.3s] what goes on`.

use std::fmt::Display;
use std::time::Instant;

/// A clock that is started once and printed with every line.
pub struct Progress {
    start: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Prints one line to standard error, which is not buffered and leaves standard output to results.
    pub fn say(&self, line: impl Display) {
        eprintln!("[{:6.1}s] {line}", self.start.elapsed().as_secs_f32());
    }
}
