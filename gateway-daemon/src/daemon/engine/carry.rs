//! An established flow on its way from one engine to the other.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_ebpf::abi::Protocol;

use crate::inventory::IfIndex;
use crate::model::{RuleName, ZoneName};

/// An established flow, in the original direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carry {
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened it, as it arrives.
    pub source: SocketAddr,
    /// Whom it is sent to, as it arrives.
    pub destination: SocketAddr,
    /// The source it leaves with.
    pub translated_source: SocketAddr,
    /// The destination it leaves with.
    pub translated_destination: SocketAddr,
    /// The zone it comes from.
    pub from: ZoneName,
    /// The zone it goes to.
    pub to: ZoneName,
    /// The interface it comes from, where the engine knows.
    pub arrival: Option<IfIndex>,
    /// The interface it leaves by, where the engine knows.
    pub egress: Option<IfIndex>,
    /// The firewall rule that accepted it; `None` the default.
    pub rule: Option<RuleName>,
    /// The NAT rule that translates it.
    pub nat_rule: Option<RuleName>,
    /// How long it may stay idle from now on.
    pub remaining: Duration,
}
