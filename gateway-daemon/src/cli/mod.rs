//! The `gateway` command: what people type and what they see.
//!
//! Live commands ask the daemon through [`crate::control`] and only show what it says.

pub mod check;
pub mod doctor;
pub mod drops;
pub mod flows;
pub mod generate;
mod live;
pub mod mappings;
pub mod provision;
pub mod reload;
pub mod render;
pub mod run;
mod screen;
pub mod status;
mod streams;
mod table;
mod units;

pub use live::LiveArgs;
pub use run::RunArgs;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const ABOUT: &str = "\
An eBPF NAT and firewall gateway.

It translates and filters the traffic between the zones of a policy file, on tc and XDP, and puts everything back when it ends.";

const EXAMPLES: &str = "\
Examples:
  gateway run --policy policy.toml        run the gateway until Ctrl-C or SIGTERM
  gateway doctor                          what on this machine or platform is in the way, and how to mend it
  gateway status                          is it running, with which policy, on which interfaces
  gateway flows --host 10.227.128.11      what that machine is talking to, and how it is translated
  gateway drops                           what was refused, why, and by which rule
  gateway reload                          put an edited policy file into effect
  gateway render nftables policy.toml     the same policy as an nftables ruleset
  gateway status --json | jq .traffic     for scripts

Live commands ask the running gateway through /run/gateway/<instance>/control.sock, as root.
They exit with 0 when it answered, and with 1 and a line that says why when not.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, about = "An eBPF NAT and firewall gateway", long_about = ABOUT, after_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway in the foreground
    Run(RunArgs),
    /// Check a policy file and show everything that is wrong with it, with the lines underlined
    Check(check::CheckArgs),
    /// Find out where this machine stands and what to change: platform, port security, MTU, queues, leftovers
    Doctor(doctor::DoctorArgs),
    /// Print the policy as an nftables ruleset
    Render(render::RenderArgs),
    /// Show interfaces, zones, datapath, policy, counters and how full the tables are
    Status(status::StatusArgs),
    /// Show who talks to whom, how it is translated, and which rule let it through
    Flows(flows::FlowsArgs),
    /// Show which internal endpoint is which external one
    Mappings(mappings::MappingsArgs),
    /// Show what was not forwarded, why, and by which rule
    Drops(drops::DropsArgs),
    /// Configure this machine by what its hypervisor gives: name, keys, network, policy
    Provision(provision::ProvisionArgs),
    /// Read the policy file again and put it into effect, keeping flows that are still allowed
    Reload(reload::ReloadArgs),
    /// Write manual pages or completions into a directory
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
}

impl Command {
    /// Runs a command that needs no daemon of its own: a live one, `check`, `doctor`, `render` or `provision`. `run` is given back, for the
    /// daemon.
    ///
    /// # Errors
    /// The command itself, when it is `run`.
    pub fn run_live(self) -> Result<ExitCode, Self> {
        match self {
            Self::Check(args) => Ok(check::check(&args)),
            Self::Doctor(args) => Ok(doctor::doctor(&args)),
            Self::Render(args) => Ok(render::render(&args)),
            Self::Status(args) => Ok(status::status(&args)),
            Self::Flows(args) => Ok(flows::flows(&args)),
            Self::Mappings(args) => Ok(mappings::mappings(&args)),
            Self::Drops(args) => Ok(drops::drops(&args)),
            Self::Provision(args) => Ok(provision::provision(&args)),
            Self::Reload(args) => Ok(reload::reload(&args)),
            Self::Generate(args) => Ok(generate::generate(&args)),
            other @ Self::Run(_) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests;
