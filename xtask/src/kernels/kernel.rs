//! A Debian kernel: its image, and the modules that networking needs. Its packages are unpacked and not installed, so that nothing of this
//! machine, nor of its apt, knows of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::guest::Guest;
use super::{STORE, empty, in_guest, pack};
use crate::debian::sources;
use crate::progress::Progress;
use crate::setup::Tools;
use crate::shell::{answer, logged};

/// Follows the release's newest kernel for virtual machines: what the appliance has.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// Longer than a slow line takes for 60 MB.
const LIMIT: Duration = Duration::from_secs(900);
/// Below `kernel/` of the modules: what goes into the machine.
const PARTS: [&str; 4] = ["net", "lib", "crypto", "arch"];

/// The directory with `vmlinuz` and `modules.cpio` of the newest kernel in `suite`, from the store or from the network.
///
/// # Errors
/// When it cannot be fetched, or its packages hold something unexpected.
pub fn fetch(progress: &Progress, tools: &Tools, guest: &Guest, name: &str, suite: &str, fresh: bool) -> Result<PathBuf> {
    let kept = tools.path(STORE).join(format!("linux-{name}"));
    if kept.exists() && !fresh {
        return Ok(kept);
    }
    progress.say(format_args!("kernels: fetching the kernel of {suite}, half a minute, once"));
    let new = tools.path(STORE).join(format!("new-{name}"));
    empty(&new)?;
    Apt::of(progress, tools, suite, &new)?.unpack(&new.join("tree"))?;
    let tree = new.join("tree");
    let modules = modules(&tree)?;
    let release = modules.file_name().context("a kernel without a name")?.to_string_lossy().into_owned();
    let images = [tree.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.iter().find(|path| path.exists()).with_context(|| format!("no vmlinuz of {release}"))?;
    std::fs::copy(image, new.join("vmlinuz")).context("cannot copy the kernel")?;
    // Where both a merged and an older depmod look.
    let inside = format!("usr/lib/modules/{release}");
    let stage = new.join("stage").join(&inside);
    select(&modules, &stage)?;
    std::os::unix::fs::symlink("usr/lib", new.join("stage/lib"))?;
    in_guest(progress, &guest.root, &new, &format!("depmod -b \"$PWD/stage\" '{release}'"))?;
    pack(progress, &guest.root, &new, "stage", "modules.cpio")?;
    for directory in ["tree", "stage", "apt"] {
        std::fs::remove_dir_all(new.join(directory)).with_context(|| format!("cannot remove {directory}"))?;
    }
    if kept.exists() {
        std::fs::remove_dir_all(&kept)?;
    }
    std::fs::rename(&new, &kept).with_context(|| format!("cannot make {}", kept.display()))?;
    progress.say(format_args!("kernels: {release}"));
    Ok(kept)
}

/// The one directory of modules in the unpacked packages.
fn modules(tree: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for place in ["lib/modules", "usr/lib/modules"] {
        let listed = std::fs::read_dir(tree.join(place)).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(listed.filter(|path| path.join("kernel").is_dir()));
    }
    let Ok([one]) = <[PathBuf; 1]>::try_from(found) else {
        bail!("the packages in {} hold not exactly one kernel's modules", tree.display())
    };
    Ok(one)
}

/// Copies what the machine needs of the modules: those of networking, and virtual links.
fn select(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.join("kernel/drivers/net"))?;
    let copy = |source: PathBuf, target: PathBuf| -> Result<()> {
        answer("cp", &["-r", &source.to_string_lossy(), &target.to_string_lossy()]).map(drop)
    };
    for part in PARTS {
        let source = from.join("kernel").join(part);
        if source.exists() {
            copy(source, to.join("kernel").join(part))?;
        }
    }
    let drivers = std::fs::read_dir(from.join("kernel/drivers/net")).context("no network drivers")?.flatten();
    // The virtual ones stand directly in here, those of hardware below.
    for driver in drivers.filter(|entry| entry.path().is_file()) {
        copy(driver.path(), to.join("kernel/drivers/net"))?;
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        copy(from.join(list), to.join(list))?;
    }
    Ok(())
}

/// apt with lists and a cache of its own, for one release.
struct Apt<'a> {
    progress: &'a Progress,
    tools: &'a Tools,
    directory: PathBuf,
}

impl<'a> Apt<'a> {
    fn of(progress: &'a Progress, tools: &'a Tools, suite: &str, work: &Path) -> Result<Self> {
        let apt = Self { progress, tools, directory: work.join("apt") };
        for directory in ["state/lists/partial", "cache/archives/partial", "downloaded"] {
            std::fs::create_dir_all(apt.directory.join(directory))?;
        }
        std::fs::write(apt.directory.join("status"), "")?;
        std::fs::write(apt.directory.join("sources.list"), sources(suite)?.join("\n") + "\n")?;
        let log = apt.tools.log("apt-kernels");
        logged(progress, "apt-get update", Command::new("apt-get").args(apt.options()).args(["-q", "update"]), &log, LIMIT)?;
        Ok(apt)
    }

    fn options(&self) -> Vec<String> {
        let at = |option: &str, file: &str| format!("{option}={}", self.directory.join(file).display());
        let options = [
            at("Dir::Etc::SourceList", "sources.list"),
            "Dir::Etc::SourceParts=-".to_owned(),
            at("Dir::State", "state"),
            at("Dir::State::status", "status"),
            at("Dir::Cache", "cache"),
            // Its own user may not write here.
            "APT::Sandbox::User=root".to_owned(),
        ];
        options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect()
    }

    /// Unpacks the kernel's packages: of all that the newest one depends on, those that belong to one version of it.
    fn unpack(&self, into: &Path) -> Result<()> {
        let mut words = self.options();
        words.extend(["depends", "--recurse", "--important", PACKAGE].map(str::to_owned));
        let listed = answer("apt-cache", &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let packages = versioned(&listed);
        ensure!(!packages.is_empty(), "{PACKAGE} depends on no kernel:\n{listed}");
        let downloaded = self.directory.join("downloaded");
        let mut command = Command::new("apt-get");
        command.args(self.options()).args(["-q", "download"]).args(&packages).current_dir(&downloaded);
        logged(self.progress, "apt-get download", &mut command, &self.tools.log("apt-kernels"), LIMIT)?;
        for package in std::fs::read_dir(&downloaded)?.flatten() {
            answer("dpkg-deb", &["-x", &package.path().to_string_lossy(), &into.to_string_lossy()])?;
        }
        Ok(())
    }
}

/// The packages of one kernel version, `linux-<part>-<version>…`. They begin a line; what they depend on is indented.
fn versioned(listed: &str) -> Vec<&str> {
    let version = |name: &str| name.split('-').nth(2).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    listed.lines().filter(|line| line.starts_with("linux-") && version(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_of_one_version_are_found_and_what_serves_all_versions_is_not() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-7.2.13+deb14-cloud-amd64\nlinux-base-cloud-amd64\n\
                      linux-image-7.2.13+deb14-cloud-amd64\n  Depends: linux-base\nlinux-base\nlinux-modules-7.2.13+deb14-cloud-amd64\nkmod\n";
        assert_eq!(versioned(listed), ["linux-image-7.2.13+deb14-cloud-amd64", "linux-modules-7.2.13+deb14-cloud-amd64"]);
    }
}
