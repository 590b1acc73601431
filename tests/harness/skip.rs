//! A test that cannot run says so, and is counted as skipped instead of passed.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file to which every skip appends one line; `cargo xtask test` sets it and subtracts the lines from the passes.
pub const SKIP_LOG: &str = "GATEWAY_SKIP_LOG";

/// Records that `test` (`file::function`, unique in the workspace) could not run because of `why`.
///
/// Prints one line beginning with `skipped: `. The caller returns right after it.
///
/// # Panics
/// When the log cannot be written: a skip that is not counted would look like a pass.
pub fn skip(test: &str, why: &str) {
    // The two are told apart by the first `: `, which no function path contains.
    let line = format!("{test}: {why}").replace('\n', " ") + "\n";
    print!("skipped: {line}");
    if let Some(path) = std::env::var_os(SKIP_LOG) {
        // One write of a whole line in append mode: tests of several threads and processes do not interleave.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("{SKIP_LOG}={}: {error}", path.display()));
    }
}

/// True when this process may make namespaces; otherwise records the skip of `test` and returns false.
///
/// ```no_run
/// fn forwards_a_ping() {
///     if !gateway_tests::skip::may_use_namespaces("netns::forwards_a_ping") {
///         return;
///     }
/// }
/// ```
#[must_use]
pub fn may_use_namespaces(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        skip(test, "needs root to make network namespaces");
        return false;
    }
    if let Err(error) = std::process::Command::new("ip").arg("-Version").output() {
        skip(test, &format!("needs the ip command: {error}"));
        return false;
    }
    true
}
