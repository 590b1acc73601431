//! `[[routes]]`: routes that the gateway adds to the kernel's tables.

use std::net::IpAddr;

use ipnet::IpNet;

use super::InterfaceName;

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination prefix.
    pub to: IpNet,
    /// The next hop; `None`: on link.
    pub via: Option<IpAddr>,
    /// The egress interface; `None`: found from `via`.
    pub interface: Option<InterfaceName>,
    /// Makes it a policy route: only for packets from this prefix.
    pub source: Option<IpNet>,
    /// Lower is preferred.
    pub metric: Option<u32>,
}
