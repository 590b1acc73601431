//! The two Debian roots, by mmdebstrap: what the appliance is made of, and the workshop's tools. Fetched once, kept with the project's tools.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::digest::Digest;
use super::recipe::{Recipe, SUITE};
use crate::progress::Progress;
use crate::setup::{Tools, archives};
use crate::shell::{answer, logged};

/// Longer than a slow line takes for 200 MB.
const LIMIT: Duration = Duration::from_secs(1800);

/// A root that nobody has built with for so long is removed.
const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// A root: a tar, or a directory.
pub struct Root {
    /// Where.
    pub path: PathBuf,
    /// Of what is in it.
    pub digest: Digest,
}

/// The appliance's root, as a tar.
///
/// # Errors
/// When it cannot be fetched.
pub fn root(progress: &Progress, tools: &Tools, recipe: &Recipe, fresh: bool) -> Result<Root> {
    let mut arguments: Vec<String> =
        recipe.list("packages/exclude.list")?.iter().map(|path| format!("--dpkgopt=path-exclude={path}")).collect();
    arguments.push(format!("--include={}", recipe.list("packages/image.list")?.join(",")));
    let purge = recipe.list("packages/purge.list")?.join(" ");
    // Without their scripts, which tidy up a living system, and some of which need one another. Forced: the essential ones among them refuse
    // otherwise, and nothing that needs them is ever run.
    arguments.push(format!("--customize-hook=cd \"$1/var/lib/dpkg/info\"; for name in {purge}; do rm -f $name.prerm $name.postrm; done"));
    arguments.push(format!("--customize-hook=chroot \"$1\" dpkg --purge --force-all {purge}"));
    let wanted = Wanted { name: "root", suffix: ".tar", what: "the appliance's Debian packages", arguments };
    let path = wanted.fetch(progress, tools, recipe, fresh)?;
    Ok(Root { digest: Digest::of_file(&path)?, path })
}

/// The workshop's root, as a directory.
///
/// # Errors
/// When it cannot be fetched.
pub fn builder(progress: &Progress, tools: &Tools, recipe: &Recipe, fresh: bool) -> Result<Root> {
    let mut arguments: Vec<String> =
        ["doc", "man", "locale", "info"].map(|path| format!("--dpkgopt=path-exclude=/usr/share/{path}/*")).to_vec();
    arguments.push(format!("--include={}", recipe.list("packages/builder.list")?.join(",")));
    let wanted = Wanted { name: "builder", suffix: "", what: "the tools that make the disk", arguments };
    let path = wanted.fetch(progress, tools, recipe, fresh)?;
    Ok(Root { digest: Digest::of_file(&path.join("var/lib/dpkg/status"))?, path })
}

/// One root.
struct Wanted {
    name: &'static str,
    suffix: &'static str,
    what: &'static str,
    arguments: Vec<String>,
}

impl Wanted {
    /// The root, from the store or from the network.
    fn fetch(&self, progress: &Progress, tools: &Tools, recipe: &Recipe, fresh: bool) -> Result<PathBuf> {
        let store = tools.path("image");
        std::fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
        let key = Digest::of(format!("{SUITE} {} {}", recipe.epoch(), self.arguments.join("\n")).as_bytes());
        let kept = store.join(format!("{}-{}{}", self.name, key.short(), self.suffix));
        if kept.exists() && !fresh {
            used(&kept)?;
            return Ok(kept);
        }
        progress.say(format_args!("image: fetching {} ({SUITE}), one to three minutes, once", self.what));
        let new = store.join(format!("new-{}-{}{}", self.name, std::process::id(), self.suffix));
        let fetched =
            logged(progress, "mmdebstrap", &mut self.mmdebstrap(recipe, &new)?, &tools.log(&format!("mmdebstrap-{}", self.name)), LIMIT);
        let placed = fetched.and_then(|()| {
            remove(&kept)?;
            std::fs::rename(&new, &kept).with_context(|| format!("cannot put {} in place", kept.display()))
        });
        if placed.is_err() {
            remove(&new)?;
        }
        placed?;
        used(&kept)?;
        self.prune(&store)?;
        Ok(kept)
    }

    /// Removes roots of earlier recipes, which other clones may still use, once nobody has done so for a while.
    fn prune(&self, store: &Path) -> Result<()> {
        let prefix = format!("{}-", self.name);
        for entry in std::fs::read_dir(store).with_context(|| format!("cannot list {}", store.display()))?.flatten() {
            let unused = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if entry.file_name().to_string_lossy().starts_with(&prefix) && unused > UNUSED {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn mmdebstrap(&self, recipe: &Recipe, into: &Path) -> Result<Command> {
        let mut command = Command::new("nice");
        command.args(["-n", "10", "mmdebstrap", "--mode=root", "--variant=essential"]).args(&self.arguments);
        for option in ["Acquire::Check-Valid-Until", "Acquire::Check-Date"] {
            // As this machine's own apt is told: its archive may be a snapshot.
            if answer("apt-config", &["dump", "--format", "%v", option]).is_ok_and(|value| value == "false") {
                command.arg(format!("--aptopt={option} \"false\""));
            }
        }
        command.arg(SUITE).arg(into);
        command.args(sources()?);
        command.env("SOURCE_DATE_EPOCH", recipe.epoch().to_string());
        Ok(command)
    }
}

/// Why nothing can be had from Debian's archive, when that is so: apt knows none, or it does not answer.
pub fn no_archive() -> Option<String> {
    let Some(main) = archives().main else {
        return Some("apt knows no Debian archive (a source whose address ends in /debian)".to_owned());
    };
    // With apt's own means, which know of proxies and the like.
    let release = format!("{}/dists/{SUITE}/InRelease", main.trim_end_matches('/'));
    let directory = tempfile::tempdir().ok()?;
    let to = directory.path().join("InRelease").display().to_string();
    let once = ["-oAcquire::Retries=0", "-oAcquire::http::Timeout=20", "-oAcquire::https::Timeout=20", "-oAPT::Sandbox::User=root"];
    let asked = answer("/usr/lib/apt/apt-helper", &[&once[..], &["download-file", &release, &to]].concat());
    asked.err().map(|_| format!("the Debian archive does not answer ({release})"))
}

/// apt's source lines: the release from the archives that this machine itself uses.
fn sources() -> Result<Vec<String>> {
    let archives = archives();
    let main = archives.main.context("apt knows no Debian archive (a source whose address ends in /debian); add one to its sources")?;
    let mut lines = vec![format!("deb {main} {SUITE} main"), format!("deb {main} {SUITE}-updates main")];
    lines.extend(archives.security.map(|security| format!("deb {security} {SUITE}-security main")));
    Ok(lines)
}

/// Notes the use in the root's time, which [`Wanted::prune`] goes by. Nothing that is built depends on it.
fn used(root: &Path) -> Result<()> {
    let touched = File::open(root).and_then(|root| root.set_modified(SystemTime::now()));
    touched.with_context(|| format!("cannot note the use of {}", root.display()))
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
