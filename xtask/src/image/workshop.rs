//! The workshop: a Debian root with the tools in it, entered for one command at a time. The host's own tools and their versions do not matter.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use gateway_tests::appliance::workshop::enter;

use crate::progress::Progress;
use crate::shell::logged;

/// Longer than any single step takes under load.
const LIMIT: Duration = Duration::from_secs(600);

/// A root with tools, and the directory in which they work.
pub struct Workshop {
    builder: PathBuf,
    work: PathBuf,
    epoch: u64,
}

impl Workshop {
    /// With the tools in `builder`, working in `work`, at the time `epoch` (seconds since 1970) for all that carries one.
    pub fn new(builder: &Path, work: &Path, epoch: u64) -> Self {
        Self { builder: builder.to_owned(), work: work.to_owned(), epoch }
    }

    /// A path in the working directory, as this process sees it.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.work.join(relative)
    }

    /// A file that belongs to the tools.
    pub fn tool(&self, absolute: &str) -> PathBuf {
        self.builder.join(absolute.trim_start_matches('/'))
    }

    /// Runs one tool in the working directory.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let words = enter(&self.builder, &self.work, program, arguments);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        logged(&Progress::start(), &format!("{program} {}", arguments.join(" ")), &mut command, &self.work.join("log"), LIMIT)
    }

    /// Runs a shell script in the working directory: for pipes between tools. It ends with the first tool that fails.
    ///
    /// # Errors
    /// As [`Workshop::run`].
    pub fn pipe(&self, script: &str) -> Result<()> {
        self.run("bash", &["-euo", "pipefail", "-c", script])
    }
}
