//! Values that are fine alone and do not go together.

use std::net::IpAddr;

/// A contradiction within a rule or table, or between two rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum RuleError {
    /// `from = "self"` in a firewall rule.
    #[error("the gateway's own traffic is never filtered, so no rule can be `from = \"self\"`")]
    #[diagnostic(code("from-self"), help("name the zone that the packets come from, or leave `from` out for any"))]
    FromSelf,
    /// The key.
    #[error("the gateway's own traffic is not translated, so `{0}` cannot be `self`")]
    #[diagnostic(code("nat-self"), help("name a zone of `[zones]`"))]
    NatSelf(&'static str),
    /// Source and destination have no family in common.
    #[error("no packet matches: source and destination have no address family in common")]
    #[diagnostic(code("mixed-families"), help("write addresses of one family in both, and a second rule for the other family"))]
    MixedFamilies,
    /// The key.
    #[error("`{0}` needs a protocol that has ports")]
    #[diagnostic(code("ports-without-protocol"), help("add `protocol = \"tcp\"` or `protocol = \"udp\"`, one rule for each"))]
    PortsWithoutProtocol(&'static str),
    /// The key.
    #[error("`{0}` with `protocol = \"icmp\"`, which has no ports")]
    #[diagnostic(code("ports-with-icmp"), help("take `{0}` out, or write `icmp-type` in its place"))]
    PortsWithIcmp(&'static str),
    /// `icmp-type` with another or no protocol.
    #[error("`icmp-type` without `protocol = \"icmp\"`")]
    #[diagnostic(code("icmp-type-without-icmp"), help("write `protocol = \"icmp\"`, or take `icmp-type` out"))]
    IcmpTypeWithoutIcmp,
    /// `rate` with `drop` or `reject`.
    #[error("`rate` limits what a rule accepts, and this rule accepts nothing")]
    #[diagnostic(code("rate-without-accept"), help("write `action = \"accept\"`, or take `rate` out"))]
    RateWithoutAccept,
    /// A port forward of ICMP.
    #[error("a port forward needs a protocol that has ports, not `icmp`")]
    #[diagnostic(code("forward-protocol"), help("write `protocol = \"tcp\"` or `protocol = \"udp\"`, one rule for each"))]
    ForwardProtocol,
    /// `port` and `ports` both.
    #[error("`port` and `ports` cannot stand together")]
    #[diagnostic(code("port-and-ports"), help("keep `port` for one port or `ports` for a range"))]
    PortAndPorts,
    /// The server's first port, how many follow.
    #[error("the server's ports would go beyond 65535: {0} and the {1} that follow")]
    #[diagnostic(code("forward-overflow"), help("write a lower port in `to`, or fewer ports in `ports`"))]
    ForwardOverflow(u16, u16),
    /// The earlier rule, its line.
    #[error("`{0}` in line {1} already takes some or all of these packets")]
    #[diagnostic(
        code("forward-overlap"),
        help("let the two differ in zone, address, protocol or ports, or put the one with the narrower `source` first")
    )]
    ForwardOverlap(String, usize),
    /// The earlier rule, its line.
    #[error("this rule is never reached: `{0}` in line {1} matches all its packets first and does something else")]
    #[diagnostic(code("unreachable"), help("move it above `{0}`, or take it out: the first match wins"))]
    Unreachable(String, usize),
    /// A route with neither `via` nor `interface`.
    #[error("a route needs `via`, `interface` or both")]
    #[diagnostic(code("route-without-hop"), help("add `via = \"10.0.0.1\"` (the next hop) or `interface = \"eth0\"` (on link)"))]
    RouteWithoutHop,
    /// The key, what it must share its family with.
    #[error("`{0}` is of another address family than `to`")]
    #[diagnostic(code("route-family"), help("write an {1} in `{0}`"))]
    RouteFamily(&'static str, &'static str),
    /// The line of the first.
    #[error("the route in line {0} has the same `to`, `source` and `metric`")]
    #[diagnostic(code("duplicate-route"), help("give one of them another `metric`, or take it out"))]
    DuplicateRoute(usize),
    /// The MTU.
    #[error("an MTU of {0} cannot carry IPv6, which this interface has an address of")]
    #[diagnostic(code("mtu-ipv6"), help("write 1280 or more (RFC 8200 section 5), or take the IPv6 address out"))]
    MtuTooSmallForIpv6(u32),
    /// `interfaces.<name>.datapath = "nftables"`.
    #[error("one interface alone cannot be nftables': a flow crosses two interfaces, and its state can only be in one place")]
    #[diagnostic(
        code("interface-nftables"),
        help("write `mode = \"nftables\"` in `[datapath]`, or `\"auto\"`, `\"xdp\"` or `\"tc\"` here")
    )]
    InterfaceNftables,
    /// `interfaces.<name>.datapath` as written, beside `mode = "nftables"`.
    #[error("`{0}` beside `mode = \"nftables\"`: a flow crosses two interfaces, and its state can only be in one place")]
    #[diagnostic(code("interface-under-nftables"), help("take `datapath` out here, or write another `mode` in `[datapath]`"))]
    InterfaceUnderNftables(String),
    /// The quota, the capacity.
    #[error("`flows-per-host` ({0}) is more than `flows` ({1})")]
    #[diagnostic(code("flows-per-host"), help("write a quota of at most {1}, or raise `flows`"))]
    FlowsPerHost(u32, u32),
    /// An address that both ranges have.
    #[error("the pool has `{0}` twice")]
    #[diagnostic(code("pool-overlap"), help("let the pool's ranges not overlap"))]
    PoolOverlap(IpAddr),
}
