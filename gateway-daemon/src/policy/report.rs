//! All findings of one file.

use std::fmt::{self, Write as _};

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use super::diagnostic::Diagnostic;

/// A terminal's worth of drawings: the rest is counted, and stands in `Display` and JSON.
const DRAWN: usize = 100;

/// A policy that is not valid: every error, and every warning, in the order of the text.
#[derive(Clone, Debug)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

/// One finding as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file's name, as given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Just behind the offending text.
    pub end: FindingEnd,
    /// How bad it is.
    pub severity: FindingSeverity,
    /// The stable name of the kind, such as `unknown-key`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Where the offending text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FindingEnd {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1; the first behind the text.
    pub column: usize,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// The policy is refused.
    Error,
    /// The policy is valid, and suspicious.
    Warning,
}

impl Report {
    pub(super) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics }
    }

    /// Everything, in the order of the text.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What makes the policy invalid; never empty.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|d| !d.is_warning())
    }

    /// What is only suspicious.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|d| d.is_warning())
    }

    /// For a terminal: each finding with its lines, the offending text underlined. `width` in columns.
    #[must_use]
    pub fn render(&self, color: bool, width: usize) -> String {
        render(&self.diagnostics, color, width)
    }

    /// For programs: an array of [`Finding`].
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.diagnostics.iter().map(|d| serde_json::json!(d.finding())).collect()
    }
}

/// For logs: one line per finding, `file:line:column: message (help)`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_char('\n')?;
            }
            f.write_str(&diagnostic.line())?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

impl Diagnostic {
    /// For logs: `file:line:column: message (help)`, warnings marked as such.
    #[must_use]
    pub fn line(&self) -> String {
        let mark = if self.is_warning() { "warning: " } else { "" };
        format!("{}:{}: {mark}{self} ({})", self.file(), self.position(), self.help_text())
    }

    /// The finding as data.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding {
            file: self.file().to_owned(),
            line: self.position().line,
            column: self.position().column,
            end: FindingEnd { line: self.end().line, column: self.end().column },
            severity: if self.is_warning() { FindingSeverity::Warning } else { FindingSeverity::Error },
            code: self.code_name(),
            message: self.to_string(),
            help: self.help_text(),
        }
    }
}

/// Draws findings for a terminal of `width` columns.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(width).with_context_lines(1);
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(DRAWN) {
        // A failed drawing must not hide the finding.
        if handler.render_report(&mut out, diagnostic).is_err() {
            out.push_str(&diagnostic.line());
        }
        out.push('\n');
    }
    if diagnostics.len() > DRAWN {
        let _ = writeln!(out, "... and {} more", diagnostics.len() - DRAWN);
    }
    out
}
