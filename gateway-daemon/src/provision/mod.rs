//! `gateway provision`: the machine's configuration from what a hypervisor gives, once at boot and whenever it is asked again.
//!
//! Sources in the order of their rank; each item comes from the first source that has it, files from all:
//!
//! 1. a policy disk (a ConfigMap or Secret as a disk), by the label or serial `gateway-policy` or `gateway-secret`
//! 2. NoCloud (label `cidata`)
//! 3. ConfigDrive (label `config-2`)
//! 4. the kernel's command line
//!
//! A policy with errors is not put in place. The last good one is, from the state disk; without one the gateway forwards nothing.

mod apply;
mod error;
mod login;
mod network_config;
mod networkd;
mod place;
mod policy_file;
mod report;
mod settings;
mod sources;
mod state_disk;
mod user_data;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use error::{Problem, ProvisionError};
pub use login::Login;
pub use policy_file::PolicyState;
pub use report::{REPORT, Report};
pub use state_disk::StateDiskError;

use settings::Settings;

/// What `gateway provision` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The root of the file system that is configured.
    pub root: PathBuf,
    /// Directories to read in place of the machine's disks and its kernel's command line.
    pub sources: Vec<PathBuf>,
}

/// Configures the machine, as far as what was found is right, and says what was wrong.
#[must_use]
pub fn run(options: &Options) -> Report {
    let before = Report::read(&options.root).unwrap_or_default().login;
    let mut problems = Vec::new();
    let mut applied = Vec::new();
    if options.root == Path::new("/") && options.sources.is_empty() {
        let mut wrong = Vec::new();
        state_disk::attach(&mut applied, &mut wrong);
        problems.extend(wrong.into_iter().map(|error| Problem { origin: "state disk".to_owned(), error: error.into() }));
    }
    let seeds = if options.sources.is_empty() {
        sources::of_this_machine(&mut problems)
    } else {
        sources::of_directories(&options.sources, &mut problems)
    };
    let mut report = Report { sources: seeds.iter().map(|seed| seed.origin.to_string()).collect(), applied, ..Report::default() };
    let mut settings = Settings::default();
    let mut origin_of_policy = None;
    for seed in seeds {
        if settings.policy.is_none() && seed.settings.policy.is_some() {
            origin_of_policy = Some(seed.origin.to_string());
        }
        settings.fill_from(seed.settings);
    }
    let policy = settings.policy.take();
    apply::apply(&options.root, &settings, &mut report.applied, &mut problems);
    report.login = login::settle(&options.root, &settings, before, &mut report.applied, &mut problems);
    report.policy = policy_file::settle(&options.root, policy.as_deref(), origin_of_policy.as_deref(), &mut problems);
    report.problems = problems.iter().map(ToString::to_string).collect();
    if let Err(error) = report.write(&options.root) {
        report.problems.push(error.to_string());
    }
    report
}
