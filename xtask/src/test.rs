//! `cargo xtask test`: the whole suite, counted honestly.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use gateway_tests::skip::SKIP_LOG;

use crate::progress::Progress;
use crate::shell::{cargo, target_directory};
use crate::{image, kernels, package, setup};

/// What `test` is asked for.
#[derive(clap::Args)]
pub struct Arguments {
    /// Run the long versions too: tests marked `#[ignore]`, and more cases (`GATEWAY_TEST_FULL=1`).
    #[arg(long)]
    full: bool,
    /// Run one part only: the namespace tests inside virtual machines with Debian's kernels 6.1, 6.12 and the newest. Needs root.
    #[arg(long, conflicts_with_all = ["full", "filter"])]
    kernels: bool,
    /// Fetch the kernels again, although they are here.
    #[arg(long, requires = "kernels")]
    fresh: bool,
    /// Run only the tests whose path contains this.
    filter: Option<String>,
}

/// At most this many tests at a time: each namespace test runs several programs, on a small machine.
pub const THREADS: &str = "2";

/// Runs setup and the tests; the last line on standard output is `N passed, N failed, N skipped`.
///
/// # Errors
/// When setup or the build fails. A failed test, or none that ran, is the exit code's to tell.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let progress = Progress::start();
    setup::run(&setup::Arguments::default())?;
    if arguments.kernels {
        return on_kernels(&progress, arguments.fresh);
    }
    progress.say("build: the workspace with all its tests");
    // All targets at once, so that the tests find the `gateway` program and nothing is built twice.
    let built = cargo().args(["build", "--workspace", "--all-targets"]).status().context("cannot run cargo")?;
    ensure!(built.success(), "the build failed; no test ran");
    progress.say("tests: running");
    let skips = SkipLog::new()?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(&arguments.filter);
    command.args(["--", "--test-threads", THREADS]);
    // Only root can boot what the package is tried in, and the image; the tests say so themselves.
    let mut lacking = Lacking::new(image::no_archive);
    let boots = rustix::process::geteuid().is_root() && arguments.filter.is_none();
    if arguments.full {
        command.arg("--include-ignored").env("GATEWAY_TEST_FULL", "1");
        if boots {
            progress.say("build: the package, which has tests of its own");
            if let Some(directory) = lacking.or_archive("the package's tests", package::for_tests(&progress))? {
                command.env(package::TEST_DIRECTORY, directory);
            }
            if let Some(directory) = lacking.or_archive("the kernels' tests", kernels::for_tests(&progress, false))? {
                command.env(kernels::TEST_DIRECTORY, directory);
            }
        }
    }
    if boots {
        progress.say("build: the image, which has tests of its own: some minutes the first time");
        if let Some(image) = lacking.or_archive("the image's tests", image::for_tests(&progress))? {
            image.name_in(&mut command);
        }
    }
    let mut child = command.env(SKIP_LOG, &skips.path).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let mut counter = Counter::default();
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).split(b'\n') {
        let line = line.context("lost cargo's output")?;
        let line = String::from_utf8_lossy(&line);
        counter.read(&line);
        // The empty frames of targets without tests are noise.
        if !matches!(&*line, "" | "running 0 tests") && !line.contains(" 0 passed; 0 failed; 0 ignored;") {
            println!("{line}");
        }
    }
    let status = child.wait().context("lost cargo")?;
    let skipped = skips.read()?;
    let summary = counter.finish(status.success(), &skipped);
    progress.say("tests: done");
    if summary.passed + summary.failed == 0 {
        println!("no test ran, which counts as a failure");
    }
    for line in &skipped {
        println!("skipped: {line}");
    }
    // Those tests say only that they were given nothing to boot; this is why.
    for line in &lacking.told {
        println!("not built: {line}");
    }
    println!("{} passed, {} failed, {} skipped", summary.passed, summary.failed, summary.skipped);
    // The numbers are the last word, so the verdict is in the exit code alone.
    Ok(if summary.failed == 0 && summary.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tests that boot kernels, with the table of each.
fn on_kernels(progress: &Progress, fresh: bool) -> Result<ExitCode> {
    let directory = kernels::for_tests(progress, fresh)?;
    progress.say("kernels: booting them one after another, some minutes each");
    let mut command = cargo();
    command.args(["test", "--workspace", "--test", "kernels", "--", "--include-ignored", "--nocapture", "--test-threads", THREADS]);
    let status = command.env(kernels::TEST_DIRECTORY, directory).status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What could not be built for want of Debian's archive: its tests are skipped, and the others run.
struct Lacking<F> {
    /// Why there is no archive, when there is none.
    no_archive: F,
    told: Vec<String>,
}

impl<F: Fn() -> Option<String>> Lacking<F> {
    fn new(no_archive: F) -> Self {
        Self { no_archive, told: Vec::new() }
    }

    /// What was built, or nothing when that failed without an archive. Any other failure stays one.
    fn or_archive<T>(&mut self, what: &str, built: Result<T>) -> Result<Option<T>> {
        let error = match built {
            Ok(built) => return Ok(Some(built)),
            Err(error) => error,
        };
        let Some(why) = (self.no_archive)() else { return Err(error) };
        let line = format!("{what} have nothing to boot: {why}: {error:#}").replace('\n', " ");
        eprintln!("{line}");
        self.told.push(line);
        Ok(None)
    }
}

/// The file to which the harness appends a line per skip.
struct SkipLog {
    path: PathBuf,
}

impl SkipLog {
    fn new() -> Result<Self> {
        let path = target_directory().join(format!("skipped.{}", std::process::id()));
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// The distinct lines, `test: why` each.
    fn read(&self) -> Result<BTreeSet<String>> {
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

impl Drop for SkipLog {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The closing line's numbers.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Adds up what the test programs say about themselves.
#[derive(Default)]
struct Counter {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// A test program has begun and has not given its result.
    open: bool,
}

impl Counter {
    fn read(&mut self, line: &str) {
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.close();
            self.open = true;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, "passed");
            self.failed += number_before(result, "failed");
            self.ignored += number_before(result, "ignored");
            self.open = false;
        }
    }

    /// A program that began and gave no result has died: one failure at least.
    fn close(&mut self) {
        self.failed += usize::from(std::mem::take(&mut self.open));
    }

    /// `skipped`: the skip log's lines. Such a test returned early, so its program counts it as passed.
    fn finish(mut self, success: bool, skipped: &BTreeSet<String>) -> Summary {
        self.close();
        if !success && self.failed == 0 {
            self.failed = 1;
        }
        let tests: BTreeSet<&str> = skipped.iter().map(|line| line.split(": ").next().unwrap_or(line)).collect();
        Summary { passed: self.passed.saturating_sub(tests.len()), failed: self.failed, skipped: self.ignored + tests.len() }
    }
}

/// The number in front of a word: 3 for `ok. 3 passed; 0 failed;` and `passed`.
fn number_before(text: &str, word: &str) -> usize {
    let mut before = None;
    for part in text.split_whitespace() {
        if part.trim_end_matches(';') == word {
            return before.unwrap_or(0);
        }
        before = part.parse().ok();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str], success: bool, skips: &[&str]) -> Summary {
        let mut counter = Counter::default();
        lines.iter().for_each(|line| counter.read(line));
        counter.finish(success, &skips.iter().map(|line| (*line).to_owned()).collect())
    }

    const OK: &str = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
    const BAD: &str = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    #[test]
    fn results_of_all_programs_are_added() {
        let summary = count(&["running 6 tests", OK, "running 3 tests", BAD], false, &[]);
        assert_eq!(summary, Summary { passed: 6, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_skipped_test_is_no_pass_and_counts_once() {
        let summary = count(&["running 6 tests", OK], true, &["a: no root", "a: no kernel", "b: no root"]);
        assert_eq!(summary, Summary { passed: 3, failed: 0, skipped: 3 });
    }

    #[test]
    fn without_an_archive_tests_are_left_out_and_other_failures_end_all() {
        let mut lacking = Lacking::new(|| Some("no archive".to_owned()));
        assert_eq!(lacking.or_archive("the image's tests", Ok(1)).unwrap(), Some(1));
        assert!(lacking.told.is_empty());
        let nothing = lacking.or_archive::<()>("the image's tests", Err(anyhow::anyhow!("mmdebstrap\nfailed")));
        assert_eq!(nothing.unwrap(), None);
        assert_eq!(lacking.told, ["the image's tests have nothing to boot: no archive: mmdebstrap failed"]);
        let mut lacking = Lacking::new(|| None);
        let error = lacking.or_archive::<()>("the image's tests", Err(anyhow::anyhow!("it does not build"))).unwrap_err();
        assert_eq!(error.to_string(), "it does not build");
        assert!(lacking.told.is_empty());
    }

    #[test]
    fn a_program_that_died_is_a_failure() {
        assert_eq!(count(&["running 3 tests", "test a ... ok", "running 6 tests", OK], false, &[]).failed, 1);
        assert_eq!(count(&["running 6 tests", OK, "running 1 test"], false, &[]).failed, 1);
        assert_eq!(count(&[], false, &[]).failed, 1);
    }
}
