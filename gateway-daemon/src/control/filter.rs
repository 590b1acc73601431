//! Which flows somebody wants to see.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::view::{FlowState, FlowView, FlowsView, Protocol};

/// Conditions on a flow; all that are given must hold. The daemon applies them, so that what nobody wants is never sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowFilter {
    /// What it carries.
    pub protocol: Option<Protocol>,
    /// An address or prefix that one of its endpoints is in: internal, external, remote or original destination.
    pub host: Option<IpNet>,
    /// A port of one of its endpoints. Never matches ICMP, which has no ports.
    pub port: Option<u16>,
    /// Where it stands.
    pub state: Option<FlowState>,
    /// The firewall or NAT rule that decided it.
    pub rule: Option<String>,
    /// The zone that it came from or goes to.
    pub zone: Option<String>,
    /// At most this many flows.
    pub limit: Option<u32>,
}

impl FlowFilter {
    /// True when every condition holds; [`FlowFilter::limit`] is no condition on one flow.
    #[must_use]
    pub fn matches(&self, flow: &FlowView) -> bool {
        let any_endpoint = |holds: &dyn Fn(SocketAddr) -> bool| {
            let endpoints = [Some(flow.internal), flow.external, Some(flow.remote), flow.original_destination];
            endpoints.into_iter().flatten().any(holds)
        };
        self.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && self.host.is_none_or(|host| any_endpoint(&|endpoint| host.contains(&endpoint.ip())))
            && self.port.is_none_or(|port| flow.protocol != Protocol::Icmp && any_endpoint(&|endpoint| endpoint.port() == port))
            && self.state.is_none_or(|state| state == flow.state)
            && self.rule.as_ref().is_none_or(|rule| *rule == flow.rule || Some(rule) == flow.nat_rule.as_ref())
            && self.zone.as_ref().is_none_or(|zone| *zone == flow.from_zone || *zone == flow.to_zone)
    }

    /// The flows that match, in their order, up to the limit, with the number of all that match.
    pub fn select(&self, flows: impl IntoIterator<Item = FlowView>) -> FlowsView {
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut answer = FlowsView::default();
        for flow in flows.into_iter().filter(|flow| self.matches(flow)) {
            answer.matched += 1;
            if answer.flows.len() < limit {
                answer.flows.push(flow);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::sample;

    fn names(filter: &FlowFilter) -> Vec<String> {
        filter.select(sample::flows()).flows.into_iter().map(|flow| flow.internal.to_string()).collect()
    }

    const NAT: &str = "10.227.128.11:44312";
    const FORWARD: &str = "10.227.128.11:3389";
    const ECHO: &str = "10.227.128.12:7";
    const SIX: &str = "[2001:db8:1::11]:5353";

    #[test]
    fn without_conditions_every_flow_matches() {
        assert_eq!(names(&FlowFilter::default()), [NAT, FORWARD, ECHO, SIX]);
    }

    #[test]
    fn a_host_is_found_on_either_side_and_behind_translation() {
        let host = |text: &str| FlowFilter { host: Some(text.parse().unwrap()), ..FlowFilter::default() };
        assert_eq!(names(&host("10.227.128.11/32")), [NAT, FORWARD]);
        assert_eq!(names(&host("192.0.2.10/32")), [NAT, FORWARD], "external of one, original destination of the other");
        assert_eq!(names(&host("198.51.100.80/32")), [NAT, ECHO], "remote");
        assert_eq!(names(&host("2001:db8:1::/64")), [SIX]);
        assert_eq!(names(&host("203.0.113.99/32")), [""; 0]);
    }

    #[test]
    fn a_port_is_found_on_either_side_but_an_echo_identifier_is_no_port() {
        let port = |port| FlowFilter { port: Some(port), ..FlowFilter::default() };
        assert_eq!(names(&port(8080)), [NAT]);
        assert_eq!(names(&port(61002)), [NAT], "the external port");
        assert_eq!(names(&port(33389)), [FORWARD], "the forwarded port");
        assert_eq!(names(&port(7)), [""; 0]);
    }

    #[test]
    fn protocol_state_rule_and_zone_select() {
        let base = FlowFilter::default;
        assert_eq!(names(&FlowFilter { protocol: Some(Protocol::Icmp), ..base() }), [ECHO]);
        assert_eq!(names(&FlowFilter { state: Some(FlowState::Closing), ..base() }), [FORWARD]);
        assert_eq!(names(&FlowFilter { rule: Some("rdp-in".into()), ..base() }), [FORWARD], "the firewall rule");
        assert_eq!(names(&FlowFilter { rule: Some("out".into()), ..base() }), [NAT, ECHO], "the NAT rule");
        assert_eq!(names(&FlowFilter { zone: Some("onprem".into()), ..base() }), [FORWARD]);
    }

    #[test]
    fn all_conditions_must_hold() {
        let filter = FlowFilter { protocol: Some(Protocol::Tcp), host: Some("198.51.100.80/32".parse().unwrap()), ..FlowFilter::default() };
        assert_eq!(names(&filter), [NAT]);
    }

    #[test]
    fn a_limit_cuts_and_says_how_many_there_were() {
        let answer = FlowFilter { limit: Some(2), ..FlowFilter::default() }.select(sample::flows());
        assert_eq!((answer.flows.len(), answer.matched), (2, 4));
    }
}
