//! First-match search through a list of compiled rules.

use core::ops::ControlFlow;

use crate::abi::{Bank, Family, Rule, RuleFlags, RuleList, SetBits, ZoneId, rule_index};
use crate::env::Env;

/// The packet's side of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Zone it came from.
    pub from: ZoneId,
    /// Zone it goes to; 0 while that is not known.
    pub to: ZoneId,
    /// Protocol, ICMPv6 written as ICMP.
    pub protocol: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// Destination port, host order.
    pub port: u16,
    /// Sets the source is in.
    pub source: SetBits,
    /// Sets the destination is in.
    pub destination: SetBits,
}

/// A search under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// What is looked for.
    pub query: Query,
    /// Index of the list's first rule in the rule table.
    pub base: u32,
    /// Index of the rule that matched plus one; 0 none.
    pub found: u32,
}

impl Query {
    #[inline(always)]
    fn matches(&self, rule: &Rule) -> bool {
        (rule.from.0 == 0 || rule.from.0 == self.from.0)
            && (rule.to.0 == 0 || rule.to.0 == self.to.0)
            && (rule.protocol == 0 || rule.protocol == self.protocol)
            && (!rule.flags.has(RuleFlags::PORTS) || (self.port >= rule.port_first && self.port <= rule.port_last))
            && (!rule.flags.has(RuleFlags::ICMP_TYPE) || rule.icmp_type == self.icmp_type)
            && self.source.contains(rule.source)
            && self.destination.contains(rule.destination)
    }
}

impl Search {
    /// One step: stops at the first rule that matches.
    #[inline(always)]
    pub fn step<'m, F: Family, E: Env<'m, F>>(&mut self, env: &E, position: u32) -> ControlFlow<()> {
        let index = self.base + position;
        match env.rule(index) {
            Some(rule) if self.query.matches(rule) => {
                self.found = index + 1;
                ControlFlow::Break(())
            }
            Some(_) => ControlFlow::Continue(()),
            None => ControlFlow::Break(()),
        }
    }
}

/// The first rule of `list` that matches the query which stands in [`Env::search`].
#[inline(always)]
pub fn find<'m, F: Family, E: Env<'m, F>>(env: &mut E, bank: Bank, list: RuleList, len: u32) -> Option<&'m Rule> {
    if len == 0 {
        return None;
    }
    let search = env.search()?;
    search.base = rule_index(bank, list, 0);
    search.found = 0;
    env.run_search(len);
    let found = env.search()?.found.checked_sub(1)?;
    env.rule(found)
}
