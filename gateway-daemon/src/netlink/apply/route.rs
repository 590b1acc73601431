//! Routes, and the rules and tables of policy routes.
//!
//! A route with `source` lies in a table of its own per source prefix, which a rule `from <source> lookup <table>` leads to; what that
//! table has no route for goes on to the main table.

use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use super::error::{is_gone, is_present};
use super::{Applied, ApplyError};
use crate::inventory::Inventory;
use crate::model::{InterfaceName, Route};
use crate::netlink::NetlinkError;
use crate::netlink::connection::{change, dump};

mod wire;

/// `RT_TABLE_MAIN` (include/uapi/linux/rtnetlink.h).
const MAIN_TABLE: u32 = 254;
/// The tables of policy routes: far from those that distributions and VRF tools number from 1 and 1000 on.
const FIRST_TABLE: u32 = 20_000;
/// As many as an operator can reasonably have sources.
const LAST_TABLE: u32 = 20_999;
/// Rules stand before the main table's (32766). The longest source comes first, so that it wins over the prefix around it.
const RULE_PRIORITY: u32 = 20_000;
/// The metric that the kernel gives an IPv6 route without one (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;

/// A route as the gateway added it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppliedRoute {
    to: IpNet,
    via: Option<std::net::IpAddr>,
    /// Interface index; `None`: the kernel finds it from `via`.
    link: Option<u32>,
    table: u32,
    /// 0 for an IPv4 route without one, as the kernel has it.
    metric: u32,
}

impl AppliedRoute {
    /// The kernel holds one route per such key, unless somebody appends.
    fn same_key(&self, other: &Self) -> bool {
        (self.to, self.table, self.metric) == (other.to, other.table, other.metric)
    }

    /// True when `found`, which always has its link, is this route.
    fn is(&self, found: &Self) -> bool {
        self.same_key(found) && self.via == found.via && (self.link.is_none() || self.link == found.link)
    }
}

/// A rule as the gateway added it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppliedRule {
    from: IpNet,
    table: u32,
    priority: u32,
}

/// How one wanted route stands.
#[derive(Debug)]
pub enum RouteState {
    /// In the kernel, added by the gateway.
    Present,
    /// Somebody else has a route with the same destination, table and metric: left alone, and not removed at the end.
    Foreign,
    /// Its interface does not exist (yet).
    Waiting(InterfaceName),
    /// The kernel did not take it.
    Failed(ApplyError),
}

/// What [`routes`] did.
#[derive(Debug, Default)]
pub struct RouteReport {
    /// The state of each wanted route, in their order.
    pub states: Vec<RouteState>,
    /// Unwanted routes and rules of the gateway that could not be removed.
    pub errors: Vec<ApplyError>,
}

/// Makes the gateway's routes and rules be exactly `wanted`.
///
/// # Errors
/// When the kernel does not list its routes or rules; nothing was changed then.
pub async fn routes(handle: &Handle, inventory: &Inventory, wanted: &[Route], applied: &mut Applied) -> Result<RouteReport, ApplyError> {
    let mut present = Vec::new();
    let mut rules = Vec::new();
    for family in families(wanted, applied) {
        present.extend(our_routes(handle, family).await?);
        rules.extend(all_rules(handle, family).await?);
    }

    let mut report = RouteReport::default();
    let mut plans = Vec::new();
    for route in wanted {
        plans.push(resolve(handle, inventory, route, &rules, applied).await);
    }
    let keep_route = |noted: &AppliedRoute| plans.iter().any(|plan| matches!(plan, Ok(plan) if plan.route.same_key(noted)));
    let keep_rule = |noted: &AppliedRule| plans.iter().any(|plan| matches!(plan, Ok(Plan { rule: Some(rule), .. }) if rule == noted));

    let (kept, unwanted) = applied.rules.drain(..).partition::<Vec<_>, _>(keep_rule);
    applied.rules = kept;
    report.errors.extend(remove_rules(handle, unwanted, &mut applied.rules).await);
    let (kept, unwanted) = applied.routes.drain(..).partition::<Vec<_>, _>(keep_route);
    applied.routes = kept;
    report.errors.extend(remove_routes(handle, unwanted, &mut applied.routes).await);

    for plan in plans {
        report.states.push(match plan {
            Ok(plan) => realise(handle, plan, &present, &rules, applied).await.unwrap_or_else(RouteState::Failed),
            Err(state) => state,
        });
    }
    Ok(report)
}

/// A wanted route with its numbers.
struct Plan {
    route: AppliedRoute,
    rule: Option<AppliedRule>,
}

async fn resolve(
    handle: &Handle,
    inventory: &Inventory,
    route: &Route,
    rules: &[wire::FoundRule],
    applied: &mut Applied,
) -> Result<Plan, RouteState> {
    let link = match &route.interface {
        Some(name) => Some(inventory.link(name).ok_or_else(|| RouteState::Waiting(name.clone()))?.index.0),
        None => None,
    };
    let rule = match route.source {
        Some(from) => Some(rule(handle, from, rules, applied).await.map_err(RouteState::Failed)?),
        None => None,
    };
    let table = rule.as_ref().map_or(MAIN_TABLE, |rule| rule.table);
    let default_metric = if family(route.to) == AddressFamily::Inet6 { IPV6_METRIC } else { 0 };
    let metric = route.metric.unwrap_or(default_metric);
    Ok(Plan { route: AppliedRoute { to: route.to.trunc(), via: route.via, link, table, metric }, rule })
}

/// The rule of a source: the one it has already, or one with a free table.
async fn rule(handle: &Handle, from: IpNet, rules: &[wire::FoundRule], applied: &mut Applied) -> Result<AppliedRule, ApplyError> {
    let from = from.trunc();
    if let Some(rule) = applied.rules.iter().find(|rule| rule.from == from) {
        return Ok(rule.clone());
    }
    for table in FIRST_TABLE..=LAST_TABLE {
        let used = rules.iter().any(|rule| rule.table == table) || applied.rules.iter().any(|rule| rule.table == table);
        if !used && is_empty(handle, family(from), table).await? {
            let priority = RULE_PRIORITY + u32::from(from.max_prefix_len() - from.prefix_len());
            let rule = AppliedRule { from, table, priority };
            // Noted before it exists, so that the next source takes another table; removing what is not there is harmless.
            applied.rules.push(rule.clone());
            return Ok(rule);
        }
    }
    Err(ApplyError::NoTable { from, first: FIRST_TABLE, last: LAST_TABLE })
}

async fn realise(
    handle: &Handle,
    plan: Plan,
    present: &[AppliedRoute],
    rules: &[wire::FoundRule],
    applied: &mut Applied,
) -> Result<RouteState, ApplyError> {
    let Plan { route, rule } = plan;
    let noted = applied.routes.iter().position(|noted| noted.same_key(&route));
    let found = present.iter().find(|found| found.same_key(&route));
    let state = match (noted, found) {
        (Some(_), Some(found)) if route.is(found) => RouteState::Present,
        (noted, found) => {
            // Ours under the same key with another next hop is exchanged in one step; a foreign one is not touched.
            let flags = if noted.is_some() && found.is_some() { NLM_F_REPLACE } else { NLM_F_EXCL };
            match change(handle, "add a route", RouteNetlinkMessage::NewRoute(wire::route(&route)), NLM_F_CREATE | flags).await {
                Ok(()) => {
                    match noted {
                        Some(position) => applied.routes[position] = route,
                        None => applied.routes.push(route),
                    }
                    RouteState::Present
                }
                Err(error) if is_present(&error) => {
                    if let Some(position) = noted {
                        applied.routes.swap_remove(position);
                    }
                    RouteState::Foreign
                }
                Err(source) => return Err(ApplyError::AddRoute { to: route.to, source }),
            }
        }
    };
    // After its route, so that the rule never leads to an empty table.
    if let Some(rule) = rule
        && !rules.iter().any(|found| found.is_ours(&rule))
    {
        match change(handle, "add a rule", RouteNetlinkMessage::NewRule(wire::rule(&rule)), NLM_F_CREATE | NLM_F_EXCL).await {
            Err(source) if !is_present(&source) => return Err(ApplyError::AddRule { from: rule.from, source }),
            _ => {}
        }
    }
    Ok(state)
}

fn family(net: IpNet) -> AddressFamily {
    match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}

/// Only those in use: a kernel without IPv6 has no lists of it.
fn families(wanted: &[Route], applied: &Applied) -> impl Iterator<Item = AddressFamily> {
    let noted = applied.routes.iter().map(|route| route.to).chain(applied.rules.iter().map(|rule| rule.from));
    let prefixes: Vec<IpNet> = wanted.iter().map(|route| route.to).chain(noted).collect();
    [AddressFamily::Inet, AddressFamily::Inet6].into_iter().filter(move |&one| prefixes.iter().any(|&prefix| family(prefix) == one))
}

/// Every route with our protocol number: few, however large the kernel's tables are.
async fn our_routes(handle: &Handle, family: AddressFamily) -> Result<Vec<AppliedRoute>, ApplyError> {
    let request = RouteNetlinkMessage::GetRoute(wire::our_routes(family));
    let found = dump(handle, "list the gateway's routes", request).await.map_err(ApplyError::List)?;
    Ok(found.iter().filter_map(wire::found_route).collect())
}

async fn all_rules(handle: &Handle, family: AddressFamily) -> Result<Vec<wire::FoundRule>, ApplyError> {
    let request = RouteNetlinkMessage::GetRule(wire::all_rules(family));
    let found = dump(handle, "list the rules", request).await.map_err(ApplyError::List)?;
    Ok(found.iter().filter_map(wire::found_rule).collect())
}

async fn is_empty(handle: &Handle, family: AddressFamily, table: u32) -> Result<bool, ApplyError> {
    let request = RouteNetlinkMessage::GetRoute(wire::table(family, table));
    match dump(handle, "look into a routing table", request).await {
        Ok(found) => Ok(!found.iter().any(|message| matches!(message, RouteNetlinkMessage::NewRoute(_)))),
        // A table that was never used does not exist.
        Err(error) if is_gone(&error) => Ok(true),
        Err(error) => Err(ApplyError::List(error)),
    }
}

/// Removes rules; what fails is put into `kept`.
async fn remove_rules(handle: &Handle, unwanted: Vec<AppliedRule>, kept: &mut Vec<AppliedRule>) -> Vec<ApplyError> {
    let mut errors = Vec::new();
    for rule in unwanted {
        if let Err(source) = gone(change(handle, "remove a rule", RouteNetlinkMessage::DelRule(wire::rule(&rule)), 0).await) {
            errors.push(ApplyError::RemoveRule { from: rule.from, source });
            kept.push(rule);
        }
    }
    errors
}

/// Removes routes; what fails is put into `kept`. The kernel compares the protocol too, so a foreign route is never hit.
async fn remove_routes(handle: &Handle, unwanted: Vec<AppliedRoute>, kept: &mut Vec<AppliedRoute>) -> Vec<ApplyError> {
    let mut errors = Vec::new();
    for route in unwanted {
        if let Err(source) = gone(change(handle, "remove a route", RouteNetlinkMessage::DelRoute(wire::route(&route)), 0).await) {
            errors.push(ApplyError::RemoveRoute { to: route.to, table: route.table, source });
            kept.push(route);
        }
    }
    errors
}

fn gone(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }
}

/// Removes all rules and routes that are noted.
pub(super) async fn restore(handle: &Handle, applied: &mut Applied) -> Vec<ApplyError> {
    let rules = std::mem::take(&mut applied.rules);
    let mut errors = remove_rules(handle, rules, &mut applied.rules).await;
    let routes = std::mem::take(&mut applied.routes);
    errors.extend(remove_routes(handle, routes, &mut applied.routes).await);
    errors
}
