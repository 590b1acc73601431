//! What the machine said on its second serial port, read.

use std::fmt;

use anyhow::{Context, Result, ensure};

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// As it should not.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Passed => "ok",
            Self::Failed => "FAILED",
        })
    }
}

/// Everything that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// The kernel's release, as `uname -r` has it.
    pub kernel: String,
    /// `program::path::of::test`, and how it ended.
    pub tests: Vec<(String, Outcome)>,
    /// Programs that began and gave no result.
    pub died: Vec<String>,
    /// What the tests said of what they could not do.
    pub skipped: Vec<String>,
    /// All of it, as it came.
    pub text: String,
}

impl Results {
    /// Reads it.
    ///
    /// # Errors
    /// When the machine did not come to its end.
    pub fn parse(text: &str) -> Result<Self> {
        let mut results = Self { text: text.to_owned(), ..Self::default() };
        let mut program: Option<&str> = None;
        let mut finished = false;
        for line in text.lines().map(str::trim_end) {
            if let Some(release) = line.strip_prefix("kernel ") {
                results.kernel = release.to_owned();
            } else if let Some(next) = line.strip_prefix("program ") {
                results.died.extend(program.replace(next).map(str::to_owned));
            } else if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... ")) {
                // Ignored ones are the long forms of tests, and none of the plan's.
                let outcome = match outcome {
                    "ok" => Outcome::Passed,
                    "FAILED" => Outcome::Failed,
                    _ => continue,
                };
                results.tests.push((format!("{}::{name}", program.unwrap_or_default()), outcome));
            } else if line.starts_with("test result: ") {
                program = None;
            } else if let Some(skipped) = line.strip_prefix("skipped ") {
                results.skipped.push(skipped.to_owned());
            } else if line == "finished" {
                results.died.extend(program.take().map(str::to_owned));
                finished = true;
            }
        }
        ensure!(finished, "the machine did not come to its end; it said:\n{text}");
        ensure!(!results.kernel.is_empty(), "the machine did not say which kernel it runs");
        Ok(results)
    }
}

/// Reads the file.
///
/// # Errors
/// When it cannot be read, and as [`Results::parse`].
pub fn read(path: &std::path::Path) -> Result<Results> {
    let bytes = std::fs::read(path).with_context(|| format!("no results in {}", path.display()))?;
    Results::parse(&String::from_utf8_lossy(&bytes))
}

#[test]
fn tests_are_counted_under_their_program_and_a_program_that_died_is_named() {
    let text = "kernel 6.1.0-50\r\nprogram netns\r\ntest a::b ... ok\r\ntest a::c ... FAILED\r\ntest a::d ... ignored, long\r\n\
                test result: FAILED. 1 passed\r\nprogram parity\r\nrunning 1 test\r\nprogram verifier\r\ntest v ... ok\r\n\
                test result: ok. 1 passed\r\nskipped x: no root\r\nfinished\r\n";
    let results = Results::parse(text).unwrap();
    assert_eq!(results.kernel, "6.1.0-50");
    let tests: Vec<(&str, Outcome)> = results.tests.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
    assert_eq!(tests, [("netns::a::b", Outcome::Passed), ("netns::a::c", Outcome::Failed), ("verifier::v", Outcome::Passed)]);
    assert_eq!(results.died, ["parity"]);
    assert_eq!(results.skipped, ["x: no root"]);
}

#[test]
fn a_machine_that_stopped_half_way_is_an_error() {
    let error = Results::parse("kernel 6.1\nprogram netns\ntest a ... ok\n").unwrap_err().to_string();
    assert!(error.contains("did not come to its end"), "{error}");
}
