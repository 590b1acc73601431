//! One value of the text, read as what a key wants it to be.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::DeValue;

use super::error::{PolicyError, ShapeError, Suggestion, ValueError};
use super::findings::Findings;
use super::table::Table;

/// A value and the key it belongs to; an element of a list belongs to the list's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'t> {
    pub key: &'t str,
    pub node: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    pub fn span(&self) -> Range<usize> {
        self.node.span()
    }

    /// Its type, for people.
    pub fn type_name(&self) -> &'static str {
        match self.node.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    pub fn wrong_type(&self, findings: &mut Findings, wanted: &'static str, example: &'static str) {
        findings.add(self.span(), ShapeError::WrongType(self.key.to_owned(), wanted, self.type_name(), example));
    }

    /// A string; `example` as it would stand in the text.
    pub fn string(&self, findings: &mut Findings, example: &'static str) -> Option<&'t str> {
        let text = self.node.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(findings, "a string", example);
        }
        text
    }

    /// A string with a meaning of its own.
    pub fn parsed<T, E: Into<PolicyError>>(
        &self,
        findings: &mut Findings,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.string(findings, example)?;
        parse(text).map_err(|error| findings.add(self.span(), error)).ok()
    }

    /// One of a few strings; `choices` is not empty.
    pub fn choice<T: Copy>(&self, findings: &mut Findings, example: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let text = self.string(findings, example)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let suggestion = Suggestion::new(text, choices.iter().map(|(name, _)| *name));
            findings.add(self.span(), ValueError::Choice(self.key.to_owned(), text.to_owned(), suggestion));
        }
        found
    }

    pub fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        let value = self.node.get_ref().as_bool();
        if value.is_none() {
            self.wrong_type(findings, "true or false", "true");
        }
        value
    }

    /// A whole number within `range`.
    pub fn number<T: TryFrom<u64>>(&self, findings: &mut Findings, range: RangeInclusive<u64>, example: &'static str) -> Option<T> {
        let Some(integer) = self.node.get_ref().as_integer() else {
            self.wrong_type(findings, "a number", example);
            return None;
        };
        let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|value| range.contains(value));
        let value = value.and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            findings.add(self.span(), ValueError::Range(self.key.to_owned(), integer.to_string(), *range.start(), *range.end()));
        }
        value
    }

    /// The elements of a list that is not empty.
    pub fn list(&self, findings: &mut Findings, example: &'static str) -> Option<Vec<Value<'t>>> {
        let Some(array) = self.node.get_ref().as_array() else {
            self.wrong_type(findings, "a list", example);
            return None;
        };
        if array.is_empty() {
            findings.add(self.span(), ShapeError::EmptyList(self.key.to_owned(), example));
            return None;
        }
        Some(array.iter().map(|node| Value { key: self.key, node }).collect())
    }

    /// A table, written as `[path]` or inline.
    pub fn table(&self, findings: &mut Findings, path: &str) -> Option<Table<'t>> {
        let Some(table) = self.node.get_ref().as_table() else {
            findings.add(self.span(), ShapeError::NotATable(self.key.to_owned(), "a table", self.type_name(), format!("[{path}]")));
            return None;
        };
        Some(Table::new(table, self.span(), format!("`[{path}]`")))
    }

    /// A list of tables, written as `[[path]]` each or inline.
    pub fn tables(&self, findings: &mut Findings, path: &str) -> Vec<Table<'t>> {
        let DeValue::Array(array) = self.node.get_ref() else {
            findings
                .add(self.span(), ShapeError::NotATable(self.key.to_owned(), "a list of tables", self.type_name(), format!("[[{path}]]")));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for node in array.iter() {
            match node.get_ref() {
                DeValue::Table(table) => tables.push(Table::new(table, node.span(), format!("`[[{path}]]`"))),
                _ => findings.add(
                    node.span(),
                    ShapeError::NotATable(
                        self.key.to_owned(),
                        "a list of tables",
                        Value { key: self.key, node }.type_name(),
                        format!("[[{path}]]"),
                    ),
                ),
            }
        }
        tables
    }
}
