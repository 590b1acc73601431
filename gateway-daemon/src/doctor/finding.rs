//! What the doctor says.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something that is wanted cannot work.
    Fault,
    /// Something works less well than it could, or only by luck.
    Warning,
    /// Worth knowing; nothing needs to be done.
    Note,
}

/// What was found, under a name that stays: scripts may look for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Id {
    /// An interface of the policy does not exist.
    InterfaceMissing,
    /// An interface is down or has no carrier.
    LinkDown,
    /// An interface has no address, and the policy gives it none.
    NoAddress,
    /// Only one leg.
    OneLeg,
    /// The pod leg is bound by KubeVirt's `masquerade`.
    PodMasquerade,
    /// The pod leg is bound by `passt`.
    PodPasst,
    /// A port forward uses a port that live migration has taken.
    MigrationPort,
    /// Packets from an address that is not the port's own are dropped.
    ForeignSource,
    /// Packets to an address that is not the port's own are not delivered.
    ForeignDestination,
    /// Frames of another MAC are dropped.
    ForeignMac,
    /// The address is also somebody else's.
    DuplicateAddress,
    /// Somebody answers ARP for addresses that nobody has.
    ProxyArp,
    /// Large packets disappear without a word.
    MtuBlackHole,
    /// The path is narrower than the interface, and says so.
    PathMtu,
    /// A peer that was named does not answer.
    PeerSilent,
    /// Fewer queues than CPUs.
    Queues,
    /// Packets are received one by one.
    Gro,
    /// Merged packets cannot be forwarded.
    Lro,
    /// The policy asks for XDP, and it cannot be attached.
    Xdp,
    /// XDP would share its transmit queues.
    TransmitQueues,
    /// XDP does not see VLAN tags.
    VlanOffload,
    /// The kernel drops packets whose way back is another interface.
    ReversePath,
    /// The kernel forwards also between interfaces of no zone.
    ForwardsAll,
    /// The kernel answers ARP for others.
    AnswersForOthers,
    /// Another firewall's or router's rules are in the packets' way.
    ForeignRules,
    /// The kernel lacks something that the gateway needs.
    KernelFeature,
    /// The kernel is older than what is supported.
    KernelVersion,
    /// The clock is wrong, or nobody keeps it right.
    Clock,
    /// Reading the clock is slow.
    ClockSource,
}

/// What mends it, to be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Remedy {
    /// A part of a Kubernetes object.
    Yaml {
        /// Which object, in a few words.
        object: &'static str,
        /// The YAML, ended by a newline.
        text: String,
    },
    /// A part of the gateway's policy.
    Policy {
        /// The TOML, ended by a newline.
        text: String,
    },
    /// To be run as root.
    Command {
        /// One line each.
        lines: Vec<String>,
    },
    /// Something that no file or command mends.
    Advice {
        /// A sentence.
        text: String,
    },
}

/// One thing that is not as it should be, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub id: Id,
    /// How bad.
    pub severity: Severity,
    /// Where, if it is about one interface.
    pub interface: Option<String>,
    /// One line.
    pub title: String,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What follows from it for those whose packets pass here.
    pub consequence: String,
    /// What mends it; the first is the best.
    pub remedies: Vec<Remedy>,
}

/// One of the doctor's examinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Interfaces, their state and addresses.
    Links,
    /// Pod binding and topology.
    Topology,
    /// Addresses that others have too.
    DuplicateAddress,
    /// What the port lets through.
    PortSecurity,
    /// How large packets may be.
    PathMtu,
    /// Queues against CPUs.
    Queues,
    /// Offloads and XDP.
    Offloads,
    /// Kernel settings.
    Sysctls,
    /// Rules of other routers and firewalls.
    Leftovers,
    /// BPF and netfilter.
    Kernel,
    /// Time.
    Clock,
}

/// What one examination gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which.
    pub check: Check,
    /// What it found.
    pub findings: Vec<Finding>,
    /// What is in order, in words.
    pub good: Vec<String>,
    /// What could not be looked at, and why.
    pub skipped: Vec<String>,
}

impl Outcome {
    /// Of an examination that has just begun.
    #[must_use]
    pub fn of(check: Check) -> Self {
        Self { check, findings: Vec::new(), good: Vec::new(), skipped: Vec::new() }
    }

    /// Notes something that is in order.
    pub fn good(&mut self, text: impl Into<String>) {
        self.good.push(text.into());
    }

    /// Notes something that could not be looked at.
    pub fn skip(&mut self, text: impl Into<String>) {
        self.skipped.push(text.into());
    }

    /// Adds what another part of the same examination gave.
    pub fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.good.extend(other.good);
        self.skipped.extend(other.skipped);
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Links => "links",
            Self::Topology => "topology",
            Self::DuplicateAddress => "duplicate-address",
            Self::PortSecurity => "port-security",
            Self::PathMtu => "path-mtu",
            Self::Queues => "queues",
            Self::Offloads => "offloads",
            Self::Sysctls => "sysctls",
            Self::Leftovers => "leftovers",
            Self::Kernel => "kernel",
            Self::Clock => "clock",
        })
    }
}
