//! What the program writes about itself, beside it in cargo's directory, where cargo-deb finds it as `target/release/staged`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell::answer;

/// Manual pages and completions.
pub struct Staged {
    directory: PathBuf,
}

impl Staged {
    /// Has them written by this program.
    ///
    /// # Errors
    /// When it cannot.
    pub fn by(program: &Path) -> Result<Self> {
        let directory = program.parent().context("the program is nowhere")?.join("staged");
        // A page of a command that no longer exists must not stay.
        let _ = std::fs::remove_dir_all(&directory);
        let staged = Self { directory };
        let program = program.to_string_lossy();
        answer(&program, &["generate", "man", &staged.manual().to_string_lossy()])?;
        answer(&program, &["generate", "completions", &staged.completions().to_string_lossy()])?;
        Ok(staged)
    }

    /// The pages of section 8.
    pub fn manual(&self) -> PathBuf {
        self.directory.join("man8")
    }

    /// `gateway.bash`, `_gateway` and `gateway.fish`.
    pub fn completions(&self) -> PathBuf {
        self.directory.join("completions")
    }
}
