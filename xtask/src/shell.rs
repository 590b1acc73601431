//! Other programs: run to the end with a log, a limit and a sign of life, or asked for one answer.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::progress::Progress;

/// A long command shows its last line of output this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// How many lines of a failed command's log are shown.
const TAIL: usize = 25;

/// Runs `command` with its output in the file `log`, for at most `limit`, telling every 15 s where it stands.
///
/// # Errors
/// When it fails or takes too long: with the end of its log.
pub fn logged(progress: &Progress, what: &str, command: &mut Command, log: &Path, limit: Duration) -> Result<()> {
    let status = logged_status(progress, what, command, log, limit)?;
    ensure!(status.success(), "{what} failed ({status}). The end of {}:\n{}", log.display(), tail(log, TAIL));
    Ok(())
}

fn logged_status(progress: &Progress, what: &str, command: &mut Command, log: &Path, limit: Duration) -> Result<ExitStatus> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        // A group of its own, so that everything it started can be ended with it.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let start = Instant::now();
    let mut spoken = start;
    let interrupted = interruption();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let stop = interrupted.load(std::sync::atomic::Ordering::Relaxed);
        if stop || start.elapsed() > limit {
            let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
            ensure!(!stop, "{what}: interrupted");
            bail!("{what} took more than {} s and was ended. The end of {}:\n{}", limit.as_secs(), log.display(), tail(log, TAIL));
        }
        if spoken.elapsed() > SIGN_OF_LIFE {
            progress.say(format_args!("  … {}", tail(log, 1).trim()));
            spoken = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A flag that Ctrl-C, SIGTERM and SIGHUP raise from the first call on, instead of ending this process.
pub fn interruption() -> std::sync::Arc<std::sync::atomic::AtomicBool> {
    use std::sync::{Arc, OnceLock, atomic::AtomicBool};
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = FLAG.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            // It cannot fail for these signals; if it did, the default action would remain, which ends the process.
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    });
    Arc::clone(flag)
}

/// The standard output of a short command, without the last newline; an error when it fails.
///
/// # Errors
/// When it cannot run or fails.
pub fn answer(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "`{program} {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The last `lines` lines of a file; a word about it when it cannot be read.
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return format!("({}: {error})", file.display()),
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The workspace's root directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target directory.
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}

/// The cargo that runs us, so that one toolchain does everything; the environment of `cargo run` does not leak into it.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        // Set by `cargo run` for xtask's own package; build scripts of other packages must not see them.
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_BIN_") {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<()> {
        let home = tempfile::tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        logged(&Progress::start(), "the script", &mut command, &home.path().join("log"), limit)
    }

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let script = "for n in $(seq 100); do echo line-$n-; done; exit 3";
        let error = run(script, Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("line-100-") && !error.contains("line-50-"), "{error}");
        run("exit 0", Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_hanging_program_is_ended_with_what_it_started() {
        let start = Instant::now();
        let error = run("sleep 60 & wait", Duration::from_millis(200)).unwrap_err().to_string();
        assert!(error.contains("was ended"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
