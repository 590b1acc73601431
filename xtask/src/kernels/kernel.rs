//! A Debian kernel: its image, and the modules that networking needs. Its packages are unpacked and not installed, so that nothing of this
//! machine, nor of its apt, knows of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

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

/// A kernel that is kept is the release's newest for so long; then it is asked for again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The directory with `vmlinuz` and `modules.cpio` of the newest kernel in `suite`, from the store or from the network. An old one is good
/// enough where no newer one can be had, unless `fresh` demands it.
///
/// # Errors
/// When it cannot be fetched, or its packages hold something unexpected.
pub fn fetch(progress: &Progress, tools: &Tools, guest: &Guest, name: &str, suite: &str, fresh: bool) -> Result<PathBuf> {
    let kept = tools.path(STORE).join(format!("linux-{name}"));
    let age = age(&kept, SystemTime::now());
    match age {
        Some(age) if !fresh && age <= KEPT => return Ok(kept),
        Some(age) => progress.say(format_args!("kernels: the kernel of {suite} is {} days old; fetching it again", days(age))),
        None => progress.say(format_args!("kernels: fetching the kernel of {suite}, half a minute, once a month")),
    }
    let fetched = fetch_into(progress, tools, guest, name, suite, &kept);
    or_kept(fetched, kept, age.filter(|_| !fresh), |line| progress.say(line))
}

/// How long ago what is kept was fetched; `None` when nothing is. Its directory is not written to afterwards.
fn age(kept: &Path, now: SystemTime) -> Option<Duration> {
    let fetched = std::fs::metadata(kept).and_then(|kept| kept.modified()).ok()?;
    Some(now.duration_since(fetched).unwrap_or_default())
}

fn days(age: Duration) -> u64 {
    age.as_secs() / (24 * 3600)
}

/// What was fetched, or what is kept, of that age, where nothing was.
fn or_kept(fetched: Result<PathBuf>, kept: PathBuf, age: Option<Duration>, say: impl Fn(String)) -> Result<PathBuf> {
    match (fetched, age) {
        (Err(error), Some(age)) if kept.exists() => {
            let why = format!("{error:#}");
            let why = why.lines().next().unwrap_or_default();
            say(format!("kernels: no newer kernel can be had ({why}); the one of {} days ago serves", days(age)));
            Ok(kept)
        }
        (fetched, _) => fetched,
    }
}

fn fetch_into(progress: &Progress, tools: &Tools, guest: &Guest, name: &str, suite: &str, kept: &Path) -> Result<PathBuf> {
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
        std::fs::remove_dir_all(kept)?;
    }
    std::fs::rename(&new, kept).with_context(|| format!("cannot make {}", kept.display()))?;
    progress.say(format_args!("kernels: {release}"));
    Ok(kept.to_owned())
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
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_is_kept_is_asked_for_again_after_a_month() {
        let home = tempfile::tempdir().unwrap();
        let (kept, now) = (home.path().join("linux-newest"), SystemTime::now());
        assert_eq!(age(&kept, now), None);
        std::fs::create_dir(&kept).unwrap();
        for (since, old) in [(29, false), (31, true)] {
            let fetched = now - Duration::from_secs(since * 24 * 3600);
            std::fs::File::open(&kept).unwrap().set_modified(fetched).unwrap();
            let age = age(&kept, now).unwrap();
            assert_eq!((days(age), age > KEPT), (since, old));
        }
        // A clock that was set back makes nothing old.
        std::fs::File::open(&kept).unwrap().set_modified(now + Duration::from_secs(3600)).unwrap();
        assert_eq!(age(&kept, now), Some(Duration::ZERO));
    }

    #[test]
    fn an_old_kernel_serves_where_no_newer_one_can_be_had() {
        let home = tempfile::tempdir().unwrap();
        let (kept, told) = (home.path().to_owned(), RefCell::new(String::new()));
        let say = |line: String| *told.borrow_mut() = line;
        let failed = || Err(anyhow::anyhow!("apt-get update failed\nand much more"));
        let old = Some(Duration::from_secs(40 * 24 * 3600));
        assert_eq!(or_kept(failed(), kept.clone(), old, say).unwrap(), kept);
        assert!(told.borrow().contains("(apt-get update failed); the one of 40 days ago"), "{}", told.borrow());
        // Asked for by `--fresh`, or never fetched: the failure is one.
        assert!(or_kept(failed(), kept.clone(), None, say).is_err());
        assert!(or_kept(failed(), kept.join("gone"), old, say).is_err());
        assert_eq!(or_kept(Ok("new".into()), kept, old, say).unwrap(), PathBuf::from("new"));
    }

    #[test]
    fn the_packages_of_one_version_are_found_and_what_serves_all_versions_is_not() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-7.2.13+deb14-cloud-amd64\nlinux-base-cloud-amd64\n\
                      linux-image-7.2.13+deb14-cloud-amd64\n  Depends: linux-base\nlinux-base\nlinux-modules-7.2.13+deb14-cloud-amd64\nkmod\n";
        assert_eq!(versioned(listed), ["linux-image-7.2.13+deb14-cloud-amd64", "linux-modules-7.2.13+deb14-cloud-amd64"]);
    }
}
