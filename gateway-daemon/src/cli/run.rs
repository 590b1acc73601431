//! `gateway run`: its arguments. The daemon itself is elsewhere.

use std::path::PathBuf;

use clap::Args;

use crate::instance::InstanceName;

const EXAMPLES: &str = "\
Examples:
  gateway run                                       with /etc/gateway/policy.toml
  gateway run --policy policy.toml                  with another policy
  gateway run --policy lab.toml --instance lab      beside the first gateway
  ip netns exec router gateway run --policy p.toml --instance router

The policy is read again on SIGHUP, by `gateway reload`, and when the file is replaced. SIGTERM and SIGINT end the gateway
and leave the machine as it was.";

/// Arguments of `gateway run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The policy file
    #[arg(long, value_name = "FILE", default_value = "/etc/gateway/policy.toml")]
    pub policy: PathBuf,
    /// This gateway's name: keeps several on one machine apart
    #[arg(long, value_name = "NAME", default_value = InstanceName::DEFAULT)]
    pub instance: InstanceName,
}
