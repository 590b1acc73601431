//! What every test here does: one kernel, booted; every test of the plan, passed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use gateway_tests::skip::{may_use_namespaces, skip};

use crate::machine;
use crate::results::{Outcome, Results};

/// Names the directory that `cargo xtask test --kernels` has built.
const DIRECTORY: &str = "GATEWAY_KERNELS_DIR";

/// One machine at a time: each wants two processors, and the tests in it have time limits.
static TURN: Mutex<()> = Mutex::new(());

/// Which kernels will do: major and minor version.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// This series.
    Exactly(u32, u32),
    /// Anything later than this series.
    After(u32, u32),
}

impl Wanted {
    fn is(self, release: &str) -> bool {
        let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match self {
            Self::Exactly(major, minor) => version == (major, minor),
            Self::After(major, minor) => version > (major, minor),
        }
    }
}

/// Boots the kernel in the directory `name`, and panics with what failed in it.
pub fn boots(test: &str, name: &str, wanted: Wanted) {
    if !may_use_namespaces(test) {
        return;
    }
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return skip(test, "no kernels: GATEWAY_KERNELS_DIR is not set; `cargo xtask test --kernels` fetches and boots them");
    };
    // A machine whose tests failed does not keep the next one from its turn.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (results, took) = machine::run(&directory, name).unwrap();
    println!("{}", table(&results, took.as_secs()));
    assert!(wanted.is(&results.kernel), "asked for {name}, booted {}", results.kernel);
    // What runs on the plan's kernels has nothing to skip: a part that is missing is a fault of what was built.
    assert!(results.skipped.is_empty(), "{}: skipped: {:#?}", results.kernel, results.skipped);
    assert!(!results.tests.is_empty(), "{}: the plan names no test", results.kernel);
    let failed: Vec<&str> =
        results.tests.iter().filter(|(_, outcome)| *outcome == Outcome::Failed).map(|(name, _)| name.as_str()).collect();
    assert!(
        failed.is_empty() && results.died.is_empty(),
        "{}: failed: {failed:#?}, died: {:?}\n{}",
        results.kernel,
        results.died,
        results.text
    );
}

fn table(results: &Results, seconds: u64) -> String {
    let mut text = format!("Linux {}, {} tests, {seconds} s:\n", results.kernel, results.tests.len());
    for (name, outcome) in &results.tests {
        text.push_str(&format!("  {outcome:<6}  {name}\n"));
    }
    text
}

#[test]
fn a_kernel_of_another_series_is_told() {
    assert!(Wanted::Exactly(6, 1).is("6.1.0-50-cloud-amd64"));
    assert!(!Wanted::Exactly(6, 1).is("6.12.107+deb13-cloud-amd64"));
    assert!(Wanted::After(6, 12).is("7.2.13+deb14-cloud-amd64") && Wanted::After(6, 12).is("6.18"));
    assert!(!Wanted::After(6, 12).is("6.12.107+deb13-cloud-amd64"));
}
