//! What can go wrong between the daemon and rtnetlink.

use std::io;
use std::time::Duration;

use rtnetlink::packet_core::ErrorMessage;

/// A failure to talk to the kernel over netlink.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be opened or joined to its multicast groups.
    #[error(
        "cannot open a {protocol} netlink socket: {source}; is the daemon allowed to (CAP_NET_ADMIN) and has it file descriptors left?"
    )]
    Open {
        /// The netlink protocol.
        protocol: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("the kernel refused to {action}: {source}")]
    Refused {
        /// What was asked for, as "read the links".
        action: &'static str,
        /// The kernel's error code.
        source: io::Error,
    },
    /// The socket closed while a request was under way; the next call opens a new one.
    #[error("the netlink connection ended while trying to {action}; it is opened again at the next attempt")]
    Closed {
        /// What was asked for.
        action: &'static str,
    },
    /// A list changed under every attempt to read it whole (`NLM_F_DUMP_INTR`).
    #[error("could not {action}: the kernel's list kept changing through {attempts} attempts; it is tried again at the next event")]
    Interrupted {
        /// What was asked for.
        action: &'static str,
        /// How many times it was read.
        attempts: u32,
    },
    /// An answer is not framed as netlink is (RFC 3549 section 2.3.2).
    #[error("cannot {action}: the kernel's answer is malformed; is this a kernel newer than the gateway knows?")]
    Malformed {
        /// What was asked for.
        action: &'static str,
    },
    /// The kernel did not answer.
    #[error("cannot {action}: the kernel gave no answer within {} s", waited.as_secs())]
    Silent {
        /// What was asked for.
        action: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl NetlinkError {
    pub(crate) fn refused(action: &'static str, message: &ErrorMessage) -> Self {
        Self::Refused { action, source: message.to_io() }
    }

    /// The kernel's error, where it gave one.
    #[must_use]
    pub fn kernel(&self) -> Option<&io::Error> {
        match self {
            Self::Open { source, .. } | Self::Refused { source, .. } => Some(source),
            Self::Closed { .. } | Self::Interrupted { .. } | Self::Malformed { .. } | Self::Silent { .. } => None,
        }
    }
}
