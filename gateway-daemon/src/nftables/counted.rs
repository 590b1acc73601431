//! What the ruleset counts, each in a counter object of its own, and reading those back.

use std::collections::BTreeMap;

use gateway_ebpf::abi::DropReason;
use serde::Deserialize;

use super::names::Names;
use super::{NftError, Ruleset, program};
use crate::model::RuleName;

/// What a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Guard, and addresses of one link: dropped while being forwarded from a zone interface by the kernel.
    ForwardedFrom,
    /// Guard: dropped while being forwarded to a zone interface by the kernel.
    ForwardedTo,
    /// Forwarded as part of a flow that had been accepted before.
    Flow,
    /// Forwarded as the first packet of a flow that the firewall's default accepted.
    DefaultAccept,
    /// Accepted by the gateway itself as part of a connection of its own.
    Established,
    /// Accepted by the gateway itself as neighbour discovery, or as an answer to its DHCP client.
    Essential,
    /// For the gateway itself, and no rule matched.
    Default,
    /// Matched this rule, whatever became of it.
    Rule(RuleName),
    /// Dropped as over this rule's rate.
    OverRate(RuleName),
    /// Not forwarded, for this reason. What a rule refuses counts here as well.
    Reason(DropReason),
}

impl Counted {
    /// What the counter object's comment says.
    pub(super) fn comment(&self) -> &str {
        match self {
            Self::ForwardedFrom => "forwarded from a zone",
            Self::ForwardedTo => "forwarded to a zone",
            Self::Flow => "packets of accepted flows",
            Self::DefaultAccept => "accepted by default",
            Self::Established => "established",
            Self::Essential => "essential",
            Self::Default => "default",
            Self::Rule(rule) | Self::OverRate(rule) => &rule.0,
            Self::Reason(reason) => reason.label(),
        }
    }

    pub(super) fn name(&self, names: &mut Names) -> String {
        match self {
            Self::ForwardedFrom => names.give("forwarded", "from zone"),
            Self::ForwardedTo => names.give("forwarded", "to zone"),
            Self::Flow => names.give("accepted", "flow"),
            Self::DefaultAccept => names.give("accepted", "default"),
            Self::Established => names.give("input", "established"),
            Self::Essential => names.give("input", "essential"),
            Self::Default => names.give("input", "default"),
            Self::Rule(rule) => names.give("rule", &rule.0),
            Self::OverRate(rule) => names.give("over_rate", &rule.0),
            Self::Reason(reason) => names.give("drop", reason.label()),
        }
    }
}

/// Packets and bytes of one [`Counted`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What was counted.
    pub counted: Counted,
    /// Packets since the ruleset was first applied, or since the counts it was applied with.
    pub packets: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
}

impl Ruleset {
    /// What this ruleset has counted since it was applied, in no particular order; empty when its table is gone. Only the counters are
    /// asked for, however large the sets are.
    ///
    /// # Errors
    /// When nft is missing or refuses.
    pub async fn counters(&self) -> Result<Vec<Count>, NftError> {
        match program::counters(self.table_name()).await? {
            Some(answer) => read(self.table_name(), &self.counters, &answer),
            None => Ok(Vec::new()),
        }
    }
}

/// Of nft's answer, only what is needed: newer versions of nft may add to the rest.
fn read(table: &str, known: &BTreeMap<String, Counted>, answer: &[u8]) -> Result<Vec<Count>, NftError> {
    #[derive(Deserialize)]
    struct Answer {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        counter: Option<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        name: String,
        packets: u64,
        bytes: u64,
    }
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|error| NftError::Answer { table: table.to_owned(), message: error.to_string() })?;
    let counters = answer.nftables.into_iter().filter_map(|object| object.counter);
    let count = |listed: Listed| Some(Count { counted: known.get(&listed.name)?.clone(), packets: listed.packets, bytes: listed.bytes });
    Ok(counters.filter_map(count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nfts_list_is_read_by_name() {
        let rule = Counted::Rule(RuleName("a \"b\"".to_owned()));
        let known = BTreeMap::from([("rule_a__b_".to_owned(), rule.clone())]);
        // As nft 1.0.6 answers.
        let answer = br#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
            {"counter": {"family": "inet", "name": "rule_a__b_", "table": "x", "handle": 6, "comment": "a 'b'", "packets": 5, "bytes": 6000000000}},
            {"counter": {"family": "inet", "name": "other", "table": "x", "handle": 7, "packets": 1, "bytes": 60}}]}"#;
        assert_eq!(read("x", &known, answer).unwrap(), [Count { counted: rule, packets: 5, bytes: 6_000_000_000 }]);
        assert!(read("x", &known, b"{}").is_err());
    }
}
