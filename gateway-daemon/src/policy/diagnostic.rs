//! One finding with its place in the text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic as _, LabeledSpan, NamedSource, Severity, SourceCode};

use super::error::PolicyError;
use super::source::{Position, Source};

/// Characters of a message: a quoted string that is not closed can be half the file.
const MESSAGE: usize = 400;

/// A second place that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Related {
    /// Byte range.
    pub span: Range<usize>,
    /// What stands there.
    pub label: &'static str,
}

/// What is wrong, where, and what to write instead.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    error: PolicyError,
    span: Range<usize>,
    related: Option<Related>,
    position: Position,
    end: Position,
    source: Arc<NamedSource<String>>,
}

impl Diagnostic {
    pub(super) fn new(source: &Source, error: PolicyError, span: Range<usize>, related: Option<Related>) -> Self {
        let span = source.clamp(span);
        let related = related.map(|r| Related { span: source.clamp(r.span), label: r.label });
        Self { error, position: source.position(span.start), end: source.position(span.end), span, related, source: source.named() }
    }

    /// What is wrong.
    #[must_use]
    pub fn error(&self) -> &PolicyError {
        &self.error
    }

    /// True for what leaves the policy valid.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.error.is_warning()
    }

    /// The name of the file, as it was given to `load`.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The byte where the offending text starts.
    pub(super) fn start(&self) -> usize {
        self.span.start
    }

    /// Where the offending text starts.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Just behind the offending text.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// The stable name of this kind of finding, such as `unknown-key`.
    #[must_use]
    pub fn code_name(&self) -> String {
        self.error.code().map(|c| c.to_string()).unwrap_or_default()
    }

    /// What to write instead.
    #[must_use]
    pub fn help_text(&self) -> String {
        self.error.help().map(|h| printable(&h.to_string())).unwrap_or_default()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = printable(&self.error.to_string());
        match text.char_indices().nth(MESSAGE) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// Messages quote the text, in which escapes stand for line breaks and terminal controls.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.code()
    }

    fn severity(&self) -> Option<Severity> {
        self.error.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.help_text()))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source.as_ref())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(Some("here".to_owned()), self.span.clone());
        let related = self.related.iter().map(|r| LabeledSpan::new_with_span(Some(r.label.to_owned()), r.span.clone()));
        Some(Box::new(std::iter::once(primary).chain(related)))
    }
}
