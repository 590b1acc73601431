//! The guard table: what the kernel's own stack may do with packets of zone interfaces.
//!
//! With the eBPF datapath attached, no forwarded packet reaches the kernel's forward hook: it is redirected before. With the datapath
//! detached, every packet would, unfiltered and untranslated; so the guard drops there whatever comes from or goes to a zone interface.
//! The errors that the kernel sends for punted packets (hop limit, MTU) are sent before that hook.
//!
//! The gateway's own traffic is filtered only once a rule names `self` as `to`: then packets from zone interfaces to the gateway meet the
//! rules in the policy's order (those to `self` and those to any zone), and the policy's default at the end.

use ::nftables::expr::{Expression, Meta, MetaKey, NamedExpression};
use ::nftables::schema::{Nftables, SetType};
use ::nftables::stmt::{AnonymousCounter, Counter, Drop, Match, Operator, Statement};
use ::nftables::types::NfHook;
use serde::Deserialize;

use super::ruleset::Ruleset;
use super::{GuardError, input, program};
use crate::model::{Model, RuleName};

/// Before the usual filter chains (0) and after connection tracking (-200): other people's accept rules come too late to matter.
const FORWARD_PRIORITY: i32 = -150;
/// As the usual filter chains.
const INPUT_PRIORITY: i32 = 0;
/// The set of all zone interfaces.
pub(super) const ZONE_INTERFACES: &str = "zone_interfaces";

/// nft keeps 128 bytes of a comment, with the final zero (`NFTNL_UDATA_COMMENT_MAXLEN`).
const COMMENT_BYTES: usize = 127;
const RULE_COMMENT: &str = "rule: ";
const EXCESS_COMMENT: &str = "over rate: ";

/// What a counter of the guard counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Dropped while being forwarded from a zone interface by the kernel.
    ForwardedFrom,
    /// Dropped while being forwarded to a zone interface by the kernel.
    ForwardedTo,
    /// Accepted as part of a connection of the gateway's own.
    Established,
    /// Accepted as neighbour discovery, or as an answer to the gateway's DHCP client.
    Essential,
    /// Matched this rule. The name is cut to some 120 bytes.
    Rule(RuleName),
    /// Dropped as over this rule's rate.
    OverRate(RuleName),
    /// Matched no rule.
    Default,
}

impl Counted {
    pub(super) fn comment(&self) -> String {
        let comment = match self {
            Self::ForwardedFrom => "forwarded from a zone".to_owned(),
            Self::ForwardedTo => "forwarded to a zone".to_owned(),
            Self::Established => "established".to_owned(),
            Self::Essential => "essential".to_owned(),
            Self::Rule(name) => format!("{RULE_COMMENT}{}", name.0),
            Self::OverRate(name) => format!("{EXCESS_COMMENT}{}", name.0),
            Self::Default => "default".to_owned(),
        };
        cut(&comment, COMMENT_BYTES).to_owned()
    }

    fn from_comment(comment: &str) -> Option<Self> {
        if let Some(name) = comment.strip_prefix(RULE_COMMENT) {
            return Some(Self::Rule(RuleName(name.to_owned())));
        }
        if let Some(name) = comment.strip_prefix(EXCESS_COMMENT) {
            return Some(Self::OverRate(RuleName(name.to_owned())));
        }
        let fixed = [Self::ForwardedFrom, Self::ForwardedTo, Self::Established, Self::Essential, Self::Default];
        fixed.into_iter().find(|counted| counted.comment() == comment)
    }
}

/// The longest start of `text` that has at most `bytes` bytes.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Packets and bytes that one rule of the guard matched. A policy rule that needs several nft rules appears once, with their sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCounter {
    /// What was counted.
    pub counted: Counted,
    /// Packets since the table was last applied.
    pub packets: u64,
    /// Their bytes, from the IP header on.
    pub bytes: u64,
}

/// The table's name: `gateway_<instance>`. Characters outside `[a-z0-9]` become `_` and their code point in hex, and `_` is doubled, so
/// that two instances never share a table.
#[must_use]
pub fn table_name(instance: &str) -> String {
    let mut name = String::from("gateway_");
    for character in instance.chars() {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            '_' => name.push_str("__"),
            other => name.push_str(&format!("_{:x}", u32::from(other))),
        }
    }
    name
}

/// The commands, in one transaction, that make the instance's table be what the policy asks for, whatever it was.
#[must_use]
pub fn render(instance: &str, model: &Model) -> Nftables<'static> {
    let mut ruleset = Ruleset::new(table_name(instance));
    // Added first, so that the deletion never fails: the whole is an atomic replacement.
    ruleset.table();
    ruleset.delete_table();
    ruleset.table();
    let interfaces: Vec<_> = model.zones.iter().flat_map(|zone| &zone.interfaces).map(|name| string(&name.0)).collect();
    ruleset.set(ZONE_INTERFACES, SetType::Ifname, interfaces);
    ruleset.chain("forward", NfHook::Forward, FORWARD_PRIORITY);
    let drop = |key, counted| (vec![in_set(meta(key), ZONE_INTERFACES), counter(), Statement::Drop(Some(Drop {}))], counted);
    for (statements, counted) in [drop(MetaKey::Iifname, Counted::ForwardedFrom), drop(MetaKey::Oifname, Counted::ForwardedTo)] {
        ruleset.rule("forward", statements, Some(&counted));
    }
    if input::is_wanted(model) {
        ruleset.chain("input", NfHook::Input, INPUT_PRIORITY);
        input::render(&mut ruleset, model);
    }
    ruleset.finish()
}

/// Replaces the instance's table, in one transaction. Must be called where tokio's process driver runs; nft is started from the calling
/// thread, and so in its network namespace.
///
/// # Errors
/// When nft is missing or refuses; the table is then as it was before.
pub async fn apply(instance: &str, model: &Model) -> Result<(), GuardError> {
    program::run("replace", &table_name(instance), &render(instance, model)).await
}

/// Removes the instance's table; no table is no error.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn remove(instance: &str) -> Result<(), GuardError> {
    let table = table_name(instance);
    let mut ruleset = Ruleset::new(table.clone());
    // Added first, so that the deletion never fails.
    ruleset.table();
    ruleset.delete_table();
    program::run("remove", &table, &ruleset.finish()).await
}

/// What the instance's table has counted since it was applied; empty when there is no such table.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn counters(instance: &str) -> Result<Vec<GuardCounter>, GuardError> {
    let table = table_name(instance);
    match program::list(&table).await? {
        Some(answer) => read_counters(&table, &answer),
        None => Ok(Vec::new()),
    }
}

/// Of nft's answer, only what counters need: newer versions of nft may add to the rest.
fn read_counters(table: &str, answer: &[u8]) -> Result<Vec<GuardCounter>, GuardError> {
    #[derive(Deserialize)]
    struct Answer {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        rule: Option<ListedRule>,
    }
    #[derive(Deserialize)]
    struct ListedRule {
        comment: Option<String>,
        expr: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Count {
        packets: u64,
        bytes: u64,
    }
    let unreadable = |error: serde_json::Error| GuardError::Answer { table: table.to_owned(), message: error.to_string() };
    let answer: Answer = serde_json::from_slice(answer).map_err(unreadable)?;
    let mut counters: Vec<GuardCounter> = Vec::new();
    for rule in answer.nftables.into_iter().filter_map(|object| object.rule) {
        let Some(counted) = rule.comment.as_deref().and_then(Counted::from_comment) else { continue };
        let Some(count) = rule.expr.into_iter().find_map(|mut statement| statement.get_mut("counter").map(serde_json::Value::take)) else {
            continue;
        };
        let Count { packets, bytes } = serde_json::from_value(count).map_err(unreadable)?;
        match counters.iter_mut().find(|known| known.counted == counted) {
            Some(known) => {
                known.packets = known.packets.saturating_add(packets);
                known.bytes = known.bytes.saturating_add(bytes);
            }
            None => counters.push(GuardCounter { counted, packets, bytes }),
        }
    }
    Ok(counters)
}

pub(super) fn string(text: &str) -> Expression<'static> {
    Expression::String(text.to_owned().into())
}

pub(super) fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

pub(super) fn matches(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

pub(super) fn in_set(left: Expression<'static>, set: &str) -> Statement<'static> {
    matches(left, Operator::EQ, string(&format!("@{set}")))
}

pub(super) fn counter() -> Statement<'static> {
    Statement::Counter(Counter::Anonymous(Some(AnonymousCounter { packets: None, bytes: None })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn instances_never_share_a_table() {
        let names: HashSet<String> = ["a-b", "a_b", "a.b", "A-b", "a_2db", "a__b", "ab"].into_iter().map(table_name).collect();
        assert_eq!(names.len(), 7);
        let valid = |name: &String| name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
        assert!(names.iter().all(valid), "{names:?}");
    }

    #[test]
    fn comments_are_read_back_and_fit() {
        let long = RuleName("é".repeat(200));
        for counted in [Counted::ForwardedFrom, Counted::Default, Counted::Rule(RuleName("rdp from on-prem".to_owned()))] {
            assert_eq!(Counted::from_comment(&counted.comment()), Some(counted));
        }
        assert!(Counted::OverRate(long).comment().len() <= COMMENT_BYTES);
    }
}
