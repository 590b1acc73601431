//! What can go wrong between the daemon and the kernel's BPF side.

use std::io;

/// An error of the datapath layer.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The object lacks something: it is not of this build.
    #[error("the BPF object has no `{what}`: the object and the daemon are not of one build; rebuild both")]
    Object {
        /// The map or program.
        what: &'static str,
    },
    /// The object cannot be loaded.
    #[error("cannot load the BPF object: {0}; the gateway needs root (CAP_BPF, CAP_NET_ADMIN) and Linux 6.1 or later")]
    Load(#[from] aya::EbpfError),
    /// The verifier or the kernel refused a program, or an attachment.
    #[error("the kernel refused {what}: {source}")]
    Program {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        #[source]
        source: aya::programs::ProgramError,
    },
    /// A map could not be read or written.
    #[error("a table of the datapath cannot be accessed: {0}")]
    Map(#[from] aya::maps::MapError),
    /// A walk through a table failed.
    #[error("a table of the datapath cannot be read: {source}")]
    Walk {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}
