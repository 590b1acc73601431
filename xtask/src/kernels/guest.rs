//! The Debian system around the tests: what they call, and nothing that starts by itself.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{STORE, in_guest};
use crate::debian::{own_suite, snapshot_options, sources};
use crate::progress::Progress;
use crate::setup::Tools;
use crate::shell::logged;

/// What the init, the harness and the tests call. Without netbase on purpose: a gateway must do without its /etc/protocols and /etc/services.
#[rustfmt::skip]
const INCLUDE: [&str; 21] = [
    "mount", "kmod", "cpio", "procps", "iproute2", "nftables", "bpftool", "ethtool", "conntrack", "tcpdump", "iputils-ping", "iputils-arping",
    "curl", "nginx-light", "bind9-dnsutils", "dnsmasq-base", "iperf3", "socat", "netcat-openbsd", "util-linux", "ca-certificates",
];

/// Longer than a slow line takes for 60 MB.
const LIMIT: Duration = Duration::from_secs(1200);

/// The system.
pub struct Guest {
    /// Its root, in which its tools can be run.
    pub root: PathBuf,
    /// The same, packed for the kernel.
    pub archive: PathBuf,
}

impl Guest {
    /// Of the same release as this machine: the tests need the C library that they were built with, or a later one. From the store or the
    /// network.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn fetch(progress: &Progress, tools: &Tools) -> Result<Self> {
        let suite = own_suite()?;
        let store = tools.path(STORE);
        std::fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
        let (root, archive) = (store.join(format!("guest-{suite}")), store.join(format!("guest-{suite}.cpio")));
        if archive.exists() {
            return Ok(Self { root, archive });
        }
        progress.say(format_args!("kernels: fetching a Debian system ({suite}) for the tests to run in, a minute or two, once"));
        super::empty(&root)?;
        let mut command = Command::new("nice");
        command.args(["-n", "10", "mmdebstrap", "--mode=root", "--variant=essential", &format!("--include={}", INCLUDE.join(","))]);
        command.args(["doc", "man", "locale", "info"].map(|path| format!("--dpkgopt=path-exclude=/usr/share/{path}/*")));
        command.args(snapshot_options()).arg(&suite).arg(&root).args(sources(&suite)?);
        logged(progress, "mmdebstrap", &mut command, &tools.log("mmdebstrap-kernels"), LIMIT)?;
        // Without what is mounted in it, and what only dpkg and apt would read.
        let leave = "-path ./var/lib/dpkg -prune -o -path ./var/lib/apt -prune -o -path ./var/cache -prune -o";
        let pack = format!("(cd / && find . -xdev {leave} -print0 | cpio --null --create --format=newc --quiet) > new.cpio");
        in_guest(progress, &root, &store, &pack)?;
        std::fs::rename(store.join("new.cpio"), &archive).with_context(|| format!("cannot make {}", archive.display()))?;
        Ok(Self { root, archive })
    }
}
