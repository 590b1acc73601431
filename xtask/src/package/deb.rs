//! The Debian package, by cargo-deb: its description is in the daemon's Cargo.toml.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::epoch;
use crate::progress::Progress;
use crate::shell::{answer, logged, root};

/// Longer than compressing some megabytes takes.
const LIMIT: Duration = Duration::from_secs(300);

/// Packs what has been built into `directory`, as this Debian revision of the workspace's version.
///
/// # Errors
/// When cargo-deb refuses; with the end of its log.
pub fn build(progress: &Progress, cargo_deb: &Path, directory: &Path, revision: u32) -> Result<PathBuf> {
    let architecture = answer("dpkg", &["--print-architecture"]).context("a Debian package needs dpkg; the tarball does without")?;
    let deb = directory.join(format!("gateway_{}-{revision}_{architecture}.deb", env!("CARGO_PKG_VERSION")));
    let _ = std::fs::remove_file(&deb);
    let mut command = Command::new(cargo_deb);
    command
        .args(["--package", "gateway-daemon", "--no-build", "--strip", "--deb-revision", &revision.to_string(), "--output"])
        .arg(&deb)
        .current_dir(root());
    if let Some(epoch) = epoch() {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    logged(progress, "cargo-deb", &mut command, &directory.join("cargo-deb.log"), LIMIT)?;
    ensure!(deb.is_file(), "cargo-deb made no {}", deb.display());
    Ok(deb)
}
