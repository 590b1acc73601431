//! A subject on a path, forwarding.

use std::path::Path as FilePath;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::wait::wait_until;
use gateway_tests::{Namespace, Process};

use crate::daemon::{Daemon, word};
use crate::path::Path;
use crate::policy::{self, Mode};
use crate::subject::Subject;
use crate::workload::{Family, Nat, Setting};

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// Until somebody else's program has attached its own.
const START: Duration = Duration::from_secs(20);

/// What every set-up needs.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// The bench's own BPF object.
    pub object: &'a FilePath,
    /// The program `gateway`.
    pub gateway: &'a FilePath,
    /// A directory for policies.
    pub files: &'a FilePath,
}

/// A subject in its namespaces, forwarding.
pub struct Rig {
    /// Our daemon, if it is the subject. Before the path, which takes the namespaces with it.
    pub daemon: Option<Daemon>,
    /// Which it is.
    pub subject: Subject,
    /// What for.
    pub setting: Setting,
    /// The way through it.
    pub path: Path,
    /// Somebody else's.
    _other: Option<Process>,
}

/// Why there is no rig.
pub enum Unavailable {
    /// This machine does not have it, or it does not do what the setting asks; that is no failure.
    Missing(String),
    /// It should have worked.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Unavailable {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Unavailable {
    fn missing(why: impl Into<String>) -> Self {
        Self::Missing(why.into())
    }
}

impl Rig {
    /// Sets the subject up.
    ///
    /// # Errors
    /// When the machine lacks what it needs, or something failed.
    pub fn set_up(subject: Subject, setting: Setting, tools: Tools<'_>) -> Result<Self, Unavailable> {
        present(subject, &setting)?;
        let path = Path::through(subject.name(), tools.object, setting, subject.expected(&setting))?;
        Self::on(path, subject, setting, tools)
    }

    /// Sets the subject up with room for real programs at both ends.
    ///
    /// # Errors
    /// As [`Rig::set_up`].
    pub fn for_programs(subject: Subject, setting: Setting, tools: Tools<'_>) -> Result<Self, Unavailable> {
        present(subject, &setting)?;
        let path = Path::bare(subject.name(), tools.object, setting)?;
        path.network.settle(subject.is_bridged())?;
        if subject.is_xdp() {
            path.network.let_ends_poll()?;
        }
        if subject.is_xdp() && !subject.is_ours() {
            // Where XDP takes a packet from a local stack, nobody completes its checksum any more.
            path.network.complete_checksums()?;
        }
        Self::on(path, subject, setting, tools)
    }

    fn on(path: Path, subject: Subject, setting: Setting, tools: Tools<'_>) -> Result<Self, Unavailable> {
        let mut rig = Self { daemon: None, subject, setting, path, _other: None };
        let room = |rig: &Self| Namespace::existing(rig.path.network.gateway.name());
        match subject {
            Subject::Redirect => rig.path.forward_by_xdp("bench_forward")?,
            Subject::Devmap => rig.path.forward_by_xdp("bench_devmap")?,
            Subject::Fib => {
                // The look-up answers only where forwarding is on.
                forward_by_kernel(&room(&rig))?;
                rig.path.forward_by_xdp("bench_fib")?;
            }
            Subject::TcRedirect => rig.path.forward_by_tc()?,
            Subject::Routing => forward_by_kernel(&room(&rig))?,
            Subject::XdpForward => {
                forward_by_kernel(&room(&rig))?;
                xdp_forward(&rig.path.network.gateway)?;
            }
            Subject::Nftables | Subject::Flowtable => {
                let flowtable = subject == Subject::Flowtable;
                if flowtable && !has_flowtables(&room(&rig))? {
                    return Err(Unavailable::missing("this kernel has no flowtables (CONFIG_NF_FLOW_TABLE)"));
                }
                forward_by_kernel(&room(&rig))?;
                nftables(&room(&rig), tools.files, &policy::nftables(&setting, flowtable, 1))?;
            }
            Subject::Einat => {
                forward_by_kernel(&room(&rig))?;
                rig._other = Some(einat(&rig.path.network.gateway)?);
            }
            Subject::Tc => rig.daemon = Some(daemon(&rig, tools, Mode::Tc)?),
            Subject::Xdp => rig.daemon = Some(daemon(&rig, tools, Mode::Xdp)?),
        }
        Ok(rig)
    }
}

/// Our daemon's mode, if it is the subject.
#[must_use]
pub fn mode(subject: Subject) -> Option<Mode> {
    match subject {
        Subject::Tc => Some(Mode::Tc),
        Subject::Xdp => Some(Mode::Xdp),
        _ => None,
    }
}

/// Whether this machine has what the subject needs, as far as that can be said without a set-up, and it does what is asked.
fn present(subject: Subject, setting: &Setting) -> Result<(), Unavailable> {
    installed(subject, setting)?;
    // After that: who is not there need not tell what else it lacks.
    let unable = |why| Err(Unavailable::missing(format!("with {}: {why}", describe(setting))));
    subject.cannot(setting).map_or(Ok(()), unable)
}

fn installed(subject: Subject, setting: &Setting) -> Result<(), Unavailable> {
    match subject {
        Subject::XdpForward if !on_path("xdp-forward") => {
            Err(Unavailable::missing("xdp-forward is not on PATH (xdp-tools 1.5 or newer; Debian 12 has 1.3 without it)"))
        }
        Subject::Einat if !on_path("einat") => Err(Unavailable::missing("einat is not on PATH")),
        Subject::Nftables | Subject::Flowtable => {
            // The tables hold twice as much as they have to carry; conntrack needs no such room.
            let wanted = setting.capacity / 2;
            match conntrack_limit() {
                // Not loaded yet: the first rule brings it.
                None => Ok(()),
                Some(limit) if limit >= wanted.min(100_000) && (setting.capacity <= Setting::USUAL || limit >= wanted) => Ok(()),
                Some(limit) => Err(Unavailable::missing(format!(
                    "conntrack holds {limit} flows on this machine, and only the machine itself can change that: \
                     sysctl net.netfilter.nf_conntrack_max={wanted}"
                ))),
            }
        }
        _ => Ok(()),
    }
}

/// How many flows conntrack holds, in all namespaces alike.
#[must_use]
pub fn conntrack_limit() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").ok()?.trim().parse().ok()
}

/// Whether a program of this name can be run.
#[must_use]
pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

fn forward_by_kernel(room: &Namespace) -> Result<()> {
    room.sysctl("net/ipv4/ip_forward", "1")?;
    room.sysctl("net/ipv6/conf/all/forwarding", "1")
}

/// Asked by itself, so that a mistake in the rules is not taken for a missing feature. Made and gone in a namespace that is ours.
fn has_flowtables(room: &Namespace) -> Result<bool> {
    let question = "table ip question { flowtable f { hook ingress priority 0; devices = { in0 }; }; }; delete table ip question";
    Ok(room.output("nft", &[question])?.status.success())
}

/// Loads rules into a room, in place of those that are there.
///
/// # Errors
/// When nft refuses them.
pub fn nftables(room: &Namespace, files: &FilePath, rules: &str) -> Result<()> {
    let file = files.join(format!("{}.nft", room.name()));
    std::fs::write(&file, rules)?;
    room.run("nft", &["-f", word(&file)?])?;
    Ok(())
}

fn daemon(rig: &Rig, tools: Tools<'_>, mode: Mode) -> Result<Daemon> {
    let room = &rig.path.network.gateway;
    let daemon = Daemon::launch(room, tools.gateway, tools.files, &policy::gateway(&rig.setting, mode, 1, None))?;
    daemon.wait_ready(room, mode)?;
    Ok(daemon)
}

/// Not through `ip netns exec`: it hides the BPF file system, where xdp-tools keeps its dispatcher.
fn xdp_forward(room: &Namespace) -> Result<()> {
    let words = ["load", "-f", "fib-full", "-m", "native", "in0", "out0"];
    let output = room.within(|| Command::new("xdp-forward").args(words).output())?.context("cannot run xdp-forward")?;
    ensure!(output.status.success(), "xdp-forward: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Masquerades out0; its ready sign is its program at out0's tc.
fn einat(room: &Namespace) -> Result<Process> {
    let process = room.spawn(LIFETIME, "einat", &["--ifname", "out0", "--ports", "1024-65535"])?;
    wait_until(START, "einat to attach itself", || {
        if let Some(ended) = process.ended()? {
            bail!("einat ended while starting ({ended}): {}", process.output());
        }
        let shown = room.output("bpftool", &["net", "show", "dev", "out0"])?;
        Ok(String::from_utf8_lossy(&shown.stdout).contains("egress"))
    })?;
    Ok(process)
}

/// The name that figures go under: kind of addresses and translation.
#[must_use]
pub fn describe(setting: &Setting) -> String {
    let family = if setting.family == Family::V4 { "IPv4" } else { "IPv6" };
    let nat = match setting.nat {
        Nat::Pool => "source NAT to a pool",
        Nat::Source => "masquerade",
        Nat::Forward => "port forward",
        Nat::None => "no NAT",
    };
    format!("{family}, {nat}, tables for {} flows", setting.capacity)
}
