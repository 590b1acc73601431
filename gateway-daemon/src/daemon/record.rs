//! What the gateway has changed on the machine, on disk: after a crash the next start knows what to put back.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::DaemonError;
use crate::instance::InstanceName;
use crate::netlink::apply::Applied;
use crate::sysctl::Saved;

/// Everything to be put back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Addresses, MTUs, routes, neighbours.
    pub applied: Applied,
    /// Kernel settings.
    pub sysctls: Saved,
}

/// The changes and their file.
pub struct Record {
    path: PathBuf,
    /// The changes, as they are now.
    pub changes: Changes,
    written: Changes,
}

impl Record {
    /// Takes up what an earlier run left behind, if it was not stopped cleanly.
    pub fn open(instance: &InstanceName) -> Self {
        let path = instance.state_file();
        let changes: Changes = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!("{} cannot be understood ({error}): what an earlier run changed will not be put back", path.display());
                Changes::default()
            }),
            Err(_) => Changes::default(),
        };
        if changes != Changes::default() {
            tracing::info!("an earlier run of this instance did not stop cleanly; its changes are taken over");
        }
        Self { path, written: changes.clone(), changes }
    }

    /// Writes what has changed since the last time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self) -> Result<(), DaemonError> {
        if self.changes == self.written {
            return Ok(());
        }
        self.replace().map_err(|source| DaemonError::RunDirectory { path: self.path.clone(), source })?;
        self.written = self.changes.clone();
        Ok(())
    }

    /// Whole or not at all: a half-written record would be worse than an old one.
    fn replace(&self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.changes)?)?;
        fs::rename(new, &self.path)
    }

    /// Nothing is left to put back.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
