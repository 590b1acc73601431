//! One daemon per instance.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FlockOperation, flock};

use super::DaemonError;
use crate::instance::{InstanceName, create_private};

/// Held as long as the daemon lives; the kernel gives it back whatever ends it.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the instance.
    ///
    /// # Errors
    /// [`DaemonError::AlreadyRunning`], or the directory cannot be used.
    pub fn take(instance: &InstanceName) -> Result<Self, DaemonError> {
        let directory = instance.directory();
        create_private(&directory).map_err(|source| DaemonError::RunDirectory { path: directory, source })?;
        let path = instance.lock_file();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| DaemonError::RunDirectory { path: path.clone(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DaemonError::AlreadyRunning { instance: instance.clone(), path }),
            Err(errno) => Err(DaemonError::RunDirectory { path, source: errno.into() }),
        }
    }
}
