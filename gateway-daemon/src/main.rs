//! The `gateway` command.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway_daemon::cli::check::{CheckArgs, check};
use gateway_daemon::control::{Client, Request};
use gateway_daemon::daemon::{self, Options};
use gateway_daemon::instance::InstanceName;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run { #[arg(long)] policy: PathBuf, #[arg(long, default_value = "default")] instance: InstanceName },
    Check(CheckArgs),
    Status { #[arg(long, default_value = "default")] instance: InstanceName, #[arg(long)] json: bool },
    Flows { #[arg(long, default_value = "default")] instance: InstanceName, #[arg(long)] json: bool },
    Mappings { #[arg(long, default_value = "default")] instance: InstanceName, #[arg(long)] json: bool },
    Drops { #[arg(long, default_value = "default")] instance: InstanceName, #[arg(long)] json: bool },
}

fn ask(instance: &InstanceName, request: Request) -> ExitCode {
    match Client::new(instance).ask(&request) {
        Ok(response) => {
            let value = serde_json::to_value(&response).unwrap();
            let inner = value.as_object().and_then(|o| o.values().next().cloned()).unwrap_or(value);
            println!("{}", serde_json::to_string_pretty(inner.get("flows").filter(|f| f.is_array()).unwrap_or(&inner)).unwrap());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { policy, instance } => daemon::run(Options { policy, instance }),
        Command::Check(args) => check(&args),
        Command::Status { instance, .. } => ask(&instance, Request::Status),
        Command::Flows { instance, .. } => ask(&instance, Request::Flows { filter: Default::default() }),
        Command::Mappings { instance, .. } => ask(&instance, Request::Mappings),
        Command::Drops { instance, .. } => ask(&instance, Request::Drops),
    }
}
