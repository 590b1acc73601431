//! Source and destination NAT rules. In each list the first match wins.

use std::net::{IpAddr, Ipv4Addr};

use super::{AddressMatch, RuleName, ZoneName};

/// `[nat]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// `[[nat.source]]`.
    pub source: Vec<SourceNat>,
    /// `[[nat.destination]]`.
    pub destination: Vec<DestinationNat>,
}

/// `protocol`, as an IP protocol; `None` in a rule means any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolMatch {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP on IPv4, ICMPv6 on IPv6.
    Icmp,
}

/// An inclusive range of ports, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// RFC 4787 section 4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mapping {
    /// One external endpoint per internal endpoint, whatever the remote (REQ-1).
    #[default]
    EndpointIndependent,
    /// One external endpoint per flow: more flows per address, breaks peer-to-peer.
    AddressAndPortDependent,
}

/// RFC 4787 section 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Any remote may send to a mapped external endpoint.
    EndpointIndependent,
    /// Only remotes that the internal endpoint has sent to.
    #[default]
    AddressAndPortDependent,
}

/// An inclusive range of pool addresses, `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRange {
    /// The lowest address.
    pub first: Ipv4Addr,
    /// The highest address.
    pub last: Ipv4Addr,
}

/// `translate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translate {
    /// Exempt from translation.
    None,
    /// The egress interface's primary address, followed through its changes.
    Masquerade,
    /// One of these addresses, the same for all flows of an internal host (RFC 4787 REQ-2).
    Pool {
        /// The pool.
        addresses: Vec<PoolRange>,
        /// The ports used for internal ports of 1024 and above.
        ports: PortRange,
    },
}

/// `[[nat.source]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNat {
    /// Unique name.
    pub name: RuleName,
    /// Zone the packet came from; `None`: any.
    pub from: Option<ZoneName>,
    /// Zone it leaves to; `None`: any.
    pub to: Option<ZoneName>,
    /// The internal source.
    pub source: AddressMatch,
    /// The destination, after destination NAT.
    pub destination: AddressMatch,
    /// `None`: any.
    pub protocol: Option<ProtocolMatch>,
    /// Destination ports; empty: any.
    pub ports: Vec<PortRange>,
    /// What to do.
    pub translate: Translate,
    /// RFC 4787 mapping behaviour.
    pub mapping: Mapping,
    /// RFC 4787 filtering behaviour.
    pub filtering: Filtering,
}

/// `[[nat.destination]]`: a port forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationNat {
    /// Unique name.
    pub name: RuleName,
    /// Zone the packet came from.
    pub from: ZoneName,
    /// Who may use it; any when empty.
    pub source: AddressMatch,
    /// TCP or UDP.
    pub protocol: ProtocolMatch,
    /// The address packets are sent to; `None`: any address of the zone's interfaces.
    pub address: Option<IpAddr>,
    /// The ports packets are sent to.
    pub ports: PortRange,
    /// The server behind the gateway.
    pub to: IpAddr,
    /// The server's port for `ports.first`; later ports follow in step. `None`: the port stays.
    pub to_port: Option<u16>,
}
