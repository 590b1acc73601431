//! Why an address could not be announced.

use std::io;

use crate::model::InterfaceName;

/// An announcement that was not sent.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The interface cannot be sent on.
    #[error("cannot announce addresses on {}: {source}; neighbours may keep sending to an old MAC for up to a minute (the gateway needs CAP_NET_RAW)", interface.0)]
    Open {
        /// Where.
        interface: InterfaceName,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel did not take a frame.
    #[error("cannot announce addresses on {}: {source}; is the link going down?", interface.0)]
    Send {
        /// Where.
        interface: InterfaceName,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// There is no way to notice that the clock is set.
    #[error(
        "cannot watch the clock: {source}; a move to another host is still noticed when the network driver or the link's carrier says so"
    )]
    Clock {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
