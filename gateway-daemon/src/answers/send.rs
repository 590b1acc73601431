//! Raw sockets, one per family: a whole IP packet in, and the kernel finds its way.

use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

use super::Answer;

/// Why an answer was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no socket to send with.
    #[error(
        "cannot open a raw socket to answer refused packets: {source}; the gateway needs CAP_NET_RAW for it, and reject works as drop until it has it"
    )]
    Open {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel did not take the answer.
    #[error("cannot answer a refused packet of {to}: {source}")]
    Send {
        /// Whom to tell.
        to: IpAddr,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// The sockets. With `IPPROTO_RAW` they send whole packets, header included, from any source address, and receive nothing (raw(7)).
#[derive(Debug)]
pub struct Sender {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
}

impl Sender {
    /// Opens them. A family that the kernel does not have is left out: it has no packets to answer either.
    ///
    /// # Errors
    /// [`SendError::Open`]: the kernel refuses, mostly because `CAP_NET_RAW` is missing.
    pub fn open() -> Result<Self, SendError> {
        Ok(Self { v4: open(AddressFamily::INET)?, v6: open(AddressFamily::INET6)? })
    }

    /// Sends one answer, or fails at once: a full queue loses it, which ICMP senders expect.
    ///
    /// # Errors
    /// [`SendError::Send`]
    pub fn send(&self, answer: &Answer) -> Result<(), SendError> {
        let failed = |errno: rustix::io::Errno| SendError::Send { to: answer.to, source: errno.into() };
        let flags = SendFlags::DONTWAIT;
        let missing = rustix::io::Errno::AFNOSUPPORT;
        // A raw socket's port is a protocol number, and has to be 0 (ipv6(7)).
        let sent = match answer.to {
            IpAddr::V4(to) => sendto(self.v4.as_ref().ok_or(failed(missing))?, &answer.packet, flags, &SocketAddrV4::new(to, 0)),
            IpAddr::V6(to) => sendto(self.v6.as_ref().ok_or(failed(missing))?, &answer.packet, flags, &SocketAddrV6::new(to, 0, 0, 0)),
        };
        sent.map(|_| ()).map_err(failed)
    }
}

fn open(family: AddressFamily) -> Result<Option<OwnedFd>, SendError> {
    match socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW)) {
        Ok(socket) => Ok(Some(socket)),
        Err(rustix::io::Errno::AFNOSUPPORT) => Ok(None),
        Err(errno) => Err(SendError::Open { source: errno.into() }),
    }
}
