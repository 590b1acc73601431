//! Whether a table is still as it was applied.

use serde::Deserialize;

use super::ruleset::{Ruleset, table_name};
use super::{NftError, program};

/// What tells a table from one that somebody has emptied, replaced or added to, without reading its sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The kernel gives every table another one.
    handle: u64,
    chains: usize,
    rules: usize,
    sets: usize,
}

impl Shape {
    /// The instance's table as it is now; `None` when there is none.
    ///
    /// # Errors
    /// When nft is missing, refuses, or answers something unreadable.
    pub async fn of(instance: &str) -> Result<Option<Self>, NftError> {
        let table = table_name(instance);
        match program::outline(&table).await? {
            Some(answer) => read(&answer).map(Some).map_err(|error| NftError::Answer { table, message: error.to_string() }),
            None => Ok(None),
        }
    }

    /// False when it is certainly not the table of that ruleset: somebody has been quicker than who looked.
    #[must_use]
    pub fn may_be_of(&self, ruleset: &Ruleset) -> bool {
        self.rules == ruleset.rules()
    }
}

/// Of nft's answer, only what is needed: newer versions of nft may add to the rest.
fn read(answer: &[u8]) -> Result<Shape, serde_json::Error> {
    #[derive(Deserialize)]
    struct Answer {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Object {
        Table {
            handle: u64,
        },
        Chain {},
        Rule {},
        Set {},
        Map {},
        #[serde(untagged)]
        Other(serde::de::IgnoredAny),
    }
    let answer: Answer = serde_json::from_slice(answer)?;
    let mut shape = Shape { handle: 0, chains: 0, rules: 0, sets: 0 };
    for object in answer.nftables {
        match object {
            Object::Table { handle } => shape.handle = handle,
            Object::Chain {} => shape.chains += 1,
            Object::Rule {} => shape.rules += 1,
            Object::Set {} | Object::Map {} => shape.sets += 1,
            Object::Other(_) => {}
        }
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfts_list_is_counted() {
        // As nft 1.0.6 answers.
        let answer = br#"{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"table": {"family": "inet", "name": "x", "handle": 7}},
            {"map": {"family": "inet", "name": "m", "table": "x", "type": "ifname", "handle": 1, "map": "mark", "elem": [["a", 1]]}},
            {"counter": {"family": "inet", "name": "c", "table": "x", "handle": 2, "packets": 0, "bytes": 0}},
            {"chain": {"family": "inet", "table": "x", "name": "forward", "handle": 3}},
            {"rule": {"family": "inet", "table": "x", "chain": "forward", "handle": 4, "expr": [{"accept": null}]}},
            {"rule": {"family": "inet", "table": "x", "chain": "forward", "handle": 5, "expr": []}}]}"#;
        assert_eq!(read(answer).unwrap(), Shape { handle: 7, chains: 1, rules: 2, sets: 1 });
        assert!(read(b"[]").is_err());
    }
}
