//! Numbers of rules and zones: the same name keeps its number through reloads, so that flows, mappings and counters keep their meaning,
//! and interfaces never mean another zone while one bank gives way to the other.

use std::collections::{HashMap, HashSet};

use gateway_ebpf::abi::{RuleId, ZoneId};

use crate::model::{DatapathMode, Model, RuleName, ZoneName};

/// Rule numbers that the eBPF datapath has counters for; 0 is none.
const LAST_RULE: u16 = 4095;
/// Rule numbers that nftables mode has bits of a connection mark for, without 0xffff, which is the default's there.
const LAST_NFTABLES_RULE: u16 = 65_534;

/// The numbers given so far.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    rules: HashMap<RuleName, RuleId>,
    names: HashMap<RuleId, RuleName>,
    zones: HashMap<ZoneName, ZoneId>,
    next_rule: u16,
}

impl Numbers {
    /// Gives numbers to what is new in the model. A number is used again only when all have been given, and then one whose rule is gone.
    pub fn update(&mut self, model: &Model) {
        let last = last_rule(model.mode);
        let wanted: HashSet<&RuleName> = rule_names(model).collect();
        for name in rule_names(model) {
            // A number from nftables mode may be beyond what the eBPF datapath has.
            if self.rules.get(name).is_some_and(|number| number.0 <= last) {
                continue;
            }
            let number = self.free_rule(last, &wanted);
            if let Some(old) = self.names.insert(number, name.clone()) {
                self.rules.remove(&old);
            }
            if let Some(old) = self.rules.insert(name.clone(), number) {
                self.names.remove(&old);
            }
        }
        for zone in &model.zones {
            if !self.zones.contains_key(&zone.name) {
                let number = self.free_zone(model);
                self.zones.insert(zone.name.clone(), number);
            }
        }
    }

    fn free_rule(&mut self, last: u16, wanted: &HashSet<&RuleName>) -> RuleId {
        loop {
            self.next_rule = if self.next_rule >= last { 1 } else { self.next_rule + 1 };
            let number = RuleId(self.next_rule);
            // A policy has fewer rules than there are numbers, so this ends.
            if self.names.get(&number).is_none_or(|name| !wanted.contains(name)) {
                return number;
            }
        }
    }

    fn free_zone(&mut self, model: &Model) -> ZoneId {
        let used = |n: u8| self.zones.iter().find(|(_, id)| id.0 == n).map(|(name, _)| name.clone());
        let free = (1..=u8::MAX).find(|n| used(*n).is_none());
        // At most 254 zones in a policy: if none is free, one belongs to a zone that is gone.
        let number = free.or_else(|| (1..=u8::MAX).find(|n| used(*n).is_some_and(|name| model.zones.iter().all(|zone| zone.name != name))));
        let number = ZoneId(number.unwrap_or(u8::MAX));
        self.zones.retain(|_, id| *id != number);
        number
    }

    /// The rule's number.
    #[must_use]
    pub fn rule(&self, name: &RuleName) -> RuleId {
        self.rules.get(name).copied().unwrap_or_default()
    }

    /// The zone's number; an absent zone means any.
    #[must_use]
    pub fn zone(&self, name: Option<&ZoneName>) -> ZoneId {
        name.and_then(|name| self.zones.get(name)).copied().unwrap_or_default()
    }

    /// The name behind a zone's number.
    #[must_use]
    pub fn zone_name(&self, id: ZoneId) -> Option<&ZoneName> {
        self.zones.iter().find(|(_, known)| **known == id).map(|(name, _)| name)
    }

    /// The name behind a rule number, also of a rule that is gone.
    #[must_use]
    pub fn rule_name(&self, id: RuleId) -> Option<&RuleName> {
        self.names.get(&id)
    }
}

/// `auto` may fall back to nftables, but its policies are held to the eBPF datapath's limits.
fn last_rule(mode: DatapathMode) -> u16 {
    match mode {
        DatapathMode::Nftables => LAST_NFTABLES_RULE,
        DatapathMode::Auto | DatapathMode::Xdp | DatapathMode::Tc => LAST_RULE,
    }
}

/// Every rule of a policy.
pub(super) fn rule_names(model: &Model) -> impl Iterator<Item = &RuleName> {
    let firewall = model.firewall.rules.iter().map(|rule| &rule.name);
    let source = model.nat.source.iter().map(|rule| &rule.name);
    let destination = model.nat.destination.iter().map(|rule| &rule.name);
    firewall.chain(source).chain(destination)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::model;

    const TWO: &str = "version = 1\n[zones]\na = [\"e0\"]\nb = [\"e1\"]\n[[firewall.rules]]\nname = \"one\"\nfrom = \"a\"\naction = \"accept\"\n[[firewall.rules]]\nname = \"two\"\nfrom = \"b\"\naction = \"accept\"\n";

    #[test]
    fn names_keep_their_numbers_when_rules_and_zones_change_places() {
        let mut numbers = Numbers::default();
        numbers.update(&model(TWO));
        let before = (numbers.rule(&RuleName("two".into())), numbers.zone(Some(&ZoneName("b".into()))));
        let swapped = TWO.replace("a = [\"e0\"]\nb = [\"e1\"]", "b = [\"e1\"]\na = [\"e0\"]").replace("\"one\"", "\"zero\"");
        numbers.update(&model(&swapped));
        assert_eq!(before, (numbers.rule(&RuleName("two".into())), numbers.zone(Some(&ZoneName("b".into())))));
        assert_ne!(numbers.rule(&RuleName("zero".into())), numbers.rule(&RuleName("one".into())), "a flow of \"one\" may still be alive");
    }

    #[test]
    fn numbers_fit_the_mode() {
        let rules = (0..5_000).fold(String::new(), |all, n| {
            all + &format!("[[firewall.rules]]\nname = \"r{n}\"\nsource = [\"10.0.{}.{}\"]\naction = \"accept\"\n", n / 250, n % 250)
        });
        let zones = "[zones]\na = [\"e0\"]\n";
        let large = model(&format!("version = 1\ndatapath.mode = \"nftables\"\n{zones}{rules}"));
        let mut numbers = Numbers::default();
        numbers.update(&large);
        let given: HashSet<RuleId> = rule_names(&large).map(|name| numbers.rule(name)).collect();
        assert!(given.len() == 5_000 && !given.contains(&RuleId(0)));

        let mut small = large.clone();
        small.mode = DatapathMode::Tc;
        small.firewall.rules.drain(..4_900);
        numbers.update(&small);
        for name in rule_names(&small) {
            let number = numbers.rule(name);
            assert!((1..=LAST_RULE).contains(&number.0), "{name:?} {number:?}");
            assert_eq!(numbers.rule_name(number), Some(name));
        }
    }
}
