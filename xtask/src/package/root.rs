//! The Debian system that the package is tried in, without the gateway: fetched once, kept with the project's tools.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::debian::{own_suite, snapshot_options, sources};
use crate::progress::Progress;
use crate::setup::{self, Tools};
use crate::shell::logged;

/// What the package needs, and what makes a system of it that boots.
const INCLUDE: &str = "--include=systemd,systemd-sysv,iproute2,nftables";
/// Longer than a slow line takes for 60 MB.
const LIMIT: Duration = Duration::from_secs(1200);

/// The system as a tar, of the same release as this machine: the package needs the C library that it was built with, or a later one.
///
/// # Errors
/// When it cannot be fetched.
pub fn tar(progress: &Progress) -> Result<PathBuf> {
    setup::run(&setup::Arguments::for_package_test())?;
    let tools = Tools::open()?;
    let _lock = tools.lock()?;
    let suite = own_suite()?;
    let kept = tools.path(&format!("package-root-{suite}.tar"));
    if kept.exists() {
        return Ok(kept);
    }
    progress.say(format_args!("package: fetching a Debian system ({suite}) to try it in, about a minute, once"));
    let new = tools.path(&format!("package-root.{}.tar", std::process::id()));
    let mut command = Command::new("mmdebstrap");
    command.args(["--mode=root", "--variant=minbase", INCLUDE]);
    command.args(["doc", "man", "locale", "info"].map(|path| format!("--dpkgopt=path-exclude=/usr/share/{path}/*")));
    // The package's own pages are looked for.
    command.args(["--dpkgopt=path-include=/usr/share/man/man[58]/gateway*", "--dpkgopt=path-include=/usr/share/doc/gateway/*"]);
    command.args(snapshot_options()).arg(&suite).arg(&new).args(sources(&suite)?);
    logged(progress, "mmdebstrap", &mut command, &tools.log("mmdebstrap-package"), LIMIT)
        .inspect_err(|_| drop(std::fs::remove_file(&new)))?;
    std::fs::rename(&new, &kept).with_context(|| format!("cannot make {}", kept.display()))?;
    Ok(kept)
}
