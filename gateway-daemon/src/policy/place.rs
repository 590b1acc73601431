//! Where a key or a rule of a valid policy stands, for messages about policies that are valid but cannot be taken up now.

use toml::de::DeTable;

use super::source::{Position, Source};
use crate::model::RuleName;

/// The line and column of `[table] key`; `None` when the policy does not give it.
#[must_use]
pub fn place(text: &str, table: &str, key: &str) -> Option<Position> {
    let document = DeTable::parse(text).ok()?;
    let (_, value) = document.get_ref().iter().find(|(name, _)| name.get_ref() == table)?;
    let (name, _) = value.get_ref().as_table()?.iter().find(|(name, _)| name.get_ref() == key)?;
    Some(Source::new("", text).position(name.span().start))
}

/// The line and column of the name of the rule of this name, in whatever list; `None` when the policy has no such rule.
#[must_use]
pub fn place_of_rule(text: &str, rule: &RuleName) -> Option<Position> {
    const LISTS: [(&str, &str); 3] = [("nat", "source"), ("nat", "destination"), ("firewall", "rules")];
    let document = DeTable::parse(text).ok()?;
    let rules =
        LISTS.iter().filter_map(|(table, list)| document.get_ref().get(*table)?.get_ref().as_table()?.get(*list)?.get_ref().as_array());
    let mut names = rules.flat_map(|list| list.iter()).filter_map(|rule| rule.get_ref().as_table()?.get("name"));
    let name = names.find(|name| name.get_ref().as_str() == Some(&rule.0))?;
    Some(Source::new("", text).position(name.span().start))
}

#[cfg(test)]
mod tests {
    use super::{place, place_of_rule};
    use crate::model::RuleName;

    #[test]
    fn a_rule_is_found_by_its_name_in_every_list() {
        let text = "version = 1\n[[nat.source]]\nname = \"out\"\n[[firewall.rules]]\nfrom = \"out\"\n  name = \"in \\\"a\\\"\"\n";
        let found = |name: &str| place_of_rule(text, &RuleName(name.to_owned())).map(|place| (place.line, place.column));
        assert_eq!(found("out"), Some((3, 8)));
        assert_eq!(found("in \"a\""), Some((6, 10)));
        assert_eq!(found("elsewhere"), None);
    }

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text = "version = 1\n\n[datapath]\nmode = \"tc\"\n  flows = 128\n";
        let found = place(text, "datapath", "flows").unwrap();
        assert_eq!((found.line, found.column), (5, 3));
        assert_eq!(place(text, "datapath", "flows-per-host"), None);
        assert_eq!(place("[", "datapath", "flows"), None);
    }
}
