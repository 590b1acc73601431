//! Rules that an earlier rule leaves nothing for.

use super::context::{Context, Placed};
use super::error::{PolicyError, RuleError, Warning};
use super::matching::{Comparable, Known, Matching};

/// Compares each rule with all before it: harmless where both do the same, an error where the later would do something else.
pub(super) fn unreachable<T>(
    rules: &[Placed<T>],
    cx: &mut Context,
    name: impl Fn(&T) -> &str,
    matching: impl Fn(&T) -> Matching,
    same_effect: impl Fn(&T, &T) -> bool,
) {
    let mut known = Known::default();
    let mut comparable = |placed: &Placed<T>| Comparable::new(matching(&placed.rule), &cx.sets, &mut known);
    let matchings: Vec<Comparable> = rules.iter().map(&mut comparable).collect();
    for (i, later) in rules.iter().enumerate() {
        let Some(j) = (0..i).find(|&j| matchings[j].covers(&matchings[i])) else {
            continue;
        };
        let earlier = &rules[j];
        let (by, line) = (name(&earlier.rule).to_owned(), cx.findings.line(earlier.span.start));
        let error: PolicyError = if same_effect(&earlier.rule, &later.rule) {
            Warning::Redundant(by, line).into()
        } else {
            RuleError::Unreachable(by, line).into()
        };
        cx.findings.add_with(later.span.clone(), error, earlier.span.clone(), "matches first");
    }
}
