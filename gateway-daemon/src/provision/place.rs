//! Files put in place: whole or not at all, below a root that may be another machine's.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::ProvisionError;

/// The path of `absolute` below `root`.
pub fn below(root: &Path, absolute: &str) -> PathBuf {
    root.join(absolute.trim_start_matches('/'))
}

/// Writes the file `absolute`, making the directories above it. A file that says the same already is left alone.
///
/// # Errors
/// When it cannot be written.
pub fn write(root: &Path, absolute: &str, content: &[u8], mode: u32) -> Result<(), ProvisionError> {
    let path = below(root, absolute);
    let failed = |source| ProvisionError::Write { path: path.clone(), source };
    let is_there = fs::read(&path).is_ok_and(|present| present == content);
    if is_there && fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o7777 == mode) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let new = path.with_added_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::set_permissions(&new, PermissionsExt::from_mode(mode)))
        .and_then(|()| fs::rename(&new, &path));
    written.map_err(|source| {
        let _ = fs::remove_file(&new);
        failed(source)
    })
}

/// Removes the file `absolute`, if it is there.
///
/// # Errors
/// When it is there and stays.
pub fn remove(root: &Path, absolute: &str) -> Result<(), ProvisionError> {
    let path = below(root, absolute);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ProvisionError::Write { path, source }),
        _ => Ok(()),
    }
}
