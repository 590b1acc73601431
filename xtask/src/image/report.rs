//! What was made: where it is, how large, and its digests.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::digest::Digest;
use super::output;

/// MiB that the compressed disk may have, so that nodes fetch it in seconds.
const LIMIT: u64 = 100;

/// The files made.
pub struct Report {
    directory: PathBuf,
    files: Vec<File>,
}

struct File {
    name: &'static str,
    bytes: u64,
    digest: Digest,
}

impl Report {
    /// Looks at what is in the directory.
    ///
    /// # Errors
    /// When a file is not there, or the disk is too large.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in output::ALL {
            let path = directory.join(name);
            let bytes = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
            files.push(File { name, bytes, digest: Digest::of_file(&path)? });
        }
        let disk = files[0].bytes;
        ensure!(disk < LIMIT * 1024 * 1024, "the disk has {disk} bytes, more than {LIMIT} MiB: what came in?");
        Ok(Self { directory: directory.to_owned(), files })
    }

    /// Are the other's files the same?
    ///
    /// # Errors
    /// When one differs.
    pub fn must_equal(&self, other: &Self) -> Result<()> {
        for (one, two) in self.files.iter().zip(&other.files) {
            let (first, second) = (self.directory.join(one.name), other.directory.join(two.name));
            ensure!(one.digest == two.digest, "two builds differ: compare {} and {}", first.display(), second.display());
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for File { name, bytes, digest } in &self.files {
            let mib = *bytes as f64 / (1024.0 * 1024.0);
            writeln!(f, "{mib:7.1} MiB  sha256:{}  {}", digest.hex(), self.directory.join(name).display())?;
        }
        Ok(())
    }
}
