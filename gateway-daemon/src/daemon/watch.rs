//! Notices when the policy file is written or replaced.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::DaemonError;

/// Watches the file's directory, not the file: editors and configuration mounts replace it by a rename, and a ConfigMap exchanges a link
/// named `..data` beside it.
pub struct PolicyWatch {
    _watcher: notify::RecommendedWatcher,
    changes: mpsc::Receiver<()>,
}

impl PolicyWatch {
    /// Starts to watch.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn start(policy: &Path) -> Result<Self, DaemonError> {
        let directory = match policy.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let names: Vec<OsString> = policy.file_name().map(OsString::from).into_iter().chain([OsString::from("..data")]).collect();
        // One place: however many events come while the loop is busy, one reload follows.
        let (sender, changes) = mpsc::channel(1);
        let failed = |source| DaemonError::Watch { path: directory.clone(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let ours = event.paths.iter().any(|path| path.file_name().is_some_and(|name| names.iter().any(|known| known == name)));
            if ours && is_complete(event.kind) {
                let _ = sender.try_send(());
            }
        })
        .map_err(failed)?;
        watcher.watch(&directory, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(Self { _watcher: watcher, changes })
    }

    /// Waits for the next change. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// A file that has been written to its end, or put in place whole. Each single write in between would show a half policy.
fn is_complete(kind: EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode, ModifyKind};
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_)))
}
