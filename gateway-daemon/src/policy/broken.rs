//! A text that is not TOML: every syntax error, and what can still be said of the rest.

use std::collections::HashSet;
use std::ops::Range;

use toml::de::{DeTable, Error};

use super::diagnostic::Diagnostic;
use super::document::document;
use super::error::ShapeError;
use super::findings::Findings;
use super::source::Source;

/// Each piece parses the rest of the text once more.
const PIECES: usize = 16;

/// All findings of a text that the parser refused with `errors`, at least one of them an error.
pub(super) fn broken(source: &Source, text: &str, errors: &[Error]) -> Vec<Diagnostic> {
    let pieces = pieces(text, errors);
    let mut syntax = Vec::new();
    let mut rest = Vec::new();
    for piece in &pieces {
        let (root, errors) = DeTable::parse_recoverable(&text[piece.clone()]);
        let last = text[piece.clone()].trim_end().len();
        syntax.extend(findings(source, piece.start, last, &errors));
        let (_, found) = document(root.get_ref(), Findings::new(source, piece.start));
        // The keys before a later piece's first header belong to a table whose header is in an earlier piece.
        let from = if piece.start == 0 { 0 } else { first_header(text, piece.clone()) };
        rest.extend(found.into_iter().filter(|d| d.start() >= from));
    }
    if syntax.is_empty() {
        syntax = findings(source, 0, text.len(), errors);
    }
    // A string that is not closed swallows the bracket behind it, and is the cause of both errors.
    syntax.sort_by_key(|d| (d.position(), !d.to_string().contains("string")));
    // One slip makes the parser stumble more than once in its line.
    syntax.dedup_by_key(|d| d.position().line);
    // What the parser had to skip must not be called missing, and what it guessed at must not be judged.
    let lines: HashSet<usize> = syntax.iter().map(|d| d.position().line).collect();
    rest.retain(|d| d.error().is_local() && !lines.contains(&d.position().line));
    syntax.extend(rest);
    syntax.sort_by_key(Diagnostic::position);
    syntax
}

fn findings(source: &Source, base: usize, last: usize, errors: &[Error]) -> Vec<Diagnostic> {
    let mut findings = Findings::new(source, base);
    for error in errors {
        let shape = match error.message() {
            "duplicate key" => ShapeError::DuplicateKey,
            message => ShapeError::Syntax(message.to_owned()),
        };
        let span = error.span().unwrap_or_default();
        findings.add(span.start.min(last)..span.end.min(last), shape);
    }
    findings.into_diagnostics()
}

/// Where a list or inline table is not closed, the parser takes all that follows for its elements. The text is cut where a line
/// is plainly the next key or table, so that the missing bracket is one error, and the rest is read as what it is.
fn pieces(text: &str, errors: &[Error]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut cut = cut(text, errors);
    while let Some(at) = cut {
        pieces.push(start..start + at);
        start += at;
        if pieces.len() == PIECES {
            break;
        }
        let (_, errors) = DeTable::parse_recoverable(&text[start..]);
        cut = self::cut(&text[start..], &errors);
    }
    pieces.push(start..text.len());
    pieces
}

/// The start of the first line that was taken for a part of a list or inline table and is plainly something else.
fn cut(text: &str, errors: &[Error]) -> Option<usize> {
    errors.iter().find_map(|error| {
        let inside = ["array", "inline table", "key-value pairs"].iter().any(|place| error.message().contains(place));
        let at = text.floor_char_boundary(error.span()?.start.min(text.len()));
        let start = text[..at].rfind('\n')? + 1;
        (inside && is_statement(text[start..].lines().next()?)).then_some(start)
    })
}

/// `[header]`, `[[header]]` or `key = ...` at the start of a line; what is indented may well be an element.
fn is_statement(line: &str) -> bool {
    if line.starts_with('[') {
        return is_header(line);
    }
    let key = line.find(|c: char| !is_key(c)).unwrap_or(line.len());
    key > 0 && line[key..].trim_start().starts_with('=')
}

fn is_header(line: &str) -> bool {
    let inner = line.trim_start_matches('[');
    let name = inner.find(']').map_or("", |end| &inner[..end]);
    line.starts_with('[') && !name.is_empty() && name.chars().all(is_key)
}

fn is_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn first_header(text: &str, piece: Range<usize>) -> usize {
    let mut at = piece.start;
    for line in text[piece.clone()].split_inclusive('\n') {
        if is_header(line) {
            return at;
        }
        at += line.len();
    }
    piece.end
}
