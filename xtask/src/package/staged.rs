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
        for page in staged.pages()? {
            // cargo-deb compresses pages of the source tree, and takes these for programs. Without the time, so that they stay the same.
            answer("gzip", &["-9", "-n", "--keep", &page.to_string_lossy()])?;
        }
        Ok(staged)
    }

    /// The pages of section 8; beside each lies a compressed copy.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn pages(&self) -> Result<Vec<PathBuf>> {
        let listed = std::fs::read_dir(self.manual()).with_context(|| format!("cannot list {}", self.manual().display()))?;
        let pages = listed.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|section| section == "8"));
        Ok(pages.collect())
    }

    fn manual(&self) -> PathBuf {
        self.directory.join("man8")
    }

    /// `gateway.bash`, `_gateway` and `gateway.fish`.
    pub fn completions(&self) -> PathBuf {
        self.directory.join("completions")
    }
}
