//! SHA-256 of files and trees: what something was made of, and whether it came out the same.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// In hexadecimal.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// Enough of it to tell directories apart.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }

    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Hash::default();
        hash.add(bytes);
        hash.finish()
    }

    /// Of a file's content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut hash = Hash::default();
        hash.add_file(path)?;
        Ok(hash.finish())
    }

    /// Of a directory: names, kinds, modes and contents, in the order of the names.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub fn of_tree(path: &Path) -> Result<Self> {
        let mut hash = Hash::default();
        hash.add_tree(path)?;
        Ok(hash.finish())
    }

    /// Of several.
    pub fn of_all(parts: &[&Self]) -> Self {
        let mut hash = Hash::default();
        parts.iter().for_each(|part| hash.add(part.0.as_bytes()));
        hash.finish()
    }
}

#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    /// With its length in front, so that two parts cannot pass for one.
    fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))? {
                0 => return Ok(()),
                length => self.0.update(&buffer[..length]),
            }
        }
    }

    fn add_tree(&mut self, path: &Path) -> Result<()> {
        let mut entries: Vec<_> =
            std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            self.add(entry.file_name().as_bytes());
            if kind.is_symlink() {
                self.add(std::fs::read_link(&path)?.as_os_str().as_bytes());
            } else if kind.is_dir() {
                self.add(b"/");
                self.add_tree(&path)?;
                self.add(b"..");
            } else {
                self.add(&(entry.metadata()?.permissions().mode() & 0o111).to_le_bytes());
                self.add(&entry.metadata()?.len().to_le_bytes());
                self.add_file(&path)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Digest {
        Digest(self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_digest_is_that_of_sha256sum() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("abc");
        std::fs::write(&file, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of_file(&file).unwrap().hex(), known);
    }

    #[test]
    fn a_trees_digest_moves_with_names_modes_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, "x").unwrap();
        let digest = || Digest::of_tree(dir.path()).unwrap();
        let first = digest();
        assert_eq!(digest(), first);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let second = digest();
        assert_ne!(second, first);
        std::fs::write(&file, "y").unwrap();
        assert_ne!(digest(), second);
        std::fs::create_dir(dir.path().join("b")).unwrap();
        assert_ne!(digest(), second);
    }
}
