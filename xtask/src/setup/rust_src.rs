//! rust-src: the source of `core`, which is compiled for BPF. It has to be of exactly rustc's version.
//!
//! Where it comes from, in order: `$GATEWAY_RUST_SRC`; the toolchain's own component; an earlier run; `rustup component
//! add`; Debian's package `rust-src` of this very version, out of a newer suite, unpacked beside the system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::packages::mirror;
use super::toolchain::Toolchain;
use super::tools::{Tools, stamp_matches};
use crate::progress::Progress;
use crate::shell::{answer, logged};

/// A file of every complete `library` directory; cargo's build-std wants it.
const PROOF: &str = "Cargo.lock";

/// Debian suites that carry newer compilers, the most probable first.
const SUITES: [&str; 4] = ["trixie-backports", "forky", "sid", "trixie"];

/// Makes sure of the sources. `None`: the toolchain has them itself, and cargo finds them without being told.
///
/// # Errors
/// When no source has them; the error says what to do by hand.
pub fn ensure(progress: &Progress, tools: &Tools, toolchain: &Toolchain) -> Result<Option<PathBuf>> {
    if let Some(given) = std::env::var_os("GATEWAY_RUST_SRC").map(PathBuf::from) {
        ensure!(
            given.join(PROOF).is_file(),
            "GATEWAY_RUST_SRC={} has no {PROOF}; it has to be the `library` directory of rust-src",
            given.display()
        );
        return Ok(Some(given));
    }
    let component = toolchain.sysroot.join("lib/rustlib/src/rust/library").join(PROOF);
    if component.is_file() {
        return Ok(None);
    }
    let home = tools.path("rust-src");
    let library = home.join("library");
    if library.join(PROOF).is_file() && stamp_matches(&home.join(".stamp"), &toolchain.stamp()) {
        return Ok(Some(library));
    }
    progress.say("rust-src: missing; core is compiled from it for BPF");
    if toolchain.rustup_add(progress, tools, "rust-src") && component.is_file() {
        return Ok(None);
    }
    match from_debian(progress, tools, toolchain, &home) {
        Ok(()) => Ok(Some(library)),
        Err(error) => bail!(
            "no source for rust-src {version}: {error:#}\n\
             By hand, one of:\n  \
             rustup component add rust-src\n  \
             unpack rust-src of exactly {version} anywhere and set GATEWAY_RUST_SRC to its `library` directory\n  \
             use another toolchain whose rust-src can be had",
            version = toolchain.release
        ),
    }
}

/// Tries the suites one after the other with an apt configuration of our own: the system's is not touched.
fn from_debian(progress: &Progress, tools: &Tools, toolchain: &Toolchain, home: &Path) -> Result<()> {
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    ensure!(keyring.is_file(), "this is no Debian ({} is missing)", keyring.display());
    let mirror = mirror().context("the system's apt sources name no Debian mirror")?;
    let mut failures = Vec::new();
    for suite in SUITES {
        progress.say(format_args!("rust-src: looking for Debian's {} in {suite}", toolchain.base_release()));
        let apt = PrivateApt::new(tools, &format!("deb [signed-by={}] {mirror} {suite} main\n", keyring.display()))?;
        match apt.fetch(progress, tools, toolchain.base_release()) {
            Ok(package) => {
                progress.say(format_args!("rust-src: unpacking {}", package.file_name().unwrap_or_default().display()));
                return unpack(progress, tools, toolchain, &package, home);
            }
            Err(error) => failures.push(format!("{suite}: {}", format!("{error:#}").lines().next().unwrap_or_default())),
        }
    }
    bail!("{}", failures.join("; "))
}

fn unpack(progress: &Progress, tools: &Tools, toolchain: &Toolchain, package: &Path, home: &Path) -> Result<()> {
    let new = tools.path("rust-src.new");
    let _ = std::fs::remove_dir_all(&new);
    std::fs::create_dir_all(&new)?;
    let mut command = Command::new("sh");
    command
        .args(["-euc", r#"dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --strip-components=4 "./usr/src/rustc-$3/library""#, "unpack"])
        .args([package.as_os_str(), new.as_os_str()])
        .arg(toolchain.base_release());
    logged(progress, "unpacking rust-src", &mut command, &tools.log("rust-src-unpack"), Duration::from_secs(300))?;
    ensure!(new.join("library").join(PROOF).is_file(), "the package has no library/{PROOF}");
    std::fs::write(new.join(".stamp"), toolchain.stamp())?;
    let _ = std::fs::remove_dir_all(home);
    std::fs::rename(&new, home).with_context(|| format!("cannot make {}", home.display()))
}

/// apt with lists, cache and sources in a directory of its own, gone when dropped.
struct PrivateApt {
    directory: PathBuf,
}

impl PrivateApt {
    fn new(tools: &Tools, source: &str) -> Result<Self> {
        let directory = tools.path(&format!("apt.{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        for part in ["lists/partial", "cache/archives/partial", "parts"] {
            std::fs::create_dir_all(directory.join(part))?;
        }
        std::fs::write(directory.join("sources.list"), source)?;
        Ok(Self { directory })
    }

    fn options(&self) -> Vec<String> {
        let at = |part: &str| self.directory.join(part).display().to_string();
        [
            format!("Dir::Etc::SourceList={}", at("sources.list")),
            format!("Dir::Etc::SourceParts={}", at("parts")),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            // apt's own user may not enter a directory below somebody's home.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }

    /// Downloads the package of exactly this version, and says where it lies.
    fn fetch(&self, progress: &Progress, tools: &Tools, version: &str) -> Result<PathBuf> {
        let log = tools.log("rust-src-apt");
        let apt = |words: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(self.options()).arg("-q").args(words).current_dir(&self.directory);
            command
        };
        logged(progress, "apt-get update", &mut apt(&["update"]), &log, Duration::from_secs(300))?;
        let options = self.options();
        let words: Vec<&str> = options.iter().map(String::as_str).chain(["madison", "rust-src"]).collect();
        let listed = answer("apt-cache", &words)?;
        let full = pick_version(&listed, version).with_context(|| format!("has {} instead of {version}", versions(&listed)))?;
        logged(progress, "apt-get download", &mut apt(&["download", &format!("rust-src={full}")]), &log, Duration::from_secs(600))?;
        std::fs::read_dir(&self.directory)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get downloaded nothing")
    }
}

impl Drop for PrivateApt {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The full Debian version (`1.95.0+dfsg1-1~bpo13+1`) of exactly this release in the output of `apt-cache madison`.
fn pick_version<'a>(madison: &'a str, release: &str) -> Option<&'a str> {
    madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).find(|full| full.split('+').next() == Some(release))
}

fn versions(madison: &str) -> String {
    let all: Vec<&str> = madison.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_release_is_picked() {
        let madison = " rust-src | 1.96.0+dfsg1-1~bpo13+1 | mirror trixie-backports/main amd64 Packages\n \
                       rust-src | 1.95.0+dfsg1-1~bpo13+1 | mirror trixie-backports/main amd64 Packages\n";
        assert_eq!(pick_version(madison, "1.95.0"), Some("1.95.0+dfsg1-1~bpo13+1"));
        assert_eq!(pick_version(madison, "1.9"), None);
        assert_eq!(pick_version("", "1.95.0"), None);
        assert!(versions(madison).contains("1.96.0"));
    }
}
