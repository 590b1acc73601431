//! What a rule's reader needs of the rest of the policy.

use std::collections::HashMap;
use std::ops::Range;

use super::address::Sets;
use super::error::ReferenceError;
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use super::zone::Zones;
use crate::model::RuleName;

/// The definitions that rules refer to, and the rules' names so far.
#[derive(Debug)]
pub(super) struct Context<'s> {
    pub findings: Findings<'s>,
    pub zones: Zones,
    pub sets: Sets,
    rule_names: HashMap<String, Range<usize>>,
}

/// A rule and where it stands.
#[derive(Debug)]
pub(super) struct Placed<T> {
    pub rule: T,
    /// Of its name.
    pub span: Range<usize>,
}

impl<'s> Context<'s> {
    pub fn new(findings: Findings<'s>) -> Self {
        Self { findings, zones: Zones::default(), sets: Sets::default(), rule_names: HashMap::new() }
    }

    /// The rule's name, unique among the rules of all lists: counters and drops show nothing else.
    pub fn rule_name(&mut self, table: &mut Table) -> Option<(RuleName, Range<usize>)> {
        const EXAMPLE: &str = "\"what it is for\"";
        let value = table.require(&mut self.findings, "name", EXAMPLE)?;
        let name = value.parsed(&mut self.findings, EXAMPLE, scalar::rule_name)?;
        if let Some(first) = self.rule_names.get(&name) {
            let error = ReferenceError::DuplicateRuleName(name, self.findings.line(first.start));
            self.findings.add_with(value.span(), error, first.clone(), "first here");
            return None;
        }
        self.rule_names.insert(name.clone(), value.span());
        Some((RuleName(name), value.span()))
    }
}
