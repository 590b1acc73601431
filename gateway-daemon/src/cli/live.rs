//! What the live commands have in common.

use std::process::ExitCode;

use clap::Args;

use super::screen::{CommandError, Screen, on_stdout};
use crate::control::Client;
use crate::instance::InstanceName;

/// Arguments of every live command.
#[derive(Clone, Debug, Args)]
pub struct LiveArgs {
    /// The gateway to ask, as named by `gateway run --instance`
    #[arg(long, value_name = "NAME", default_value = InstanceName::DEFAULT)]
    pub instance: InstanceName,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

impl LiveArgs {
    /// Runs a command with the client of this instance.
    pub(super) fn run(&self, command: impl FnOnce(&Client, &mut Screen<'_>) -> Result<(), CommandError>) -> ExitCode {
        on_stdout(|screen| command(&Client::new(&self.instance), screen))
    }
}
