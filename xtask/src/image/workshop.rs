//! The workshop: a Debian root with the tools in it, entered for one command at a time. The host's own tools and their versions do not matter.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::progress::Progress;
use crate::shell::logged;

/// Longer than any single step takes under load.
const LIMIT: Duration = Duration::from_secs(600);

/// Mounts of a namespace of its own, gone with the command: devices, processes, and the work at `/work`.
const ENTER: &str = "set -e; root=$1; work=$2; shift 2; \
    mount -t proc proc \"$root/proc\"; mount --rbind /dev \"$root/dev\"; mount -t tmpfs -o mode=1777 tmp \"$root/tmp\"; \
    mount --bind \"$work\" \"$root/work\"; exec chroot \"$root\" \"$@\"";

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

    /// A command that will run in the workshop, in the working directory. `prefix` stands in front of all: words that enter a namespace.
    pub fn command(&self, prefix: &[&str], program: &str, arguments: &[&str]) -> Command {
        let mut words: Vec<&str> = prefix.to_vec();
        words.extend(["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", ENTER, "enter"]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(&self.builder).arg(&self.work);
        command.args(["env", "--chdir=/work", program]).args(arguments);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        command
    }

    /// Runs one tool in the working directory.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = self.command(&["nice", "-n", "10"], program, arguments);
        command.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
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
