//! Where settings come from: disks that a hypervisor attaches, and the kernel's command line.

mod cmdline;
mod configdrive;
pub mod disks;
mod files;
pub mod label;
mod nocloud;
mod policy_disk;

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{Problem, ProvisionError};
use super::settings::Settings;
use disks::Disk;
use files::Files;

/// What a source is, the highest rank first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Policy,
    NoCloud,
    ConfigDrive,
    CommandLine,
}

/// A source, as messages call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    kind: Kind,
    place: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Policy => "policy",
            Kind::NoCloud => "NoCloud",
            Kind::ConfigDrive => "ConfigDrive",
            Kind::CommandLine => "kernel command line",
        };
        write!(f, "{kind}{}{}", if self.place.is_empty() { "" } else { " " }, self.place)
    }
}

/// What one source says.
#[derive(Debug)]
pub struct Seed {
    /// Which source.
    pub origin: Origin,
    /// What it says.
    pub settings: Settings,
}

/// The sources of this machine, the highest rank first.
pub fn of_this_machine(problems: &mut Vec<Problem>) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for disk in disks::all() {
        let Some(kind) = kind(&disk) else { continue };
        let origin = Origin { kind, place: disk.to_string() };
        match disk.read() {
            Ok(files) => seeds.push(seed(origin, &files, problems)),
            Err(error) => problems.push(Problem { origin: origin.to_string(), error }),
        }
    }
    seeds.extend(std::fs::read_to_string("/proc/cmdline").ok().and_then(|line| command_line(&line, problems)));
    in_rank(seeds)
}

/// Directories with the content that the disks would have.
pub fn of_directories(directories: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for directory in directories {
        let files = match Files::of(directory) {
            Ok(files) => files,
            Err(error) => {
                problems.push(Problem { origin: directory.display().to_string(), error });
                continue;
            }
        };
        let kind = kind_of_files(&files);
        seeds.push(seed(Origin { kind, place: directory.display().to_string() }, &files, problems));
    }
    in_rank(seeds)
}

fn in_rank(mut seeds: Vec<Seed>) -> Vec<Seed> {
    seeds.sort_by(|one, other| one.origin.cmp(&other.origin));
    seeds
}

/// By the label, and by the serial where somebody else chose the label: KubeVirt gives every ConfigMap the same, unless told otherwise.
fn kind(disk: &Disk) -> Option<Kind> {
    let is = |wanted: &str| disk.label.eq_ignore_ascii_case(wanted) || disk.serial == wanted;
    match () {
        () if is("gateway-policy") || is("gateway-secret") => Some(Kind::Policy),
        () if is("cidata") => Some(Kind::NoCloud),
        () if is("config-2") => Some(Kind::ConfigDrive),
        () => None,
    }
}

fn kind_of_files(files: &Files) -> Kind {
    match () {
        () if files.has("openstack/latest/meta_data.json") => Kind::ConfigDrive,
        () if files.has("user-data") || files.has("meta-data") => Kind::NoCloud,
        () => Kind::Policy,
    }
}

fn seed(origin: Origin, files: &Files, problems: &mut Vec<Problem>) -> Seed {
    let mut wrong: Vec<ProvisionError> = Vec::new();
    let settings = match origin.kind {
        Kind::Policy => policy_disk::read(files, &mut wrong),
        Kind::NoCloud => nocloud::read(files, &mut wrong),
        Kind::ConfigDrive => configdrive::read(files, &mut wrong),
        Kind::CommandLine => Settings::default(),
    };
    wrong.extend(files.problems());
    problems.extend(wrong.into_iter().map(|error| Problem { origin: origin.to_string(), error }));
    Seed { origin, settings }
}

fn command_line(line: &str, problems: &mut Vec<Problem>) -> Option<Seed> {
    let origin = Origin { kind: Kind::CommandLine, place: String::new() };
    let mut wrong = Vec::new();
    let settings = cmdline::read(line, &mut wrong);
    problems.extend(wrong.into_iter().map(|error| Problem { origin: origin.to_string(), error }));
    (settings != Settings::default()).then_some(Seed { origin, settings })
}

/// The text of a file, for tests and readers alike.
fn text<'a>(files: &'a Files, path: &str) -> &'a str {
    files.text(Path::new(path)).unwrap_or_default()
}
