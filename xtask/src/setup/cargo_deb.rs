//! cargo-deb, which makes the Debian package.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::tools::Tools;
use crate::progress::Progress;
use crate::shell::{answer, cargo, logged};

/// The version the package is proved with.
const VERSION: &str = "3.8.0";

/// Makes sure of it, and says where it is.
///
/// # Errors
/// When it cannot be built; with the end of the build's log.
pub fn ensure(progress: &Progress, tools: &Tools) -> Result<PathBuf> {
    let program = tools.path("bin/cargo-deb");
    if is_wanted(&program) {
        return Ok(program);
    }
    progress.say(format_args!("cargo-deb {VERSION}: building it, which takes one to three minutes, once"));
    let work = tools.path(&format!("cargo-deb.{}", std::process::id()));
    let mut command = cargo();
    command
        // The defaults bring liblzma as C code and debug packages, and we need neither: xz(1) compresses.
        .args(["install", "cargo-deb", "--version", VERSION, "--locked", "--no-default-features", "--force"])
        .arg("--root")
        .arg(tools.path(""))
        .env("CARGO_TARGET_DIR", &work)
        .env_remove("CARGO_BUILD_TARGET");
    let outcome = logged(progress, "cargo install cargo-deb", &mut command, &tools.log("cargo-deb"), Duration::from_secs(1800));
    let _ = std::fs::remove_dir_all(&work);
    outcome.with_context(|| format!("cannot build cargo-deb {VERSION}; the Debian package needs it"))?;
    ensure!(is_wanted(&program), "{} was built and is not cargo-deb {VERSION}", program.display());
    Ok(program)
}

fn is_wanted(program: &Path) -> bool {
    program.is_file() && answer(&program.to_string_lossy(), &["--version"]).is_ok_and(|version| version.contains(VERSION))
}
