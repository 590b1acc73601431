//! Each kind of error: a policy with the offending text between `«` and `»`, and the codes in the order of the text.

mod limit;
mod reference;
mod report;
mod rule;
mod shape;
mod value;

use super::{Position, Report, load};

/// What most cases need; their own text follows.
const BASE: &str = "version = 1\nzones.lan = [\"lan0\"]\nzones.wan = [\"wan0\"]\n";

/// The report of a text, or an empty one where it is valid.
fn report(text: &str) -> Report {
    match load("policy.toml", text) {
        Ok(checked) => Report::new(checked.warnings),
        Err(report) => report,
    }
}

/// Takes the marks out and says where they were.
fn unmark(marked: &str) -> (String, Vec<(Position, Position)>) {
    let (mut text, mut starts, mut places) = (String::new(), Vec::new(), Vec::new());
    let mut here = Position { line: 1, column: 1 };
    for c in marked.chars() {
        match c {
            '«' => starts.push(here),
            '»' => places.push((starts.pop().expect("«"), here)),
            _ => {
                text.push(c);
                here = match c {
                    '\n' => Position { line: here.line + 1, column: 1 },
                    _ => Position { column: here.column + 1, ..here },
                };
            }
        }
    }
    places.sort();
    (text, places)
}

/// Asserts that the whole text has exactly these findings, at the marks.
#[track_caller]
fn assert_whole(marked: &str, codes: &[&str]) {
    let (text, places) = unmark(marked);
    let report = report(&text);
    let found: Vec<_> = report.diagnostics().iter().map(|d| (d.code_name(), (d.position(), d.end()))).collect();
    let wanted: Vec<_> = codes.iter().map(|code| (*code).to_owned()).zip(places).collect();
    assert_eq!(wanted.len(), codes.len(), "as many marks as codes in:\n{marked}");
    assert_eq!(found, wanted, "in:\n{marked}\nreport:\n{report}");
    for diagnostic in report.diagnostics() {
        assert!(!diagnostic.help_text().is_empty(), "no help: {diagnostic}");
    }
}

/// The same, below [`BASE`].
#[track_caller]
fn assert_findings(marked: &str, codes: &[&str]) {
    assert_whole(&format!("{BASE}{marked}"), codes);
}
