//! The validated policy: the only root of everything that the daemon programs.
//!
//! A [`Model`] can only be made by `policy`, so whoever holds one need not check it again. References are resolved: rules name
//! zones by [`ZoneName`] that exist and sets by [`SetIndex`] into [`Model::sets`].

mod address;
mod firewall;
mod interface;
mod nat;
mod route;
mod timeouts;

pub use address::{AddressMatch, AddressSet, SetIndex, distinct};
pub use firewall::{Action, Firewall, FirewallRule, Rate};
pub use interface::{DatapathMode, InterfaceConfig, InterfaceName, SourceValidation};
pub use nat::{DestinationNat, Filtering, Mapping, Nat, PoolRange, PortRange, ProtocolMatch, SourceNat, Translate};
pub use route::Route;
pub use timeouts::Timeouts;

use std::collections::BTreeMap;

/// A rule's unique name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(pub String);

/// A zone's name; [`ZoneName::SELF`] is the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneName(pub String);

impl ZoneName {
    /// The reserved name of the gateway itself.
    pub const SELF: &'static str = "self";
}

/// A zone: a set of interfaces; an interface is in one zone at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: ZoneName,
    /// Its interfaces, in the policy's order.
    pub interfaces: Vec<InterfaceName>,
}

/// A whole policy, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// `[datapath] mode`.
    pub mode: DatapathMode,
    /// `[datapath] flows`: how many flows (both directions counted once) the tables hold.
    pub flows: u32,
    /// `[datapath] flows-per-host`: quota per internal host.
    pub flows_per_host: u32,
    /// `[interfaces.<name>]`, only those named there.
    pub interfaces: BTreeMap<InterfaceName, InterfaceConfig>,
    /// `[zones]`, in the policy's order, without `self`.
    pub zones: Vec<Zone>,
    /// Named sets first, in the policy's order.
    pub sets: Vec<AddressSet>,
    /// `[[routes]]`.
    pub routes: Vec<Route>,
    /// `[nat]`.
    pub nat: Nat,
    /// `[firewall]`.
    pub firewall: Firewall,
    /// `[timeouts]`.
    pub timeouts: Timeouts,
}
