//! The text of a policy, and where its lines start.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::NamedSource;

/// A place in the text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column in characters.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A named text with an index of its lines.
#[derive(Clone, Debug)]
pub(super) struct Source {
    named: Arc<NamedSource<String>>,
    line_starts: Vec<usize>,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { named: Arc::new(NamedSource::new(name, text.to_owned())), line_starts }
    }

    pub fn named(&self) -> Arc<NamedSource<String>> {
        Arc::clone(&self.named)
    }

    fn text(&self) -> &str {
        self.named.inner()
    }

    /// The span, kept within the text's lines: what is missing at the end of the file is shown in its last line.
    pub fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let text = self.text();
        let last = text.strip_suffix('\n').unwrap_or(text).len();
        let start = text.floor_char_boundary(span.start.min(last));
        let end = text.ceil_char_boundary(span.end.min(last)).max(start);
        start..end
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.line_starts[line - 1];
        Position { line, column: self.text()[start..offset].chars().count() + 1 }
    }

    /// The line of a byte offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset).max(1)
    }
}
