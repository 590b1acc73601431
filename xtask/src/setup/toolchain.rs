//! The Rust toolchain that runs us: its version, its LLVM, and its components.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tools::Tools;
use crate::progress::Progress;
use crate::shell::{answer, cargo, logged};

/// rustup is asked for this long at most: where it cannot download, it may hang.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// What `rustc -vV` tells, and where it lives.
pub struct Toolchain {
    /// `1.95.0`, or `1.97.0-nightly`.
    pub release: String,
    /// The commit it was built from; two nightlies of one release differ in it.
    pub commit: String,
    /// The major version of the LLVM it brings.
    pub llvm: u32,
    /// Its root directory.
    pub sysroot: PathBuf,
}

impl Toolchain {
    /// Asks the rustc of the cargo that runs us.
    ///
    /// # Errors
    /// When there is none, or when it answers in an unknown form.
    pub fn detect() -> Result<Self> {
        let verbose = answer("rustc", &["-vV"]).context("no working rustc in PATH")?;
        let sysroot = answer("rustc", &["--print", "sysroot"])?;
        let (release, commit, llvm) = parse(&verbose).with_context(|| format!("cannot read what `rustc -vV` says:\n{verbose}"))?;
        Ok(Self { release, commit, llvm, sysroot: sysroot.into() })
    }

    /// The release without `-nightly` and the like, as Debian numbers it.
    pub fn base_release(&self) -> &str {
        self.release.split('-').next().unwrap_or(&self.release)
    }

    /// What tells this toolchain from every other: things built for another one are built anew.
    pub fn stamp(&self) -> String {
        format!("{} {}", self.release, self.commit)
    }

    /// Tries `rustup component add`; false when rustup is absent, refuses, or is not done within 60 s.
    pub fn rustup_add(&self, progress: &Progress, tools: &Tools, component: &str) -> bool {
        self.rustup(progress, tools, "component", component)
    }

    /// The target for static programs: present, or brought by rustup. `None` where it is not to be had.
    pub fn musl(&self, progress: &Progress, tools: &Tools) -> Option<String> {
        let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let is_there = || self.sysroot.join("lib/rustlib").join(&target).join("lib").is_dir();
        (is_there() || (self.rustup(progress, tools, "target", &target) && is_there())).then_some(target)
    }

    /// `rustup <kind> add <what>`.
    fn rustup(&self, progress: &Progress, tools: &Tools, kind: &str, what: &str) -> bool {
        if answer("rustup", &["--version"]).is_err() {
            return false;
        }
        progress.say(format_args!("{what}: asking rustup for it (at most {} s)", RUSTUP_LIMIT.as_secs()));
        let mut command = Command::new("rustup");
        command.args([kind, "add", what]).current_dir(crate::shell::root());
        // The toolchain that runs us, under the name rustup knows it by.
        if let Some(name) = std::env::var_os("RUSTUP_TOOLCHAIN") {
            command.arg("--toolchain").arg(name);
        }
        let outcome = logged(progress, &format!("rustup {kind} add"), &mut command, &tools.log(&format!("rustup-{what}")), RUSTUP_LIMIT);
        if let Err(error) = &outcome {
            progress.say(format_args!("{what}: rustup cannot bring it: {}", first_line(&format!("{error:#}"))));
        }
        outcome.is_ok()
    }

    /// Makes sure that the cargo subcommand `program` of a component is there.
    ///
    /// # Errors
    /// When it is neither there nor to be had from rustup.
    pub fn ensure_component(&self, progress: &Progress, tools: &Tools, component: &str, program: &str) -> Result<()> {
        let subcommand = program.trim_start_matches("cargo-");
        let works = || cargo().args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success());
        if works() || (self.rustup_add(progress, tools, component) && works()) {
            return Ok(());
        }
        bail!(
            "{component} is missing for rustc {}, and .ci/run needs it.\nBy hand: `rustup component add {component}`, or install the package {} of the same version.",
            self.release,
            if component == "clippy" { "rust-clippy" } else { "rustfmt" }
        )
    }
}

fn first_line(text: &str) -> &str {
    text.lines().find(|line| line.contains("error")).or_else(|| text.lines().next()).unwrap_or_default()
}

fn parse(verbose: &str) -> Option<(String, String, u32)> {
    let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let llvm = field("LLVM version:")?.split('.').next()?.parse().ok()?;
    Some((field("release:")?.to_owned(), field("commit-hash:")?.to_owned(), llvm))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBOSE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\ncommit-hash: 59807616e1fa\ncommit-date: 2026-04-14\n\
                           host: x86_64-unknown-linux-gnu\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

    #[test]
    fn reads_release_commit_and_llvm() {
        assert_eq!(parse(VERBOSE), Some(("1.95.0".into(), "59807616e1fa".into(), 22)));
        assert_eq!(parse("rustc 1.95.0\n"), None);
    }

    #[test]
    fn a_nightly_is_numbered_by_its_release() {
        let toolchain = Toolchain { release: "1.97.0-nightly".into(), commit: "c".into(), llvm: 22, sysroot: "/".into() };
        assert_eq!(toolchain.base_release(), "1.97.0");
        assert_eq!(toolchain.stamp(), "1.97.0-nightly c");
    }
}
