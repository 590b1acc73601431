//! Identifiers of sets, maps, counters and limits: the policy's own names as far as nft can write them, and each once.

use std::collections::{HashMap, HashSet};

/// The set of all zone interfaces.
pub(super) const ZONE_INTERFACES: &str = "zone_interfaces";
/// The map from two interfaces to their zones.
pub(super) const ZONE_PAIRS: &str = "zone_pairs";

/// Long enough to recognise a rule by; nft takes 255 bytes (NFT_NAME_MAXLEN in include/uapi/linux/netfilter/nf_tables.h).
const LENGTH: usize = 60;

/// The identifiers given so far.
#[derive(Clone, Debug)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// Where the search for a free number begins: many names may differ only in what nft cannot write.
    next: HashMap<String, u32>,
}

impl Default for Names {
    /// A zone may be called "interfaces".
    fn default() -> Self {
        Self { taken: [ZONE_INTERFACES, ZONE_PAIRS].map(str::to_owned).into(), next: HashMap::new() }
    }
}

impl Names {
    /// `<kind>_<name>`, with a number at the end when another already has it.
    pub fn give(&mut self, kind: &str, name: &str) -> String {
        let plain: String = name.chars().take(LENGTH).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let wanted = format!("{kind}_{plain}");
        let next = self.next.entry(wanted.clone()).or_insert(1);
        let mut given = wanted.clone();
        while !self.taken.insert(given.clone()) {
            *next += 1;
            given = format!("{wanted}_{next}");
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_kept_and_never_shared() {
        let mut names = Names::default();
        assert_eq!(names.give("rule", "rdp-from on.prem"), "rule_rdp_from_on_prem");
        assert_eq!(names.give("rule", "rdp from on prem 2"), "rule_rdp_from_on_prem_2");
        assert_eq!(names.give("rule", "rdp from on prem"), "rule_rdp_from_on_prem_3");
        assert_eq!(names.give("set", "büro"), "set_b_ro");
        assert_eq!(names.give("zone", "pairs"), "zone_pairs_2");
    }
}
