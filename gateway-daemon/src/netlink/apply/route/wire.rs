//! Routes and rules as netlink messages, both ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::super::PROTOCOL;
use super::{AppliedRoute, AppliedRule, family};

/// A rule that is in the kernel, whoever added it.
pub(super) struct FoundRule {
    /// 0: it leads to no table.
    pub(super) table: u32,
    from: Option<IpNet>,
    priority: u32,
    ours: bool,
}

impl FoundRule {
    pub(super) fn is_ours(&self, rule: &AppliedRule) -> bool {
        self.ours && self.from == Some(rule.from) && self.table == rule.table && self.priority == rule.priority
    }
}

/// The header holds tables up to 255; the attribute holds all.
fn set_table(message: &mut RouteMessage, table: u32) {
    message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.attributes.push(RouteAttribute::Table(table));
}

/// To add or to remove a route.
pub(super) fn route(route: &AppliedRoute) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.to);
    message.header.destination_prefix_length = route.to.prefix_len();
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.kind = RouteType::Unicast;
    message.header.scope = match (route.via, route.to) {
        (None, IpNet::V4(_)) => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    set_table(&mut message, route.table);
    message.attributes.push(RouteAttribute::Destination(route.to.addr().into()));
    message.attributes.extend(route.via.map(|via| match (via, route.to) {
        // An IPv6 next hop of an IPv4 route (RFC 8950).
        (IpAddr::V6(via), IpNet::V4(_)) => RouteAttribute::Via(RouteVia::Inet6(via)),
        (via, _) => RouteAttribute::Gateway(via.into()),
    }));
    message.attributes.extend(route.link.map(RouteAttribute::Oif));
    if route.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

/// To list the gateway's routes.
pub(super) fn our_routes(family: AddressFamily) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message
}

/// To list one table.
pub(super) fn table(family: AddressFamily, table: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    set_table(&mut message, table);
    message
}

/// To list the rules.
pub(super) fn all_rules(family: AddressFamily) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family;
    message
}

fn unspecified(family: AddressFamily) -> Option<IpAddr> {
    match family {
        AddressFamily::Inet => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        AddressFamily::Inet6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// One of the gateway's routes from a list; `None` for anything else.
pub(super) fn found_route(message: &RouteNetlinkMessage) -> Option<AppliedRoute> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    if message.header.protocol != RouteProtocol::Other(PROTOCOL) {
        return None;
    }
    let mut to = unspecified(message.header.address_family)?;
    let mut found = (None, None, u32::from(message.header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Gateway(address) => found.0 = ip(address),
            RouteAttribute::Via(RouteVia::Inet6(address)) => found.0 = Some(IpAddr::V6(*address)),
            RouteAttribute::Oif(link) => found.1 = Some(*link),
            RouteAttribute::Table(table) => found.2 = *table,
            RouteAttribute::Priority(metric) => found.3 = *metric,
            _ => {}
        }
    }
    let (via, link, table, metric) = found;
    Some(AppliedRoute { to: IpNet::new(to, message.header.destination_prefix_length).ok()?, via, link, table, metric })
}

/// To add or to remove a rule.
pub(super) fn rule(rule: &AppliedRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.from);
    message.header.src_len = rule.from.prefix_len();
    message.header.table = u8::try_from(rule.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Table(rule.table));
    message.attributes.push(RuleAttribute::Source(rule.from.addr()));
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
    message
}

/// A rule from a list.
pub(super) fn found_rule(message: &RouteNetlinkMessage) -> Option<FoundRule> {
    let RouteNetlinkMessage::NewRule(message) = message else { return None };
    let mut found = FoundRule { table: u32::from(message.header.table), from: None, priority: 0, ours: false };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Table(table) => found.table = *table,
            RuleAttribute::Source(address) => found.from = IpNet::new(*address, message.header.src_len).ok(),
            RuleAttribute::Priority(priority) => found.priority = *priority,
            RuleAttribute::Protocol(protocol) => found.ours = *protocol == RouteProtocol::Other(PROTOCOL),
            _ => {}
        }
    }
    Some(found)
}
