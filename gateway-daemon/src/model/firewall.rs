//! Zone firewall rules. The first match wins; what none matches gets the default.

use super::{AddressMatch, PortRange, ProtocolMatch, RuleName, ZoneName};

/// What a rule, or the default, does with a new flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Let it pass; its replies pass by themselves.
    Accept,
    /// Discard it silently.
    #[default]
    Drop,
    /// Discard it and say so (TCP RST, ICMP administratively prohibited).
    Reject,
}

/// `rate`: new flows per second that the rule accepts; what exceeds it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// New flows ...
    pub count: u32,
    /// ... per this many milliseconds.
    pub per_ms: u32,
}

/// `[firewall]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// `default`.
    pub default: Action,
    /// `[[firewall.rules]]`.
    pub rules: Vec<FirewallRule>,
}

/// `[[firewall.rules]]`. Sees the packet after destination NAT and before source NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallRule {
    /// Unique name.
    pub name: RuleName,
    /// `None`: any zone.
    pub from: Option<ZoneName>,
    /// `None`: any zone.
    pub to: Option<ZoneName>,
    /// The real client.
    pub source: AddressMatch,
    /// The real server.
    pub destination: AddressMatch,
    /// `None`: any.
    pub protocol: Option<ProtocolMatch>,
    /// Destination ports; empty: any.
    pub ports: Vec<PortRange>,
    /// `icmp-type`.
    pub icmp_type: Option<u8>,
    /// What to do.
    pub action: Action,
    /// Log each new flow that matches.
    pub log: bool,
    /// `rate`.
    pub rate: Option<Rate>,
}
