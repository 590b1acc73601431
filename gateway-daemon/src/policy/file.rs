//! Reads a policy from a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A policy of a thousand rules has some hundred kilobytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The file gives no text.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It does not exist.
    #[error("{0}: no such file; give the path of the policy, such as /etc/gateway/policy.toml")]
    NotFound(PathBuf),
    /// It cannot be read; the system's reason.
    #[error("{0}: cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The first byte that is no text, counted from 0.
    #[error("{0}: is not UTF-8 text (byte {1}); save it as UTF-8")]
    NotUtf8(PathBuf, usize),
    /// More than a policy can sensibly have.
    #[error("{0}: is larger than 16 MiB; a policy is not that large")]
    TooLarge(PathBuf),
}

/// The text of the file.
///
/// # Errors
///
/// The file is missing, unreadable, larger than 16 MiB, or not UTF-8.
pub fn read_file(path: &Path) -> Result<String, FileError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::NotFound(path.to_owned()),
        _ => FileError::Unreadable(path.to_owned(), error),
    };
    let mut bytes = Vec::new();
    // By what is read, not by what the file system says: a pipe or a file of /proc has no size.
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| FileError::NotUtf8(path.to_owned(), error.utf8_error().valid_up_to()))
}
