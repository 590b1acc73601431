//! `gateway provision`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::provision::{self, Options};

const EXAMPLES: &str = "\
Examples:
  gateway provision                             what the appliance does at boot
  gateway provision --root /tmp/x --source DIR  what would come of these files

Sources, by rank: a disk with the label or serial gateway-policy or gateway-secret (policy.toml, authorized_keys, password-hash,
hostname, network-config), NoCloud (cidata), ConfigDrive (config-2), the kernel's command line (gateway.policy= in base64).
Each setting comes from the first that has it. A policy with errors leaves the last good one in place.

Exit code: 0 all is in place, 1 something was wrong; what was right is in place.";

/// Configures this machine by what its hypervisor gives: name, keys, network, policy.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProvisionArgs {
    /// The root of the file system to configure
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Read this directory instead of the machine's disks; may be repeated
    #[arg(long, value_name = "DIR")]
    pub source: Vec<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// Exit code 0: all in place, 1: something was wrong.
#[must_use]
pub fn provision(args: &ProvisionArgs) -> ExitCode {
    let report = provision::run(&Options { root: args.root.clone(), sources: args.source.clone() });
    let text = if args.json { serde_json::to_string_pretty(&report).unwrap_or_default() + "\n" } else { report.to_string() };
    // The machine is configured, whether anybody reads about it or not.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
