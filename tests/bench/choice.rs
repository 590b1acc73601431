//! What `--only` names: parts of the bench, subjects, workloads.

use std::fmt;
use std::str::FromStr;

use crate::subject::Subject;
use crate::workload::Workload;

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

    fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Tcp => "tcp",
            Self::Establish => "establish",
            Self::Rules => "rules",
            Self::Footprint => "footprint",
        }
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

/// Nothing has this name.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing is named {name}; there are the parts {}; the subjects {}; the workloads {}",
    list(Part::ALL.iter().map(|part| part.name())),
    list(Subject::ALL.iter().map(|subject| subject.name())),
    list(Workload::all())
)]
pub struct NoSuchName {
    name: String,
}

fn list(items: impl Iterator<Item = impl fmt::Display>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
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
    /// The form, and what it was limited to, in words.
    pub extent: String,
}

impl Choice {
    /// Of the words of `--only`, each of which limits its own kind.
    #[must_use]
    pub fn of(only: &[Only], full: bool) -> Self {
        let named_parts: Vec<Part> = only.iter().filter_map(|word| if let Only::Part(part) = word { Some(*part) } else { None }).collect();
        let named_subjects: Vec<Subject> =
            only.iter().filter_map(|word| if let Only::Subject(subject) = word { Some(*subject) } else { None }).collect();
        let named_workloads: Vec<Workload> =
            only.iter().filter_map(|word| if let Only::Workload(workload) = word { Some(*workload) } else { None }).collect();
        let wants_part = |part: &Part| match (&*named_parts, &*named_workloads) {
            ([], []) => true,
            ([], _) => *part == Part::Packets,
            (parts, []) => parts.contains(part),
            (parts, _) => parts.contains(part) || *part == Part::Packets,
        };
        let wants_workload = |workload: &Workload| match &*named_workloads {
            [] if full => workload.is_full(),
            [] => workload.is_quick(),
            named => named.contains(workload),
        };
        let form = if full { "full" } else { "quick" };
        let words: Vec<String> = named_parts.iter().map(|part| part.name().to_owned()).collect();
        let words = words.into_iter().chain(named_subjects.iter().map(ToString::to_string));
        let words: Vec<String> = words.chain(named_workloads.iter().map(ToString::to_string)).collect();
        let extent = if words.is_empty() { form.to_owned() } else { format!("{form}, only {}", words.join(" ")) };
        Self {
            parts: Part::ALL.into_iter().filter(wants_part).collect(),
            subjects: Subject::ALL.into_iter().filter(|subject| named_subjects.is_empty() || named_subjects.contains(subject)).collect(),
            workloads: Workload::all().filter(wants_workload).collect(),
            extent,
        }
    }
}
