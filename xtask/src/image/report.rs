//! What was made: where it is, how large, and its digests.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::digest::Digest;
use super::output;

/// Bytes that the compressed disk, and the containerDisk with it, may have at most, so that nodes fetch it in seconds: 100 MB.
const LIMIT: u64 = 100_000_000;

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
    /// When a file is not there, or the disk or the containerDisk is too large.
    pub fn of(directory: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for name in output::ALL {
            let path = directory.join(name);
            let bytes = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
            fits(name, bytes)?;
            files.push(File { name, bytes, digest: Digest::of_file(&path)? });
        }
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

/// Is a file of this name and size small enough?
fn fits(name: &str, bytes: u64) -> Result<()> {
    ensure!(bytes <= LIMIT, "{name} has {bytes} bytes, more than {LIMIT}: what came in?");
    Ok(())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for File { name, bytes, digest } in &self.files {
            let mb = *bytes as f64 / 1e6;
            writeln!(f, "{mb:7.1} MB  sha256:{}  {}", digest.hex(), self.directory.join(name).display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with files of these sizes in bytes, in the order of [`output::ALL`], without content.
    fn directory(sizes: [u64; 3]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in output::ALL.iter().zip(sizes) {
            std::fs::File::create(directory.path().join(name)).unwrap().set_len(bytes).unwrap();
        }
        directory
    }

    #[test]
    fn disk_and_container_disk_have_100_mb_at_most() {
        assert!(Report::of(directory([2000, 3000, 10]).path()).is_ok());
        for (sizes, name) in [([LIMIT + 1, 1, 1], output::DISK), ([1, LIMIT + 1, 1], output::ARCHIVE)] {
            let error = Report::of(directory(sizes).path()).err().unwrap().to_string();
            assert!(error.starts_with(&format!("{name} has 100000001 bytes")), "{error}");
        }
        fits(output::DISK, LIMIT).unwrap();
    }

    #[test]
    fn two_builds_that_differ_are_told_apart() {
        let [one, same, other] = [[5, 6, 7], [5, 6, 7], [5, 6, 8]].map(directory);
        let [one, same, other] = [&one, &same, &other].map(|directory| Report::of(directory.path()).unwrap());
        one.must_equal(&same).unwrap();
        let error = one.must_equal(&other).unwrap_err().to_string();
        assert!(error.contains(output::SBOM), "{error}");
    }
}
