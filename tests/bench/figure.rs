//! What was measured, in one form for every kind of measurement: what the report, the JSON file and comparisons are made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::structure::Structure;
use crate::subject::Subject;

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// CPU time per packet over the generator's own.
    AddedNs,
    /// CPU time of client, gateway and server together per 10^9 bytes of TCP.
    CpuPerGb,
    /// TCP throughput.
    Throughput,
    /// TCP segments that were sent again during a bulk transfer.
    Retransmits,
    /// Half of all requests are answered within.
    RoundTripP50,
    /// 99 of 100 requests are answered within.
    RoundTripP99,
    /// CPU time of client, gateway and server per connection: opened, one request, one answer, closed.
    CpuPerConnection,
    /// The same in wall time, one at a time.
    Connections,
    /// RFC 9693 section 4.5: flows opened per second of one core.
    EstablishmentRate,
    /// The CPU time that one of them takes.
    EstablishmentNs,
    /// RFC 9693 section 4.9: flows that the tables hold, in proportion to what they were configured for.
    Capacity,
    /// RFC 9693 section 4.8: flows ended per second.
    TearDownRate,
    /// From the command to the new policy being in force.
    Reload,
    /// Packets lost while the policy was replaced.
    ReloadLost,
    /// CPU time of a flow's first packet.
    NewFlowNs,
    /// Memory of the tables, by flow, both directions.
    MemoryPerFlow,
    /// The daemon's resident memory, beside the tables.
    Resident,
    /// The daemon's CPU time while nothing happens, in proportion to one core.
    IdleCpu,
    /// From the start of the daemon to the first packet that it forwards.
    Start,
    /// One run of one program.
    ProgramNs,
    /// One look-up in a structure that flows could be kept in.
    LookUpNs,
    /// The memory that such a structure takes, by entry.
    EntryBytes,
    /// Instructions of the core on the host.
    Instructions,
}

impl Metric {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 23] = [
        Self::AddedNs,
        Self::CpuPerGb,
        Self::Throughput,
        Self::Retransmits,
        Self::RoundTripP50,
        Self::RoundTripP99,
        Self::CpuPerConnection,
        Self::Connections,
        Self::EstablishmentRate,
        Self::EstablishmentNs,
        Self::Capacity,
        Self::TearDownRate,
        Self::Reload,
        Self::ReloadLost,
        Self::NewFlowNs,
        Self::MemoryPerFlow,
        Self::Resident,
        Self::IdleCpu,
        Self::Start,
        Self::ProgramNs,
        Self::LookUpNs,
        Self::EntryBytes,
        Self::Instructions,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::AddedNs => "Packets: CPU time per packet over the generator's own",
            Self::CpuPerGb => "TCP bulk, default offloads: CPU time per GB",
            Self::Throughput => "TCP bulk, default offloads: throughput",
            Self::Retransmits => "TCP bulk, default offloads: segments sent again",
            Self::RoundTripP50 => "TCP request and response: median round trip",
            Self::RoundTripP99 => "TCP request and response: 99th percentile",
            Self::CpuPerConnection => "TCP connections: CPU time per connection",
            Self::Connections => "TCP connections, one at a time",
            Self::EstablishmentRate => "RFC 9693 section 4.5: maximum connection establishment rate",
            Self::EstablishmentNs => "the same: CPU time per new flow",
            Self::Capacity => "RFC 9693 section 4.9: connection tracking table capacity",
            Self::TearDownRate => "RFC 9693 section 4.8: connection tear-down rate",
            Self::Reload => "Replacing the policy",
            Self::ReloadLost => "Packets lost meanwhile",
            Self::NewFlowNs => "A new flow: its first packet",
            Self::MemoryPerFlow => "Memory per flow, both directions",
            Self::Resident => "The daemon's resident memory",
            Self::IdleCpu => "The daemon's CPU time at rest",
            Self::Start => "From start to forwarding",
            Self::ProgramNs => "One program at a time (BPF_PROG_TEST_RUN)",
            Self::LookUpNs => "What flows could be kept in: one look-up (BPF_PROG_TEST_RUN)",
            Self::EntryBytes => "What flows could be kept in: memory by entry",
            Self::Instructions => "The packet core on the host (callgrind)",
        }
    }

    /// Its unit.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::AddedNs | Self::EstablishmentNs | Self::NewFlowNs | Self::ProgramNs | Self::LookUpNs => "ns",
            Self::CpuPerGb => "s/GB",
            Self::Throughput => "Gbit/s",
            Self::Retransmits => "segments",
            Self::RoundTripP50 | Self::RoundTripP99 | Self::CpuPerConnection => "µs",
            Self::Connections | Self::EstablishmentRate | Self::TearDownRate => "1/s",
            Self::Capacity | Self::IdleCpu => "%",
            Self::Reload | Self::Start => "ms",
            Self::ReloadLost => "packets",
            Self::MemoryPerFlow | Self::EntryBytes => "bytes",
            Self::Resident => "MB",
            Self::Instructions => "instructions",
        }
    }

    /// Whether more is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Throughput | Self::Connections | Self::EstablishmentRate | Self::Capacity | Self::TearDownRate)
    }

    /// What users have today, by its name and in a word: nftables; of structures, the kernel's hash with keys of the same length as ours.
    #[must_use]
    pub fn today(self) -> (&'static str, &'static str) {
        match self {
            Self::LookUpNs | Self::EntryBytes => (Structure::Hash16.name(), "the hash"),
            _ => (Subject::Nftables.name(), "nftables"),
        }
    }

    /// What no datapath of this set-up can be better than, by this metric: XDP's bare redirect, but for TCP, which XDP slows down on a veth,
    /// tc's.
    #[must_use]
    pub fn limit(self) -> Subject {
        match self {
            Self::CpuPerGb | Self::Throughput | Self::RoundTripP50 | Self::RoundTripP99 | Self::CpuPerConnection | Self::Connections => {
                Subject::TcRedirect
            }
            _ => Subject::Devmap,
        }
    }

    /// Whether the machine's speed is in it: only such figures gain by being held against a yardstick of the same round.
    #[must_use]
    pub fn is_timed(self) -> bool {
        !matches!(
            self,
            Self::Retransmits
                | Self::Capacity
                | Self::ReloadLost
                | Self::MemoryPerFlow
                | Self::EntryBytes
                | Self::Resident
                | Self::Instructions
        )
    }

    /// Whether the worst round counts: a median would hide that a single packet was lost.
    #[must_use]
    pub fn counts_worst(self) -> bool {
        self == Self::ReloadLost
    }
}

/// What distinguishes figures of one metric, beside the subject: a workload, a number of rules, a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Case(String);

impl Case {
    /// Of something that has a name.
    #[must_use]
    pub fn of(name: impl ToString) -> Self {
        Self(name.to_string())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// All that was measured of one subject in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Of what.
    pub metric: Metric,
    /// The case.
    pub case: Case,
    /// The subject's name, which need not be one of today's.
    pub subject: String,
    /// One per round, in the metric's unit; `None` where the round was void. Figures of one metric and case share their rounds.
    pub samples: Vec<Option<f64>>,
    /// Packets: generator before, everything, generator after, in CPU nanoseconds per packet, unscaled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<Option<[f64; 3]>>,
    /// Why tries were void.
    #[serde(default)]
    pub void: Vec<String>,
    /// Tries repeated because the machine changed its speed meanwhile.
    #[serde(default)]
    pub unsteady: u32,
}

impl Figure {
    /// Without any sample yet.
    #[must_use]
    pub fn new(metric: Metric, case: Case, subject: Subject) -> Self {
        Self { metric, case, subject: subject.name().to_owned(), samples: Vec::new(), raw: Vec::new(), void: Vec::new(), unsteady: 0 }
    }

    /// With these samples.
    #[must_use]
    pub fn with(metric: Metric, case: Case, subject: Subject, samples: Vec<Option<f64>>) -> Self {
        Self { samples, ..Self::new(metric, case, subject) }
    }

    /// Of a structure that flows could be kept in.
    #[must_use]
    pub fn of_structure(metric: Metric, case: Case, structure: Structure, samples: Vec<Option<f64>>) -> Self {
        let subject = structure.name().to_owned();
        Self { metric, case, subject, samples, raw: Vec::new(), void: Vec::new(), unsteady: 0 }
    }

    /// Whether a try was void, though another one may have been whole.
    #[must_use]
    pub fn has_void(&self) -> bool {
        !self.void.is_empty() || self.samples.iter().any(Option::is_none)
    }

    /// The largest sample.
    #[must_use]
    pub fn most(&self) -> Option<f64> {
        self.valid().into_iter().reduce(f64::max)
    }

    /// The samples that count.
    #[must_use]
    pub fn valid(&self) -> Vec<f64> {
        self.samples.iter().flatten().copied().collect()
    }
}

/// Something that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// What the figures depend on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's name.
    pub processor: String,
    /// How many CPUs.
    pub cpus: usize,
}

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// [`Results::FORMAT`].
    pub format: u32,
    /// When it began, in seconds since the Unix epoch.
    pub date: u64,
    /// The git commit, as far as known.
    pub commit: String,
    /// "quick" or "full", and what it was limited to.
    pub extent: String,
    /// Where.
    pub machine: Machine,
    /// Everything.
    pub figures: Vec<Figure>,
    /// And what is not in it.
    pub missing: Vec<Missing>,
    /// Parts that ended before they had measured everything.
    #[serde(default)]
    pub failed: Vec<Missing>,
}

impl Results {
    /// The format that this program writes. 1 held small packets only, in another form.
    pub const FORMAT: u32 = 3;
    /// The oldest that it reads: 2 had no results of runs in which something failed.
    pub const OLDEST: u32 = 2;

    /// Whether anything of this subject was void.
    #[must_use]
    pub fn has_void(&self, subject: &str) -> bool {
        self.figures.iter().any(|figure| figure.subject == subject && figure.has_void())
    }

    /// The figure of a metric, case and subject.
    #[must_use]
    pub fn figure(&self, metric: Metric, case: &str, subject: Subject) -> Option<&Figure> {
        self.figure_of(metric, case, subject.name())
    }

    /// The figure of a metric, case, and subject of that name.
    #[must_use]
    pub fn figure_of(&self, metric: Metric, case: &str, subject: &str) -> Option<&Figure> {
        self.figures.iter().find(|f| f.metric == metric && f.case.name() == case && f.subject == subject)
    }
}
