//! A Debian system with systemd as its first process, in a container with a root, processes and control groups of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::Namespace;
use gateway_tests::wait::{wait_for, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The end of a forgotten container, in seconds.
const LIFETIME: &str = "300";
/// Until systemd says that all is up, on a machine that compiles beside.
const BOOT: Duration = Duration::from_secs(90);
/// For one command inside, in seconds.
const COMMAND: &str = "120";

/// Becomes systemd-nspawn in control groups of its own: systemd makes its groups below those that it is started in, and those are ours.
const ENTER: &str = "set -e; for group in $GROUPS_OF_ITS_OWN; do mkdir -p \"$group\"; echo $$ >\"$group/cgroup.procs\"; done; exec \"$@\"";

/// A booted system. Dropped, it is gone with everything that runs in it.
pub struct Container {
    root: TempDir,
    groups: Vec<PathBuf>,
    nspawn: Child,
    leader: Pid,
}

impl Container {
    /// Unpacks the system from `tar` and boots it in the network namespace.
    ///
    /// # Errors
    /// When it does not come up; with what it said.
    pub fn boot(network: &Namespace, tar: &Path) -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("gwt-package-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let root = TempDir::with_prefix("gateway-root-").context("no temporary directory")?;
        let unpacked = Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(root.path()).status().context("cannot run tar")?;
        ensure!(unpacked.success(), "cannot unpack {}", tar.display());
        let groups = groups(&name)?;
        let log = File::create(root.path().join("boot.log"))?;
        let mut command = Command::new("timeout");
        // SIGTERM makes nspawn power the system off in good order.
        command.args(["--kill-after=20", LIFETIME, "sh", "-c", ENTER, "enter", "systemd-nspawn", "--boot", "--quiet", "--console=pipe"]);
        // It is nobody else's container: neither systemd nor machined of this machine, if there are any, are told.
        command.args(["--register=no", "--keep-unit", "--kill-signal=SIGRTMIN+4", "--machine", &name]);
        // As on a machine of its own: what the unit takes away is taken away by the unit.
        command.args(["--capability=all", "--system-call-filter=bpf"]);
        command.arg(format!("--network-namespace-path=/run/netns/{}", network.name())).arg("--directory").arg(root.path());
        let listed: Vec<String> = groups.iter().map(|group| group.display().to_string()).collect();
        command.env("GROUPS_OF_ITS_OWN", listed.join(" "));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut nspawn = command.spawn().context("cannot run systemd-nspawn")?;
        let leader = leader(&mut nspawn).map_err(|error| {
            // To `timeout`, which hands it on: a killed nspawn would leave the system behind.
            let _ = kill_process(Pid::from_child(&nspawn), Signal::TERM);
            let _ = nspawn.wait();
            error.context(fs::read_to_string(root.path().join("boot.log")).unwrap_or_default())
        })?;
        let container = Self { root, groups, nspawn, leader };
        // `degraded` would be some unit of Debian's own.
        let up = wait_until(BOOT, "the container to be up", || {
            let output = container.output("systemctl is-system-running")?;
            Ok(matches!(text(&output.stdout), "running" | "degraded"))
        });
        up.with_context(|| container.journal())?;
        Ok(container)
    }

    /// Runs a shell's command line inside, and hands out all it said.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn output(&self, line: &str) -> Result<Output> {
        let leader = self.leader.as_raw_nonzero().to_string();
        Command::new("timeout")
            .args(["--kill-after=5", COMMAND, "nsenter", "--target", &leader])
            .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root"])
            .args([
                "env",
                "--chdir=/",
                "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
                "LC_ALL=C.UTF-8",
            ])
            .args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .context("cannot enter the container")
    }

    /// Runs a shell's command line inside, and gives its standard output without the last newline.
    ///
    /// # Errors
    /// When it fails; with what it said and with the gateway's journal.
    pub fn run(&self, line: &str) -> Result<String> {
        let output = self.output(line)?;
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "`{line}` ended with {}\n{out}\n{error}\n{}", output.status, self.journal());
        Ok(out.to_owned())
    }

    /// The gateway's log lines.
    pub fn journal(&self) -> String {
        self.output("journalctl --no-pager --output=cat --unit='gateway*'")
            .map(|output| text(&output.stdout).to_owned())
            .unwrap_or_default()
    }

    /// systemd's word for a unit's state: "active", "inactive", "failed".
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn state(&self, unit: &str) -> Result<String> {
        Ok(text(&self.output(&format!("systemctl is-active {unit}"))?.stdout).to_owned())
    }

    /// What systemd knows of a unit: "MainPID", "NRestarts".
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.run(&format!("systemctl show --property={name} --value {unit}"))
    }

    /// The path of a file inside, as seen from here.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.path().join(absolute.trim_start_matches('/'))
    }

    /// Replaces a file's text, as an editor does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, absolute: &str, text: &str) -> Result<()> {
        let path = self.path(absolute);
        let new = path.with_extension("new");
        fs::write(&new, text).with_context(|| format!("cannot write {absolute}"))?;
        fs::rename(new, path).with_context(|| format!("cannot replace {absolute}"))
    }

    /// A file's text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, absolute: &str) -> Result<String> {
        fs::read_to_string(self.path(absolute)).with_context(|| format!("cannot read {absolute}"))
    }

    /// Installs a package, or another version over it.
    ///
    /// # Errors
    /// When dpkg fails.
    pub fn install(&self, deb: &Path) -> Result<String> {
        fs::copy(deb, self.path("/var/tmp/gateway.deb")).with_context(|| format!("cannot copy {}", deb.display()))?;
        self.run("dpkg --install /var/tmp/gateway.deb 2>&1")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The first process of a PID namespace takes all others with it; without it nspawn has nothing to wait for.
        let _ = kill_process(self.leader, Signal::KILL);
        let _ = self.nspawn.wait();
        for group in &self.groups {
            remove_group(group);
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("(not text)").trim_end()
}

/// Control groups named `name` below those of this process, in the hierarchies that systemd uses: its own (v1), and the unified one (v2).
fn groups(name: &str) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("no mounts")?;
    let mut groups = Vec::new();
    for line in fs::read_to_string("/proc/self/cgroup").context("no control groups")?.lines() {
        // hierarchy:controllers:path, cgroups(7)
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let place = match controllers {
            "" => mount_of(&mounts, "cgroup2", ""),
            "name=systemd" => mount_of(&mounts, "cgroup", "name=systemd"),
            _ => None,
        };
        if let Some(place) = place {
            groups.push(place.join(path.trim_start_matches('/')).join(name));
        }
    }
    ensure!(!groups.is_empty(), "this machine has no control groups that systemd could use");
    Ok(groups)
}

/// Where a file system of this type and with this option is mounted; proc_pid_mountinfo(5).
fn mount_of(mounts: &str, kind: &str, option: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let mut behind = behind.split(' ');
        let found = behind.next()? == kind && behind.nth(1)?.split(',').any(|o| option.is_empty() || o == option);
        found.then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

/// Groups go from the leaves up. What is still dying in one keeps it for a moment.
fn remove_group(group: &Path) {
    let gone = wait_until(Duration::from_secs(5), "the control group to be empty", || {
        let below = fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
        below.for_each(|entry| remove_group(&entry.path()));
        Ok(fs::remove_dir(group).is_ok() || !group.exists())
    });
    if let Err(error) = gone {
        eprintln!("{}: left behind: {error:#}", group.display());
    }
}

/// The container's first process, as seen from here: nspawn's child, which is that of `timeout`.
fn leader(nspawn: &mut Child) -> Result<Pid> {
    let timeout = Pid::from_child(nspawn);
    wait_for(BOOT, "systemd-nspawn to start", || {
        if let Some(status) = nspawn.try_wait()? {
            bail!("systemd-nspawn ended with {status}");
        }
        let Some(outer) = child_of(timeout)? else { return Ok(None) };
        Ok(child_of(outer)?.filter(|inner| is_systemd(*inner)))
    })
}

/// It is nspawn's own copy until it has become the system's systemd.
fn is_systemd(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).is_ok_and(|name| name.trim_end() == "systemd")
}

fn child_of(parent: Pid) -> Result<Option<Pid>> {
    let parent = parent.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    Ok(listed.split_whitespace().next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw))
}
