//! What `--only` names: parts of the bench, subjects, workloads.

use std::fmt;
use std::str::FromStr;

use super::subject::Subject;
use super::workload::Workload;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Packets by the bench's own generator.
    Packets,
    /// TCP by real programs.
    Tcp,
    /// RFC 9693.
    Establish,
    /// Rules and reloads.
    Rules,
    /// What the daemon takes.
    Footprint,
}

impl Part {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 5] = [Self::Packets, Self::Tcp, Self::Establish, Self::Rules, Self::Footprint];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Tcp => "tcp",
            Self::Establish => "establish",
            Self::Rules => "rules",
            Self::Footprint => "footprint",
        }
    }

    /// What it measures, in some words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Packets => "CPU time per packet, by the bench's own generator",
            Self::Tcp => "bulk (iperf3), requests, connections, by real programs, with default offloads",
            Self::Establish => "RFC 9693: connection establishment rate, capacity, tear-down rate",
            Self::Rules => "a reload under traffic, and a new flow, against 10, 1,000 and 10,000 rules",
            Self::Footprint => "memory per flow, memory and CPU time of the daemon, time until it forwards",
        }
    }

    /// What it can be measured of.
    #[must_use]
    pub fn subjects(self) -> &'static [Subject] {
        match self {
            Self::Packets => &Subject::ALL,
            // The redirect by device map stands for both.
            Self::Tcp => &[
                Subject::Devmap,
                Subject::Fib,
                Subject::XdpForward,
                Subject::TcRedirect,
                Subject::Routing,
                Subject::Nftables,
                Subject::Flowtable,
                Subject::Einat,
                Subject::Tc,
                Subject::Xdp,
            ],
            Self::Establish => &[Subject::Nftables, Subject::Flowtable, Subject::Einat, Subject::Tc, Subject::Xdp],
            Self::Rules => &[Subject::Nftables, Subject::Tc, Subject::Xdp],
            Self::Footprint => &[Subject::Tc, Subject::Xdp],
        }
    }

    fn limits(self) -> String {
        format!("the part {self} is measured of {} only", list(self.subjects()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One word of `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// A part.
    Part(Part),
    /// A subject.
    Subject(Subject),
    /// A workload, which implies the part "packets".
    Workload(Workload),
}

impl fmt::Display for Only {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(part) => part.fmt(formatter),
            Self::Subject(subject) => subject.fmt(formatter),
            Self::Workload(workload) => workload.fmt(formatter),
        }
    }
}

/// Nothing has this name.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing is named {name}; there are the parts {}; the subjects {}; the workloads {}",
    list(Part::ALL),
    list(Subject::ALL),
    list(Workload::all())
)]
pub struct NoSuchName {
    name: String,
}

/// The names go together in no figure.
#[derive(Debug, thiserror::Error)]
#[error("--only leaves nothing to measure: {}. {}", sentences(missing), together())]
pub struct NothingLeft {
    missing: Vec<Lack>,
}

/// Something that was asked for and is not measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl Lack {
    fn new(what: impl ToString, why: impl ToString) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

fn list(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn sentences(missing: &[Lack]) -> String {
    missing.iter().map(|Lack { what, why }| format!("{what}: {why}")).collect::<Vec<_>>().join("; ")
}

/// Which names go together, in words.
#[must_use]
pub fn together() -> String {
    let narrow = Part::ALL.into_iter().filter(|part| *part != Part::Packets);
    let parts: Vec<String> = narrow.map(|part| format!("{part} with {}", list(part.subjects()))).collect();
    format!("Names that go together: packets with every subject and every workload, {}", parts.join("; "))
}

impl FromStr for Only {
    type Err = NoSuchName;

    fn from_str(name: &str) -> Result<Self, NoSuchName> {
        let part = Part::ALL.into_iter().find(|part| part.name() == name).map(Self::Part);
        let subject = || Subject::named(name).map(Self::Subject);
        let workload = || Workload::from_str(name).ok().map(Self::Workload);
        part.or_else(subject).or_else(workload).ok_or_else(|| NoSuchName { name: name.to_owned() })
    }
}

/// What is measured.
#[derive(Debug)]
pub struct Choice {
    /// These parts.
    pub parts: Vec<Part>,
    /// Through these subjects.
    pub subjects: Vec<Subject>,
    /// By these packets.
    pub workloads: Vec<Workload>,
    /// What was asked for beside, and no machine measures.
    pub missing: Vec<Lack>,
    /// The form, and what it was limited to, in words.
    pub extent: String,
}

impl Choice {
    /// Of the words of `--only`: those of one kind add up, those of different kinds narrow each other down.
    ///
    /// # Errors
    /// When they narrow each other down to nothing.
    pub fn of(only: &[Only], full: bool) -> Result<Self, NothingLeft> {
        let parts: Vec<Part> = only.iter().filter_map(|word| if let Only::Part(part) = word { Some(*part) } else { None }).collect();
        let named: Vec<Subject> =
            only.iter().filter_map(|word| if let Only::Subject(subject) = word { Some(*subject) } else { None }).collect();
        let workloads: Vec<Workload> =
            only.iter().filter_map(|word| if let Only::Workload(workload) = word { Some(*workload) } else { None }).collect();
        let form = if full { "full" } else { "quick" };
        let extent = if only.is_empty() {
            form.to_owned()
        } else {
            let words = parts.iter().map(ToString::to_string).chain(named.iter().map(ToString::to_string));
            let words: Vec<String> = words.chain(workloads.iter().map(ToString::to_string)).collect();
            format!("{form}, only {}", words.join(" "))
        };
        let mut missing = Vec::new();
        let subjects: Vec<Subject> = Subject::ALL.into_iter().filter(|subject| named.is_empty() || named.contains(subject)).collect();
        let workloads_left = packets(&workloads, &subjects, full, &mut missing);
        let mut left: Vec<Part> = Part::ALL.into_iter().filter(|part| parts.is_empty() || parts.contains(part)).collect();
        left.retain(|part| match part {
            Part::Packets => !workloads_left.is_empty(),
            _ if !workloads.is_empty() => {
                // A workload implies "packets": of other parts nobody has asked, unless by name.
                if parts.contains(part) {
                    missing.push(Lack::new(part, "a workload was named, and only the part packets sends those"));
                }
                false
            }
            _ => narrowed(*part, &subjects, &named, &mut missing),
        });
        if left.is_empty() {
            return Err(NothingLeft { missing });
        }
        Ok(Self { parts: left, subjects, workloads: workloads_left, missing, extent })
    }
}

/// The workloads that at least one of the subjects can carry.
fn packets(named: &[Workload], subjects: &[Subject], full: bool, missing: &mut Vec<Lack>) -> Vec<Workload> {
    let wanted = |workload: &Workload| match named {
        [] if full => workload.is_full(),
        [] => workload.is_quick(),
        named => named.contains(workload),
    };
    let carried = |workload: &Workload| {
        let setting = workload.setting();
        let refusals: Vec<String> =
            subjects.iter().filter_map(|subject| Some(format!("{subject}: {}", subject.cannot(&setting)?))).collect();
        let carried = refusals.len() < subjects.len();
        if !carried {
            missing.push(Lack::new(workload, refusals.join(", ")));
        }
        carried
    };
    Workload::all().filter(wanted).filter(carried).collect()
}

/// Whether the part can be measured of one of the subjects; those that were named in vain are noted.
fn narrowed(part: Part, subjects: &[Subject], named: &[Subject], missing: &mut Vec<Lack>) -> bool {
    if !subjects.iter().any(|subject| part.subjects().contains(subject)) {
        missing.push(Lack::new(format!("{part} of {}", list(subjects)), part.limits()));
        return false;
    }
    let in_vain = named.iter().filter(|subject| !part.subjects().contains(subject));
    missing.extend(in_vain.map(|subject| Lack::new(format!("{part} of {subject}"), part.limits())));
    true
}
