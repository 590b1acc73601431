//! What is measured, and how each is set up.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::Process;
use gateway_tests::wait::wait_until;
use serde_json::Value;

use crate::path::{Expected, Path};

/// Longer than any run, and the end of a forgotten daemon.
const LIFETIME: Duration = Duration::from_secs(3600);
/// From start to `ready`: loading and verifying the programs takes most of it.
const START: Duration = Duration::from_secs(60);
/// From SIGTERM to the exit.
const STOP: Duration = Duration::from_secs(10);

/// One way of forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// XDP redirect, no NAT, no look-up: the limit of the set-up.
    Redirect,
    /// Kernel routing, no NAT, no filter.
    Routing,
    /// nftables masquerade and a conntrack filter.
    Nftables,
    /// The same with a flowtable.
    Flowtable,
    /// Our daemon, tc alone.
    Tc,
    /// Our daemon, XDP in front of tc.
    Xdp,
}

impl Subject {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 6] = [Self::Redirect, Self::Routing, Self::Nftables, Self::Flowtable, Self::Tc, Self::Xdp];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirect => "xdp-redirect",
            Self::Routing => "kernel-routing",
            Self::Nftables => "nftables",
            Self::Flowtable => "nftables-flowtable",
            Self::Tc => "gateway-tc",
            Self::Xdp => "gateway-xdp",
        }
    }

    /// What it does, in some words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Redirect => "XDP redirect, no NAT (the limit)",
            Self::Routing => "kernel routing, no NAT",
            Self::Nftables => "nftables masquerade + conntrack filter",
            Self::Flowtable => "the same with a flowtable",
            Self::Tc => "this gateway, tc, masquerade + filter",
            Self::Xdp => "this gateway, XDP, masquerade + filter",
        }
    }

    fn expected(self) -> Expected {
        Expected { translated: !matches!(self, Self::Redirect | Self::Routing), routed: self != Self::Redirect }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A subject in its namespaces, forwarding.
pub struct Rig {
    /// Which it is.
    pub subject: Subject,
    /// The way through it.
    pub path: Path,
    daemon: Option<Process>,
}

/// Why there is no rig.
pub enum Unavailable {
    /// This machine does not have it; that is no failure.
    Missing(&'static str),
    /// It should have worked.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Unavailable {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Rig {
    /// Sets the subject up.
    ///
    /// # Errors
    /// When the machine lacks what it needs, or something failed.
    pub fn set_up(subject: Subject, object: &FilePath, gateway: &FilePath, files: &FilePath) -> Result<Self, Unavailable> {
        let path = Path::through(subject.name(), object, subject.expected())?;
        let mut rig = Self { subject, path, daemon: None };
        match subject {
            Subject::Redirect => rig.path.forward_plainly()?,
            Subject::Routing => rig.forward_by_kernel()?,
            Subject::Nftables => {
                rig.forward_by_kernel()?;
                rig.nftables(files, false)?;
            }
            Subject::Flowtable => {
                rig.forward_by_kernel()?;
                // Asked by itself, so that a mistake in the rules below is not taken for a missing feature.
                let asked = rig.path.gateway.output("nft", &[FLOWTABLE_QUESTION])?;
                if !asked.status.success() {
                    return Err(Unavailable::Missing("this kernel has no flowtables (CONFIG_NF_FLOW_TABLE)"));
                }
                rig.nftables(files, true)?;
            }
            Subject::Tc => rig.daemon(gateway, files, "tc", "tc")?,
            Subject::Xdp => rig.daemon(gateway, files, "xdp", "xdp+tc")?,
        }
        Ok(rig)
    }

    /// Whether it has state per flow, which the first packets must build up before anything is measured.
    #[must_use]
    pub fn has_flows(&self) -> bool {
        self.subject.expected().translated
    }

    fn forward_by_kernel(&self) -> Result<()> {
        self.path.gateway.sysctl("net/ipv4/ip_forward", "1")
    }

    fn nftables(&self, files: &FilePath, flowtable: bool) -> Result<()> {
        let (declared, used) = if flowtable {
            ("flowtable f { hook ingress priority 0; devices = { in0, out0 }; }", "ct state established flow add @f")
        } else {
            ("", "")
        };
        let rules = format!(
            "table ip bench {{\n\
             {declared}\n\
             chain forward {{\n\
             type filter hook forward priority 0; policy drop;\n\
             {used}\n\
             ct state established,related accept\n\
             iifname in0 oifname out0 accept\n\
             }}\n\
             chain postrouting {{\n\
             type nat hook postrouting priority 100;\n\
             oifname out0 masquerade\n\
             }}\n\
             }}\n"
        );
        let file = files.join(format!("{}.nft", self.subject));
        std::fs::write(&file, rules)?;
        self.path.gateway.run("nft", &["-f", word(&file)?])?;
        Ok(())
    }

    fn daemon(&mut self, gateway: &FilePath, files: &FilePath, mode: &str, wanted: &str) -> Result<()> {
        // Room for all flows with the tables at a load of 0.4.
        let policy = format!(
            "version = 1\n\
             [datapath]\nmode = \"{mode}\"\nflows = 262144\nflows-per-host = 16384\n\
             [zones]\ninside = [\"in0\"]\noutside = [\"out0\"]\n\
             [[nat.source]]\nname = \"everybody\"\nfrom = \"inside\"\nto = \"outside\"\ntranslate = \"masquerade\"\n\
             [firewall]\ndefault = \"drop\"\n\
             [[firewall.rules]]\nname = \"out\"\nfrom = \"inside\"\nto = \"outside\"\naction = \"accept\"\n"
        );
        let file = files.join(format!("{}.toml", self.subject));
        std::fs::write(&file, policy)?;
        let instance = format!("bench-{mode}-{}", std::process::id());
        let (program, room) = (word(gateway)?, &self.path.gateway);
        let process = room.spawn(LIFETIME, program, &["run", "--policy", word(&file)?, "--instance", &instance])?;
        self.daemon = Some(process.clone());
        let mut status = Value::Null;
        wait_until(START, "the gateway to be ready", || {
            if let Some(ended) = process.ended()? {
                bail!("the gateway ended while starting ({ended}): {}", process.output());
            }
            let asked = room.output(program, &["status", "--instance", &instance, "--json"])?;
            status = serde_json::from_slice(&asked.stdout).unwrap_or_default();
            Ok(status["ready"] == true)
        })?;
        let attached: Vec<&str> = status["interfaces"].as_array().into_iter().flatten().filter_map(|i| i["datapath"].as_str()).collect();
        ensure!(attached == [wanted; 2], "the daemon attached {attached:?} where {wanted} was asked for");
        Ok(())
    }
}

/// Made and gone in a namespace that is ours.
const FLOWTABLE_QUESTION: &str =
    "table ip question { flowtable f { hook ingress priority 0; devices = { in0 }; }; }; delete table ip question";

impl Drop for Rig {
    fn drop(&mut self) {
        // In order, so that it takes its socket and its lock with it; its namespace kills it otherwise.
        if let Some(daemon) = self.daemon.take()
            && let Err(error) = daemon.stop(STOP)
        {
            eprintln!("{}: the daemon did not end in order: {error:#}", self.subject);
        }
    }
}

fn word(path: &FilePath) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", PathBuf::from(path).display()))
}
