//! Part by part: what one has measured outlives the failure of another.

use std::fmt::Debug;

use anyhow::Result;

use crate::figure::{Missing, Results};

/// Measures every part, whatever becomes of the others; those that failed, and why. After Ctrl-C each fails at once.
pub fn perform<P: Debug>(parts: &[P], say: impl Fn(&str), measure: impl Fn(&P) -> Result<()>) -> Vec<Missing> {
    let failed = parts.iter().filter_map(|part| Some((part, measure(part).err()?)));
    let failed = failed.map(|(part, error)| Missing { what: format!("{part:?}"), why: format!("{error:#}") });
    failed.inspect(|Missing { what, why }| say(&format!("failed: {what}: {why}"))).collect()
}

/// Why a run is not to be trusted as a whole; whoever runs it in a script learns of it by the exit code.
///
/// A void try counts though a later one was whole: retries would make a gateway that loses packets look well.
#[must_use]
pub fn reservations(results: &Results) -> Vec<String> {
    let failed = results.failed.iter().map(|Missing { what, why }| format!("failed: {what}: {why}"));
    let void = results.figures.iter().filter(|figure| figure.has_void()).map(|figure| {
        let rounds = figure.samples.iter().filter(|sample| sample.is_none()).count();
        let (metric, subject, case, tries) = (figure.metric, &figure.subject, &figure.case, figure.void.len());
        let of = figure.samples.len();
        format!("not to be trusted: {metric:?} of {subject} in {case}: {tries} tries void, and {rounds} of {of} rounds")
    });
    let nothing = results.figures.is_empty().then(|| "nothing was measured".to_owned());
    failed.chain(void).chain(nothing).collect()
}
