//! Which change failed, and why.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::InterfaceName;
use crate::netlink::NetlinkError;

/// A change that the kernel did not make.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An address was not added.
    #[error("{}: cannot add the address {address}: {source}", .link.0)]
    AddAddress {
        /// Where.
        link: InterfaceName,
        /// Which.
        address: IpNet,
        /// Why.
        source: NetlinkError,
    },
    /// An address that the gateway had added was not removed.
    #[error("{}: cannot remove the address {address}: {source}; remove it with `ip address del`", .link.0)]
    RemoveAddress {
        /// Where.
        link: InterfaceName,
        /// Which.
        address: IpNet,
        /// Why.
        source: NetlinkError,
    },
    /// The MTU was not set.
    #[error("{}: cannot set the MTU to {mtu} bytes: {source}; `ip -d link show` tells the range that the driver accepts", .link.0)]
    SetMtu {
        /// Where.
        link: InterfaceName,
        /// Bytes.
        mtu: u32,
        /// Why.
        source: NetlinkError,
    },
    /// The link was not set up, or down again.
    #[error("{}: cannot set the link {}: {source}", .link.0, if *.up { "up" } else { "down" })]
    SetUp {
        /// Where.
        link: InterfaceName,
        /// Which way.
        up: bool,
        /// Why.
        source: NetlinkError,
    },
    /// A list needed to decide what to change was not given.
    #[error(transparent)]
    List(NetlinkError),
    /// A route was not added.
    #[error("cannot add the route to {to}: {source}; is its next hop reachable from this gateway?")]
    AddRoute {
        /// The destination.
        to: IpNet,
        /// Why.
        source: NetlinkError,
    },
    /// A route that the gateway had added was not removed.
    #[error("cannot remove the route to {to} from table {table}: {source}")]
    RemoveRoute {
        /// The destination.
        to: IpNet,
        /// The table.
        table: u32,
        /// Why.
        source: NetlinkError,
    },
    /// A policy route's rule was not added.
    #[error("cannot add the rule for packets from {from}: {source}")]
    AddRule {
        /// The source prefix.
        from: IpNet,
        /// Why.
        source: NetlinkError,
    },
    /// A rule that the gateway had added was not removed.
    #[error("cannot remove the rule for packets from {from}: {source}")]
    RemoveRule {
        /// The source prefix.
        from: IpNet,
        /// Why.
        source: NetlinkError,
    },
    /// Every routing table of the gateway's range is in use.
    #[error("no routing table is left for packets from {from}: all of {first} to {last} are in use")]
    NoTable {
        /// The source prefix.
        from: IpNet,
        /// The first table of the range.
        first: u32,
        /// The last table of the range.
        last: u32,
    },
    /// A neighbour is still kept resolved.
    #[error("{}: cannot let go of the neighbour {address}: {source}", .link.0)]
    RemoveNeighbour {
        /// Where.
        link: InterfaceName,
        /// Which.
        address: IpAddr,
        /// Why.
        source: NetlinkError,
    },
}

/// True when the thing to be removed is not there (any more).
pub(super) fn is_gone(error: &NetlinkError) -> bool {
    use rustix::io::Errno;
    const GONE: [Errno; 5] = [Errno::NOENT, Errno::SRCH, Errno::NODEV, Errno::ADDRNOTAVAIL, Errno::NXIO];
    errno(error).is_some_and(|code| GONE.contains(&code))
}

/// True when the thing to be added is there already.
pub(super) fn is_present(error: &NetlinkError) -> bool {
    errno(error) == Some(rustix::io::Errno::EXIST)
}

fn errno(error: &NetlinkError) -> Option<rustix::io::Errno> {
    error.kernel().and_then(io::Error::raw_os_error).map(rustix::io::Errno::from_raw_os_error)
}
