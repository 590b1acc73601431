//! Notices when a ruleset of the namespace is changed, by whomever.

use std::io;

use rtnetlink::sys::protocols::NETLINK_NETFILTER;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;

use super::NetlinkError;

/// `NFNLGRP_NFTABLES` (include/uapi/linux/netfilter/nfnetlink.h), as a bit.
const GROUP: u32 = 1 << (7 - 1);
/// That there was a message is all that counts, so the rest of a longer one may be lost.
const READ: usize = 4 << 10;

/// A socket on which the kernel tells of every change of a ruleset (nft's `monitor`).
pub struct RulesetWatch {
    socket: TokioSocket,
    suspected: bool,
}

impl RulesetWatch {
    /// Begins to listen, in the calling thread's network namespace. Needs a tokio runtime.
    ///
    /// # Errors
    /// The kernel gives no socket.
    pub fn open() -> Result<Self, NetlinkError> {
        let failed = |source| NetlinkError::Open { protocol: "netfilter", source };
        let mut socket = TokioSocket::new(NETLINK_NETFILTER).map_err(failed)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUP)).map_err(failed)?;
        Ok(Self { socket, suspected: false })
    }

    /// Makes the next [`RulesetWatch::changed`] return at once.
    pub fn suspect(&mut self) {
        self.suspected = true;
    }

    /// Forgets what has been told so far: a change of our own is told before the kernel confirms it.
    pub fn forget(&mut self) {
        self.suspected = false;
        let mut buffer = [0; READ];
        while is_told(self.socket.socket_ref().recv(&mut buffer.as_mut_slice(), 0)) {}
    }

    /// Waits for a change. Nothing is lost when this is dropped while it waits.
    pub async fn changed(&mut self) {
        while !self.suspected {
            let mut buffer = Vec::with_capacity(READ);
            if !is_told(self.socket.recv(&mut buffer).await) {
                tracing::warn!("the kernel tells no more of changes of rulesets; they are found a little later");
                std::future::pending::<()>().await;
            }
            self.suspected = true;
        }
        self.suspected = false;
    }
}

/// More than the socket could hold is something, too.
fn is_told<T>(received: io::Result<T>) -> bool {
    received.map_or_else(|error| error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()), |_| true)
}
