//! The gateway program as the image carries it: optimised, without symbols.

use std::path::PathBuf;

use anyhow::Result;

use super::digest::Digest;
use crate::product;
use crate::shell::answer;

/// The stripped program.
pub struct Program {
    /// Where.
    pub path: PathBuf,
    /// Of its content.
    pub digest: Digest,
}

impl Program {
    /// Builds and strips it.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build() -> Result<Self> {
        let built = product::build("gateway-daemon", ["--bin", "gateway"])?;
        let path = built.with_extension("stripped");
        // Symbols are most of the file, and the image has no debugger. strip(1) comes with the C compiler that the build needs anyway.
        answer("strip", &["-o", &path.to_string_lossy(), &built.to_string_lossy()])?;
        Ok(Self { digest: Digest::of_file(&path)?, path })
    }
}
