//! One daemon per instance.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::DaemonError;
use crate::instance::{InstanceName, create_private};

/// Each attempt fails only because another daemon ended in that moment.
const ATTEMPTS: u32 = 100;

/// Held as long as the daemon lives; the kernel gives it back whatever ends it. Dropped, it takes the instance's directory with it, so
/// that a clean stop leaves nothing under /run.
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of the instance.
    ///
    /// # Errors
    /// [`DaemonError::AlreadyRunning`], or the directory cannot be used.
    pub fn take(instance: &InstanceName) -> Result<Self, DaemonError> {
        let path = instance.lock_file();
        let mut vanished = io::Error::from(io::ErrorKind::NotFound);
        for _ in 0..ATTEMPTS {
            match open(&instance.directory(), &path) {
                Ok(file) => match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    // Who had it before may have removed the file after we opened it: then the lock is one that nobody else will see.
                    Ok(()) if is_at(&file, &path) => return Ok(Self { path, _file: file }),
                    Ok(()) => {}
                    Err(rustix::io::Errno::WOULDBLOCK) => return Err(DaemonError::AlreadyRunning { instance: instance.clone(), path }),
                    Err(errno) => return Err(DaemonError::RunDirectory { path, source: errno.into() }),
                },
                Err(source) if source.kind() == io::ErrorKind::NotFound => vanished = source,
                Err(source) => return Err(DaemonError::RunDirectory { path, source }),
            }
        }
        Err(DaemonError::RunDirectory { path, source: vanished })
    }
}

fn open(directory: &Path, path: &Path) -> io::Result<File> {
    create_private(directory)?;
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(found)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (held.dev(), held.ino()) == (found.dev(), found.ino())
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // Directories with something in them stay: what could not be put back, and other instances.
        for directory in self.path.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(directory);
        }
    }
}
