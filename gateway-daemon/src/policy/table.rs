//! One table of the text: keys are asked for by name, and what nobody asked for is unknown.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ShapeError, Suggestion};
use super::findings::Findings;
use super::value::Value;

#[derive(Debug)]
struct Entry<'t> {
    key: &'t Spanned<DeString<'t>>,
    node: &'t Spanned<DeValue<'t>>,
    taken: bool,
}

/// A table whose keys are taken out one by one.
#[derive(Debug)]
pub(super) struct Table<'t> {
    entries: Vec<Entry<'t>>,
    asked: Vec<&'static str>,
    span: Range<usize>,
    place: String,
}

impl<'t> Table<'t> {
    /// `span` is the header's, `place` names the table in messages.
    pub fn new(table: &'t DeTable<'t>, span: Range<usize>, place: String) -> Self {
        let mut entries: Vec<Entry<'t>> = table.iter().map(|(key, node)| Entry { key, node, taken: false }).collect();
        entries.sort_by_key(|entry| entry.key.span().start);
        Self { entries, asked: Vec::new(), span, place }
    }

    /// The header, for what concerns the table as a whole.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of `key`, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.asked.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key.get_ref() == key)?;
        entry.taken = true;
        Some(Value { key: entry.key.get_ref(), node: entry.node })
    }

    /// The value of `key`, which must be there; `example` as it would stand in the text.
    pub fn require(&mut self, findings: &mut Findings, key: &'static str, example: &'static str) -> Option<Value<'t>> {
        let value = self.take(key);
        if value.is_none() {
            findings.add(self.span(), ShapeError::MissingKey(key, self.place.clone(), example));
        }
        value
    }

    /// All entries in the order of the text, for tables whose keys the operator chooses.
    pub fn into_entries(self) -> impl Iterator<Item = (Range<usize>, Value<'t>)> {
        self.entries.into_iter().map(|entry| (entry.key.span(), Value { key: entry.key.get_ref(), node: entry.node }))
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self, findings: &mut Findings) {
        for entry in self.entries.iter().filter(|entry| !entry.taken) {
            let suggestion = Suggestion::new(entry.key.get_ref(), self.asked.iter().copied());
            findings.add(entry.key.span(), ShapeError::UnknownKey(entry.key.get_ref().to_string(), self.place.clone(), suggestion));
        }
    }
}
