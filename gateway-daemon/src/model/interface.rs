//! Interfaces and datapath modes, as the policy names them.

use ipnet::IpNet;

/// An interface's name as the kernel has it (at most 15 bytes).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(pub String);

/// `[datapath] mode` and `interfaces.<name>.datapath`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatapathMode {
    /// Chosen per interface, with a reason in `status`.
    #[default]
    Auto,
    /// tc with XDP in front of it.
    Xdp,
    /// tc alone.
    Tc,
    /// The kernel's own connection tracking and NAT, for the whole gateway: a flow crosses two interfaces, and its state can only be in one
    /// place.
    Nftables,
}

/// `source-validation` (RFC 3704).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceValidation {
    /// A source must be reachable through the interface it came from (RFC 3704 §2.2).
    #[default]
    Strict,
    /// A source must be reachable through some interface (RFC 3704 §2.4).
    Loose,
    /// Only martians and the gateway's own addresses are refused.
    Off,
}

/// `[interfaces.<name>]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Addresses the gateway configures and keeps; empty: left alone.
    pub addresses: Vec<IpNet>,
    /// MTU in bytes the gateway sets; `None`: left alone.
    pub mtu: Option<u32>,
    /// How a packet's source is validated.
    pub source_validation: SourceValidation,
    /// Overrides [`super::Model::mode`] for this interface.
    pub datapath: Option<DatapathMode>,
}
