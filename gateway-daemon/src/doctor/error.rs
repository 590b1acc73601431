//! Why the doctor cannot work.

use std::io;

use crate::netlink::NetlinkError;

/// What keeps the doctor from examining at all.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The machine cannot be observed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The runtime cannot be started.
    #[error("cannot start: {source}")]
    Runtime {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// An interface cannot be probed.
    #[error("cannot probe {interface}: {source}; the doctor needs root, or CAP_NET_RAW and CAP_NET_ADMIN")]
    Probe {
        /// Where.
        interface: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
