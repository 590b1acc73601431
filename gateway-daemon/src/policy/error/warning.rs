//! Legal but suspicious.

/// The policy is valid, and yet hardly what was meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum Warning {
    /// The earlier rule, its line.
    #[error("this rule is never reached: `{0}` in line {1} matches all its packets first, and does the same")]
    #[diagnostic(code("redundant"), severity(Warning), help("take it out, or move it above `{0}`"))]
    Redundant(String, usize),
    /// Key, the least, the RFC.
    #[error("`{0}` is below the {1} that {2} asks for")]
    #[diagnostic(code("timeout-below-rfc"), severity(Warning), help("write at least `\"{1}\"`, or expect idle connections to be cut"))]
    TimeoutBelowRfc(&'static str, &'static str, &'static str),
    /// The interface.
    #[error("the interface `{0}` is in no zone, so it carries no forwarded traffic")]
    #[diagnostic(code("interface-without-zone"), severity(Warning), help("name it in a zone of `[zones]`"))]
    InterfaceWithoutZone(String),
    /// The interface.
    #[error("the interface `{0}` of this route is in no zone, so the route carries no forwarded traffic")]
    #[diagnostic(code("route-without-zone"), severity(Warning), help("name it in a zone of `[zones]`, or correct the name"))]
    RouteWithoutZone(String),
    /// No zone at all.
    #[error("no zone is defined, so nothing is forwarded")]
    #[diagnostic(code("no-zones"), severity(Warning), help("add `[zones]` with lines such as `lan = [\"eth0\"]`"))]
    NoZones,
}
