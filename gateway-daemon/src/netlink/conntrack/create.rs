//! Entries made by hand: flows that go on under this datapath although another one has seen their beginning.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Entry, IcmpQuery, IpProtocol, Status, TcpState, Tuple};

/// A flow to be tracked as if its beginning had been seen (`ctnetlink_create_conntrack`).
///
/// Its packets are translated only in a namespace where nftables has a `nat` chain at the hooks, and tracked only where some rule
/// asks for connection tracking; the entry can be made before either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// IP protocol.
    pub protocol: IpProtocol,
    /// Packets of the direction that opened it, before translation.
    pub original: Tuple,
    /// The source that they leave with; the original's when it stays.
    pub translated_source: SocketAddr,
    /// The destination that they leave with; the original's when it stays.
    pub translated_destination: SocketAddr,
    /// [`NewEntry::ESTABLISHED`], or no more than [`Status::CONFIRMED`] for a flow that nobody has answered yet. The flags of the
    /// translation are the kernel's own.
    pub status: Status,
    /// Of TCP, its state; windows are not checked. `None` for other protocols.
    pub tcp: Option<TcpState>,
    /// Time left if no packet comes; whole seconds, rounded up.
    pub timeout: Duration,
    /// Its mark.
    pub mark: u32,
}

impl NewEntry {
    /// The status of a flow that both sides have spoken on.
    pub const ESTABLISHED: Status = Status::CONFIRMED.union(Status::SEEN_REPLY).union(Status::ASSURED);

    /// An established flow of TCP, UDP or ICMP echo from `source` to `destination` without translation; of ICMP both ports are the
    /// identifier.
    #[must_use]
    pub fn established(protocol: IpProtocol, source: SocketAddr, destination: SocketAddr, timeout: Duration) -> Self {
        let icmp = match protocol {
            IpProtocol::ICMP => Some(IcmpQuery::ECHO),
            IpProtocol::ICMPV6 => Some(IcmpQuery::ECHO_V6),
            _ => None,
        };
        Self {
            protocol,
            original: Tuple { source, destination, icmp },
            translated_source: source,
            translated_destination: destination,
            status: Self::ESTABLISHED,
            tcp: (protocol == IpProtocol::TCP).then_some(TcpState::Established),
            timeout,
            mark: 0,
        }
    }

    /// The same flow again, in the state that it was listed in; `timeout` where the kernel did not tell the time left.
    #[must_use]
    pub fn again(entry: &Entry, timeout: Duration) -> Self {
        let tcp = (entry.protocol == IpProtocol::TCP).then_some(entry.tcp.unwrap_or(TcpState::Established));
        Self {
            protocol: entry.protocol,
            original: entry.original,
            translated_source: entry.translated_source(),
            translated_destination: entry.translated_destination(),
            status: entry.status & Self::ESTABLISHED,
            tcp,
            timeout: entry.timeout.unwrap_or(timeout),
            mark: entry.mark,
        }
    }
}

/// What became of one new entry.
#[derive(Debug)]
pub enum Created {
    /// It is there.
    Made,
    /// One of its tuples is another flow's (`EEXIST`).
    Taken,
    /// The kernel refused it: `ENOMEM` or `ENOSPC` when the table is full, `EINVAL` for tuples that are none, `EOPNOTSUPP` without the
    /// kernel's NAT.
    Refused(io::Error),
}
