//! What the policy's language has and this version cannot do yet.

use std::net::IpAddr;

/// Refused rather than ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum UnsupportedError {
    /// `[[nat.static]]`.
    #[error("static NAT (`[[nat.static]]`) is not supported yet")]
    #[diagnostic(
        code("unsupported-static-nat"),
        help("use `[[nat.destination]]` for what comes in and `[[nat.source]]` with a pool of one address for what goes out")
    )]
    StaticNat,
    /// An IPv6 address in a NAT rule.
    #[error("`{0}`: IPv6 is routed and filtered, not translated yet")]
    #[diagnostic(code("unsupported-ipv6-nat"), help("write an IPv4 address in NAT rules"))]
    Ipv6Nat(IpAddr),
    /// A set without any IPv4 member in a NAT rule.
    #[error("the set `{0}` has only IPv6 members: IPv6 is routed and filtered, not translated yet")]
    #[diagnostic(code("unsupported-ipv6-nat"), help("name a set with IPv4 members in NAT rules"))]
    Ipv6NatSet(String),
}
