//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::state_disk::StateDiskError;

/// An error, and where it was found.
#[derive(Debug)]
pub struct Problem {
    /// The source, as people know it.
    pub origin: String,
    /// What is wrong.
    pub error: ProvisionError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.error)
    }
}

/// Why a part of the configuration is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The disk cannot be looked into.
    #[error("cannot be mounted: {0}; what is on it was not read")]
    Mount(#[source] io::Error),
    /// A file of a source cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file, within the source.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is larger than anything sensible.
    #[error("{path} is larger than {limit} bytes and was not read")]
    TooLarge {
        /// The file.
        path: String,
        /// Bytes.
        limit: u64,
    },
    /// Not YAML, or not of the form expected.
    #[error("{what} cannot be understood: {message}")]
    Form {
        /// Which document.
        what: &'static str,
        /// With line and column.
        message: String,
    },
    /// User data of a kind that is not run here.
    #[error("user-data begins with {0:?}; only a cloud-config is understood, whose first line is `#cloud-config`")]
    UserDataKind(String),
    /// A key that does nothing here.
    #[error("{what}: `{key}` does nothing here{hint}")]
    Ignored {
        /// Which document.
        what: &'static str,
        /// The key.
        key: String,
        /// What to do instead, or nothing.
        hint: &'static str,
    },
    /// A password that is no hash.
    #[error("the password is not a crypt(5) hash and was not set; make one with `mkpasswd -m yescrypt` or `openssl passwd -6`")]
    PlainPassword,
    /// A value that could leave its line or its file.
    #[error("{what} {value:?} is not valid: {why}")]
    Value {
        /// What it is.
        what: &'static str,
        /// As written.
        value: String,
        /// What is expected.
        why: &'static str,
    },
    /// A file cannot be put in place.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The policy has errors.
    #[error("the policy has errors and is not in force ({instead}):\n{findings}")]
    Policy {
        /// All of them, one line each.
        findings: String,
        /// What is in force.
        instead: &'static str,
    },
    /// State is not kept as it should be.
    #[error(transparent)]
    State(#[from] StateDiskError),
    /// The host's name cannot be set.
    #[error("cannot set the host's name to {name:?}: {source}")]
    Hostname {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ProvisionError {
    /// Something could not be read that may have named who logs in.
    pub(super) fn hides_login(&self) -> bool {
        match self {
            Self::Mount(_) | Self::Read { .. } | Self::TooLarge { .. } | Self::UserDataKind(_) => true,
            Self::Form { what, .. } => *what != super::network_config::WHAT,
            _ => false,
        }
    }
}
