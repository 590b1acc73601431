//! Why the daemon cannot start or go on.

use std::io;
use std::path::PathBuf;

use crate::control::ServerError;
use crate::datapath::DatapathError;
use crate::instance::InstanceName;
use crate::netlink::NetlinkError;
use crate::nftables::NftError;
use crate::policy::FileError;

/// An error of the daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The policy has errors; nothing was touched.
    #[error("the policy has errors:\n{report}")]
    Policy {
        /// All of them, drawn.
        report: String,
    },
    /// The policy cannot be read.
    #[error(transparent)]
    PolicyFile(#[from] FileError),
    /// Another daemon of this instance runs.
    #[error(
        "a gateway already runs as instance \"{instance}\" (it holds the lock {path}); stop it first, or choose another name with --instance"
    )]
    AlreadyRunning {
        /// Which.
        instance: InstanceName,
        /// The lock.
        path: PathBuf,
    },
    /// The lock or the record cannot be used.
    #[error("cannot use {path}: {source}; the gateway needs root and a writable /run")]
    RunDirectory {
        /// What.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The event loop.
    #[error("cannot start the event loop: {source}")]
    Runtime {
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// BPF.
    #[error(transparent)]
    Datapath(#[from] DatapathError),
    /// Netlink.
    #[error("cannot observe the network: {0}")]
    Netlink(#[from] NetlinkError),
    /// The guard table, or the whole ruleset.
    #[error("cannot set the nft table, without which the kernel might forward unfiltered: {0}")]
    Nft(#[from] NftError),
    /// The control socket.
    #[error("cannot serve the control socket: {0}")]
    Control(#[from] ServerError),
    /// The policy's directory cannot be watched.
    #[error("cannot watch {path} for changes: {source}")]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: notify::Error,
    },
}

/// An error with all its causes in one line, without saying a thing twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
