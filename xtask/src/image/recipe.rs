//! The recipe: what `containerdisk/` says, and the fixed numbers that make two builds the same.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::digest::Digest;
use crate::shell::root;

/// The Debian release, which also decides the kernel.
pub const SUITE: &str = "trixie";
/// The UUID of the root's file system. Nobody mounts two of these disks in one machine.
pub const ROOT_UUID: &str = "6a1c9c8e-5f0b-4d39-8e0e-0d6b3a6f1e01";
/// The seed of ext4's directory hashes.
pub const HASH_SEED: &str = "6a1c9c8e-5f0b-4d39-8e0e-0d6b3a6f1e02";
/// The partition table's UUID; the partitions' own end in the partition's number.
pub const DISK_UUID: &str = "6a1c9c8e-5f0b-4d39-8e0e-0d6b3a6f1e00";
/// The ESP's volume number.
pub const ESP_ID: &str = "6a1c9c8e";

/// What is to be cooked.
pub struct Recipe {
    directory: PathBuf,
    digest: Digest,
    epoch: u64,
}

impl Recipe {
    /// Reads the recipe of this tree.
    ///
    /// # Errors
    /// When a part of it cannot be read.
    pub fn read() -> Result<Self> {
        let directory = root().join("containerdisk");
        let mut parts = Vec::new();
        for part in ["packages", "initramfs", "grub", "rootfs", "masked.list", "units.list"] {
            let path = directory.join(part);
            parts.push(if path.is_dir() { Digest::of_tree(&path)? } else { Digest::of_file(&path)? });
        }
        // The cook is part of the recipe.
        parts.push(Digest::of_tree(&root().join("xtask/src/image"))?);
        let epoch = epoch()?;
        parts.push(Digest::of(&epoch.to_le_bytes()));
        let digest = Digest::of_all(&parts.iter().collect::<Vec<_>>());
        Ok(Self { directory, digest, epoch })
    }

    /// Of all that the recipe says.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The time that every file and file system carries, in seconds since 1970.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A file or directory of the recipe.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.join(relative)
    }

    /// The entries of a list: one per line, without comments.
    ///
    /// # Errors
    /// When the list cannot be read, or is empty.
    pub fn list(&self, relative: &str) -> Result<Vec<String>> {
        let entries = entries(&self.text(relative)?);
        ensure!(!entries.is_empty(), "{} has no entry", self.path(relative).display());
        Ok(entries)
    }

    /// A file's text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn text(&self, relative: &str) -> Result<String> {
        read(&self.path(relative))
    }

    /// The kernel's command line.
    ///
    /// # Errors
    /// As [`Recipe::list`].
    pub fn command_line(&self) -> Result<String> {
        Ok(self.list("grub/cmdline")?.join(" "))
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn entries(text: &str) -> Vec<String> {
    let without_comment = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(without_comment).filter(|line| !line.is_empty()).collect()
}

/// `SOURCE_DATE_EPOCH`, or the day the recipe's form was settled: the commit's time would make another disk of every commit.
fn epoch() -> Result<u64> {
    const SETTLED: u64 = 1_767_225_600;
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH={text} is no number of seconds")),
        Err(_) => Ok(SETTLED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_without_its_comments() {
        assert_eq!(entries("# why\n\nudev   # links\nunit a.service\n/usr/share/doc/*\n"), ["udev", "unit a.service", "/usr/share/doc/*"]);
    }

    #[test]
    fn this_trees_recipe_is_complete() {
        let recipe = Recipe::read().unwrap();
        for list in ["packages/image.list", "packages/builder.list", "packages/purge.list", "packages/exclude.list"] {
            recipe.list(list).unwrap();
        }
        for list in ["initramfs/modules.list", "grub/modules.list", "masked.list", "units.list"] {
            recipe.list(list).unwrap();
        }
        assert!(recipe.command_line().unwrap().contains("console=ttyS0"));
    }
}
