//! `[[routes]]`.

use std::collections::HashMap;
use std::ops::Range;

use ipnet::IpNet;

use super::context::Context;
use super::error::{RuleError, Warning};
use super::scalar;
use super::table::Table;
use crate::model::{InterfaceName, Route};

pub(super) fn routes(tables: Vec<Table>, cx: &mut Context) -> Vec<Route> {
    let mut seen: HashMap<(IpNet, Option<IpNet>, Option<u32>), Range<usize>> = HashMap::new();
    let mut routes = Vec::new();
    for table in tables {
        let span = table.span();
        let Some(route) = route(table, cx) else {
            continue;
        };
        if let Some(first) = seen.get(&(route.to, route.source, route.metric)) {
            let error = RuleError::DuplicateRoute(cx.findings.line(first.start));
            cx.findings.add_with(span, error, first.clone(), "first here");
        } else {
            seen.insert((route.to, route.source, route.metric), span);
            routes.push(route);
        }
    }
    routes
}

fn route(mut table: Table, cx: &mut Context) -> Option<Route> {
    let findings = &mut cx.findings;
    let before = findings.errors();
    let to = table.require(findings, "to", "\"10.0.0.0/8\"").and_then(|v| v.parsed(findings, "\"10.0.0.0/8\"", scalar::prefix));
    let family = |ipv4: bool, example4, example6| if ipv4 { example4 } else { example6 };
    let via = table.take("via");
    let next_hop = via.and_then(|v| v.parsed(findings, "\"10.0.0.1\"", scalar::address));
    if let (Some(value), Some(to), Some(next_hop)) = (via, to, next_hop)
        && to.addr().is_ipv4() != next_hop.is_ipv4()
    {
        let wanted = family(to.addr().is_ipv4(), "IPv4 address", "IPv6 address");
        findings.add(value.span(), RuleError::RouteFamily("via", wanted));
    }
    let written = table.take("interface");
    let interface = written.and_then(|v| v.parsed(findings, "\"eth0\"", scalar::interface_name));
    if let (Some(value), Some(name)) = (written, &interface)
        && !cx.zones.has_interface(name)
    {
        findings.add(value.span(), Warning::RouteWithoutZone(name.clone()));
    }
    if via.is_none() && written.is_none() {
        findings.add(table.span(), RuleError::RouteWithoutHop);
    }
    let written = table.take("source");
    let source = written.and_then(|v| v.parsed(findings, "\"10.0.0.0/8\"", scalar::prefix));
    if let (Some(value), Some(to), Some(source)) = (written, to, source)
        && to.addr().is_ipv4() != source.addr().is_ipv4()
    {
        let wanted = family(to.addr().is_ipv4(), "IPv4 prefix", "IPv6 prefix");
        findings.add(value.span(), RuleError::RouteFamily("source", wanted));
    }
    let metric = table.take("metric").and_then(|v| v.number(findings, 0..=u64::from(u32::MAX), "100"));
    table.finish(findings);
    if findings.errors() > before {
        return None;
    }
    Some(Route { to: to?, via: next_hop, interface: interface.map(InterfaceName), source, metric })
}
