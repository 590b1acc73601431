//! Where a key of a valid policy stands, for messages about policies that are valid but cannot be taken up now.

use toml::de::DeTable;

use super::source::{Position, Source};

/// The line and column of `[table] key`; `None` when the policy does not give it.
#[must_use]
pub fn place(text: &str, table: &str, key: &str) -> Option<Position> {
    let document = DeTable::parse(text).ok()?;
    let (_, value) = document.get_ref().iter().find(|(name, _)| name.get_ref() == table)?;
    let (name, _) = value.get_ref().as_table()?.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(Source::new("", text).position(name.span().start))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text = "version = 1\n\n[datapath]\nmode = \"tc\"\n  flows = 128\n";
        let found = place(text, "datapath", "flows").unwrap();
        assert_eq!((found.line, found.column), (5, 3));
        assert_eq!(place(text, "datapath", "flows-per-host"), None);
        assert_eq!(place("[", "datapath", "flows"), None);
    }
}
