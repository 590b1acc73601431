//! The tarball: a program that needs no library, with its units, pages and completions, laid out for /usr/local.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::staged::Staged;
use super::{copy, epoch, source};
use crate::product;
use crate::progress::Progress;
use crate::shell::{answer, logged, root};

/// Longer than compressing some megabytes takes.
const LIMIT: Duration = Duration::from_secs(300);
/// The units, whose program is elsewhere here than in the package.
const UNITS: [&str; 2] = ["gateway.service", "gateway@.service"];

/// Builds the static program for the target `musl`, or where there is none for glibc, and packs it into `directory`.
///
/// # Errors
/// When it does not build.
pub fn build(progress: &Progress, musl: Option<&str>, staged: &Staged, directory: &Path) -> Result<PathBuf> {
    progress.say("build: the gateway (release, static)");
    let program = product::build_static("gateway-daemon", ["--bin", "gateway"], musl)?;
    let name = format!("gateway-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let tree = directory.join(&name);
    let _ = std::fs::remove_dir_all(&tree);
    lay_out(&program, staged, &tree)?;
    let tarball = directory.join(format!("{name}.tar.gz"));
    let mut command = Command::new("tar");
    command.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX", "--format=gnu"]);
    // gzip would note its own time.
    command.args(["--use-compress-program", "gzip -9 -n", "--directory"]).arg(directory).arg("--file").arg(&tarball);
    if let Some(epoch) = epoch() {
        command.arg(format!("--mtime=@{epoch}"));
    }
    command.arg(&name);
    logged(progress, "tar", &mut command, &directory.join("tar.log"), LIMIT)?;
    std::fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    Ok(tarball)
}

fn lay_out(program: &Path, staged: &Staged, tree: &Path) -> Result<()> {
    let bin = tree.join("bin");
    std::fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    answer("strip", &["-o", &bin.join("gateway").to_string_lossy(), &program.to_string_lossy()])?;
    let units = tree.join("lib/systemd/system");
    std::fs::create_dir_all(&units)?;
    for unit in UNITS {
        let text = std::fs::read_to_string(source("systemd").join(unit))?;
        std::fs::write(units.join(unit), text.replace("=/usr/bin/gateway ", "=/usr/local/bin/gateway "))?;
    }
    for page in staged.pages()? {
        let name = page.file_name().context("a page without a name")?;
        copy(&page, &tree.join("share/man/man8").join(name))?;
    }
    copy(&source("man/gateway-policy.5"), &tree.join("share/man/man5/gateway-policy.5"))?;
    for (name, place) in [
        ("gateway.bash", "share/bash-completion/completions/gateway"),
        ("_gateway", "share/zsh/site-functions/_gateway"),
        ("gateway.fish", "share/fish/vendor_completions.d/gateway.fish"),
    ] {
        copy(&staged.completions().join(name), &tree.join(place))?;
    }
    copy(&source("policy.toml"), &tree.join("share/doc/gateway/policy.toml"))?;
    for text in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&root().join(text), &tree.join("share/doc/gateway").join(text))?;
    }
    Ok(())
}
