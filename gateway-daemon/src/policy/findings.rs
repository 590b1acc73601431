//! Collects what is wrong, so that all of it is reported at once.

use std::ops::Range;

use super::diagnostic::{Diagnostic, Related};
use super::error::PolicyError;
use super::source::Source;

/// All findings so far, with their byte ranges.
#[derive(Debug)]
pub(super) struct Findings<'s> {
    source: &'s Source,
    base: usize,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl<'s> Findings<'s> {
    /// `base` is where the text that the spans count from starts in the source.
    pub fn new(source: &'s Source, base: usize) -> Self {
        Self { source, base, found: Vec::new(), errors: 0 }
    }

    /// Something is wrong at `span`.
    pub fn add(&mut self, span: Range<usize>, error: impl Into<PolicyError>) {
        self.push(span, error.into(), None);
    }

    /// Something is wrong at `span`, because of what stands at `first`.
    pub fn add_with(&mut self, span: Range<usize>, error: impl Into<PolicyError>, first: Range<usize>, label: &'static str) {
        self.push(span, error.into(), Some(Related { span: first, label }));
    }

    fn push(&mut self, span: Range<usize>, error: PolicyError, related: Option<Related>) {
        let moved = |span: Range<usize>| span.start + self.base..span.end + self.base;
        let span = moved(span);
        let related = related.map(|r| Related { span: moved(r.span), label: r.label });
        self.errors += usize::from(!error.is_warning());
        self.found.push(Diagnostic::new(self.source, error, span, related));
    }

    /// How many errors there are: a reader compares before and after to learn whether its own part was right.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.source.line(self.base + offset)
    }

    /// All findings in the order of the text.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        found.sort_by_key(|d| (d.position(), d.is_warning()));
        found
    }
}
