//! The `gateway` command.

use std::process::ExitCode;

use clap::Parser;
use gateway_daemon::cli::{Cli, Command};
use gateway_daemon::daemon::{self, Options};

fn main() -> ExitCode {
    match Cli::parse().command.run_live() {
        Ok(code) => code,
        Err(Command::Run(args)) => daemon::run(Options { policy: args.policy, instance: args.instance }),
        // Only `run` is given back.
        Err(_) => ExitCode::FAILURE,
    }
}
