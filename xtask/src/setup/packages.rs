//! The Debian packages that the tests and the demo run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tools::Tools;
use crate::progress::Progress;
use crate::shell::{answer, logged, tail};

/// Names, of which one will do, and why.
pub type Need = (&'static [&'static str], &'static str);

/// What is needed, and why. The first name of a line is installed; any of the others will do where it is present.
/// None of them starts a service by itself, nginx excepted (see [`QuietService`]): `dnsmasq-base` is dnsmasq without one.
const NEEDED: &[Need] = &[
    (&["iproute2"], "namespaces and links"),
    (&["procps"], "sysctl and ps"),
    (&["nftables"], "the guard table, and the oracle of the parity tests"),
    (&["bpftool"], "looking at loaded programs"),
    (&["ethtool"], "offloads of the lab's links"),
    (&["conntrack"], "the oracle's flows"),
    (&["tcpdump"], "what is on the wire"),
    (&["iputils-ping"], "traffic: ICMP"),
    (&["iputils-arping", "arping"], "traffic: ARP"),
    (&["curl"], "traffic: HTTP client"),
    (&["nginx-light", "nginx", "nginx-core", "nginx-full", "nginx-extras"], "traffic: HTTP server"),
    (&["bind9-dnsutils", "knot-dnsutils"], "traffic: DNS client"),
    (&["dnsmasq-base"], "traffic: DNS server"),
    (&["iperf3"], "traffic: throughput"),
    (&["socat"], "traffic: the forwarded port's server"),
    (&["netcat-openbsd"], "traffic: connection attempts"),
];

/// What building the image needs besides: everything else comes into a workshop of its own ([`crate::image`]).
pub const FOR_IMAGE: &[Need] = &[
    (&["mmdebstrap"], "image: Debian roots"),
    (&["debian-archive-keyring"], "image: Debian's signatures"),
    (&["binutils"], "image: the program without its symbols"),
    (&["openssh-client"], "image: a login by key, as its user would"),
];

/// What trying the package needs besides.
pub const FOR_PACKAGE_TEST: &[Need] = &[
    (&["mmdebstrap"], "package: a Debian system to try it in"),
    (&["debian-archive-keyring"], "package: Debian's signatures"),
    (&["systemd-container"], "package: a container that boots that system"),
];

/// What only the bench runs. xdp-forward is not among them: it came to xdp-tools with 1.5, and Debian 12 has 1.3.
pub const FOR_BENCH: &[Need] = &[(&["valgrind"], "the bench: instructions of the packet core")];

/// The longest that an installation may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Makes sure of the packages, and of the `further` ones that somebody needs besides.
///
/// # Errors
/// When packages are missing and cannot be installed: not root, no Debian, or apt fails.
pub fn ensure(progress: &Progress, tools: &Tools, further: &[Need]) -> Result<()> {
    let needed: Vec<Need> = NEEDED.iter().chain(further).copied().collect();
    let Ok(listed) = answer("dpkg-query", &["-W", "-f", "${Package} ${db:Status-Status}\n"]) else {
        progress.say("packages: this is no Debian; install by your own means what the tests need:");
        for (names, why) in &needed {
            progress.say(format_args!("  {} ({why})", names[0]));
        }
        return Ok(());
    };
    let missing = missing(&needed, &installed(&listed));
    if missing.is_empty() {
        return Ok(());
    }
    for (name, why) in &missing {
        progress.say(format_args!("packages: {name} is missing ({why})"));
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    if !rustix::process::geteuid().is_root() {
        bail!(
            "{} Debian packages are missing, and only root can install them. Run:\n  sudo RUNLEVEL=1 apt-get install --no-install-recommends {}",
            names.len(),
            names.join(" ")
        );
    }
    install(progress, tools, &names)
}

fn install(progress: &Progress, tools: &Tools, names: &[&str]) -> Result<()> {
    let log = tools.log("apt-install");
    // Lists that lack a package are absent or old; lists that name a file the mirror no longer has are found out below.
    let known = names.iter().all(|name| answer("apt-cache", &["show", "--no-all-versions", name]).is_ok());
    if !known {
        update(progress, tools)?;
    }
    let quiet = names.contains(&"nginx-light").then(|| QuietService::new(progress, "nginx"));
    progress.say(format_args!("packages: installing {} with apt-get", names.len()));
    if let Err(error) = logged(progress, "apt-get install", &mut apt_install(names), &log, LIMIT) {
        if !known || !tail(&log, 200).contains("Failed to fetch") {
            return Err(error).context("by hand: run the command above, then setup again");
        }
        update(progress, tools)?;
        logged(progress, "apt-get install", &mut apt_install(names), &log, LIMIT)?;
    }
    drop(quiet);
    Ok(())
}

fn update(progress: &Progress, tools: &Tools) -> Result<()> {
    progress.say("packages: refreshing apt's lists");
    logged(progress, "apt-get update", Command::new("apt-get").args(["-q", "update"]), &tools.log("apt-update"), LIMIT)
}

fn apt_install(names: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", "install"])
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Not to restart other people's services either, where needrestart is installed.
        .env("NEEDRESTART_SUSPEND", "1")
        // invoke-rc.d starts nothing that does not belong to the single-user runlevel.
        .env("RUNLEVEL", "1");
    command
}

/// Keeps a service down while its package is installed, and from the next boot on. The lab wants the program, and the
/// machine's own port 80 is none of the project's business.
struct QuietService<'a> {
    progress: &'a Progress,
    name: &'static str,
    systemd: bool,
}

impl<'a> QuietService<'a> {
    fn new(progress: &'a Progress, name: &'static str) -> Self {
        let systemd = Path::new("/run/systemd/system").is_dir();
        if systemd {
            // systemd does not heed RUNLEVEL. A mask below /run is gone at the next boot even if we are killed now.
            let _ = answer("systemctl", &["mask", "--runtime", "--quiet", name]);
        }
        Self { progress, name, systemd }
    }
}

impl Drop for QuietService<'_> {
    fn drop(&mut self) {
        if self.systemd {
            let _ = answer("systemctl", &["unmask", "--runtime", "--quiet", self.name]);
            let _ = answer("systemctl", &["disable", "--quiet", self.name]);
        } else {
            let _ = answer("update-rc.d", &[self.name, "disable"]);
        }
        if running(self.name) {
            self.progress
                .say(format_args!("packages: {0} runs as a service although it was told not to; stop it: service {0} stop", self.name));
        }
    }
}

fn running(program: &str) -> bool {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == program))
}

/// The names of the packages that are completely installed.
fn installed(listed: &str) -> BTreeSet<&str> {
    listed.lines().filter_map(|line| line.strip_suffix(" installed")).collect()
}

fn missing(needed: &[Need], installed: &BTreeSet<&str>) -> Vec<(&'static str, &'static str)> {
    needed.iter().filter(|(names, _)| !names.iter().any(|name| installed.contains(name))).map(|(names, why)| (names[0], *why)).collect()
}

/// The archives that the system's own apt sources name.
pub struct Archives {
    /// Debian's releases.
    pub main: Option<String>,
    /// Their security updates.
    pub security: Option<String>,
}

/// Asks apt which archives it uses.
pub fn archives() -> Archives {
    let listed = answer("apt-get", &["indextargets", "--format", "$(REPO_URI)"]).unwrap_or_default();
    Archives { main: pick(&listed, "/debian"), security: pick(&listed, "/debian-security") }
}

/// The Debian mirror that the system's own apt sources name.
pub fn mirror() -> Option<String> {
    archives().main
}

fn pick(listed: &str, ending: &str) -> Option<String> {
    listed.lines().map(str::trim).find(|uri| uri.trim_end_matches('/').ends_with(ending)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_installed_or_removed_package_is_missing() {
        let listed = "iproute2 installed\nsocat config-files\nnginx-core installed\ncurl half-configured\n";
        let missing: Vec<&str> = missing(NEEDED, &installed(listed)).into_iter().map(|(name, _)| name).collect();
        assert!(!missing.contains(&"iproute2"));
        assert!(missing.contains(&"socat"));
        assert!(missing.contains(&"curl"));
        assert!(!missing.contains(&"nginx-light"), "any nginx will do");
    }

    #[test]
    fn the_archive_is_taken_for_the_mirror_and_security_is_not() {
        let listed = "http://example.test/debian-security/\nhttp://example.test/debian/\n";
        assert_eq!(pick(listed, "/debian").as_deref(), Some("http://example.test/debian/"));
        assert_eq!(pick(listed, "/debian-security").as_deref(), Some("http://example.test/debian-security/"));
        assert_eq!(pick("http://example.test/other/\n", "/debian"), None);
    }
}
