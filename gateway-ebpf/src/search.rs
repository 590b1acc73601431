//! First-match search through a list of compiled rules.

use core::ops::ControlFlow;

use crate::abi::{Bank, Family, Query, Rule, RuleFlags, RuleList, Search, rule_index};
use crate::env::Env;

#[inline(always)]
fn matches(query: &Query, rule: &Rule) -> bool {
    (rule.from.0 == 0 || rule.from.0 == query.from.0)
        && (rule.to.0 == 0 || rule.to.0 == query.to.0)
        && (rule.protocol == 0 || rule.protocol == query.protocol)
        && (!rule.flags.has(RuleFlags::PORTS) || (query.port >= rule.port_first && query.port <= rule.port_last))
        && (!rule.flags.has(RuleFlags::ICMP_TYPE) || rule.icmp_type == query.icmp_type)
        && query.source.contains(rule.source)
        && query.destination.contains(rule.destination)
}

/// One step of a search: stops at the first rule that matches.
#[inline(always)]
pub fn step<'m, F: Family, E: Env<'m, F>>(search: &mut Search, env: &E, position: u32) -> ControlFlow<()> {
    let index = search.base + position;
    match env.rule(index) {
        Some(rule) if matches(&search.query, rule) => {
            search.found = index + 1;
            ControlFlow::Break(())
        }
        Some(_) => ControlFlow::Continue(()),
        None => ControlFlow::Break(()),
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
