//! What a gateway has counted.

use std::collections::BTreeMap;

use serde_json::Value;

/// Counters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Hits of each firewall rule and of the default.
    pub rules: BTreeMap<String, u64>,
    /// Packets by kind and reason: `drop source-validation`.
    pub reasons: BTreeMap<String, u64>,
}

impl Counters {
    /// Of what `drops` answers.
    pub fn of(drops: &Value) -> Self {
        let list = |key: &str| drops[key].as_array().cloned().unwrap_or_default();
        let packets = |entry: &Value| entry["packets"].as_u64().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let rules = list("rules").into_iter().chain(list("accepted"));
        Self {
            rules: rules.map(|entry| (text(&entry, "rule"), packets(&entry))).collect(),
            reasons: list("reasons")
                .iter()
                .map(|entry| (format!("{} {}", text(entry, "kind"), text(entry, "reason")), packets(entry)))
                .collect(),
        }
    }

    /// What was counted since `before`. Nothing that is zero.
    pub fn since(&self, before: &Self) -> Self {
        let difference = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let grown =
                now.iter().map(|(name, packets)| (name.clone(), packets.saturating_sub(before.get(name).copied().unwrap_or_default())));
            grown.filter(|(_, packets)| *packets > 0).collect()
        };
        Self { rules: difference(&self.rules, &before.rules), reasons: difference(&self.reasons, &before.reasons) }
    }
}
