//! `gateway render nftables FILE`: the policy in another firewall's language.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::streams::{complain, say};
use crate::instance::InstanceName;
use crate::inventory::Inventory;
use crate::model::Model;
use crate::netlink::Observer;
use crate::nftables::{self, Features, differences};
use crate::plan::Numbers;
use crate::policy::{self, LoadError};

/// Where the terminal does not tell its width.
const WIDTH: usize = 100;

const EXAMPLES: &str = "\
Examples:
  gateway render nftables policy.toml                  the ruleset that mode = \"nftables\" applies
  gateway render nftables policy.toml | nft -c -f -    would this kernel take it?
  gateway render nftables policy.toml | less           with the names of the policy's rules as comments

The differences to the eBPF datapath stand at the top. Port forwards without `address` are for the addresses that the interfaces
have on this machine now; while the gateway runs they follow the interfaces.

Exit code: 0 the ruleset is printed, 1 the policy has errors, 2 it cannot be read.";

/// Shows a policy in another language.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RenderArgs {
    /// Which language
    #[command(subcommand)]
    pub target: Target,
}

/// What a policy can be rendered as.
#[derive(Clone, Debug, Subcommand)]
pub enum Target {
    /// As a complete nftables ruleset, for nft -f
    #[command(after_help = EXAMPLES)]
    Nftables(NftablesArgs),
}

/// Arguments of `gateway render nftables`.
#[derive(Clone, Debug, Args)]
pub struct NftablesArgs {
    /// The policy file
    pub file: PathBuf,
    /// The gateway whose table it is to be
    #[arg(long, value_name = "NAME", default_value = InstanceName::DEFAULT)]
    pub instance: InstanceName,
}

/// Exit code 0: printed, 1: the policy is invalid, 2: unreadable. Findings go to stderr.
#[must_use]
pub fn render(args: &RenderArgs) -> ExitCode {
    let Target::Nftables(args) = &args.target;
    match policy::load_file(&args.file) {
        Ok(checked) => {
            let (inventory, features) = machine();
            say(&text(&args.instance, &checked.model, &inventory, features));
            ExitCode::SUCCESS
        }
        Err(LoadError::Policy(report)) => {
            let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            complain(&report.render(color, WIDTH));
            ExitCode::from(1)
        }
        Err(LoadError::File(error)) => {
            complain(&format!("{error}\n"));
            ExitCode::from(2)
        }
    }
}

/// What is known of this machine. Rendering is for any: what cannot be asked, as without root or without nft, is taken as not there.
fn machine() -> (Inventory, Features) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Default::default() };
    runtime.block_on(async {
        let inventory = Observer::start().await.map(|observer| observer.inventory().clone()).unwrap_or_default();
        (inventory, Features::probe().await.unwrap_or_default())
    })
}

fn text(instance: &InstanceName, model: &Model, inventory: &Inventory, features: Features) -> String {
    let mut numbers = Numbers::default();
    numbers.update(model);
    let mut text = String::from("# Made by `gateway render nftables`. What is different from the eBPF datapath:\n");
    for difference in differences(model) {
        let _ = writeln!(text, "# - {difference}");
    }
    text.push('\n');
    text + &nftables::render(instance.as_str(), model, inventory, &numbers, features).print().text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_the_differences_and_a_whole_table() {
        let model = policy::load("seed.toml", include_str!("../../../tests/policies/seed.toml")).unwrap().model;
        // As without the interfaces, and without root.
        let text = text(&"lab".parse().unwrap(), &model, &Inventory::default(), Features::default());
        let (comments, table) = text.split_once("\n\n").unwrap();
        assert!(comments.lines().all(|line| line.starts_with("# ")) && comments.lines().count() > 5, "{comments}");
        assert!(table.starts_with("table inet gateway_lab\ndelete table inet gateway_lab\n\ntable inet gateway_lab {\n"), "{table}");
        assert!(
            table.ends_with("\n}\n") && table.contains("comment \"follows the interfaces while the gateway runs; not all are here\""),
            "{table}"
        );
        assert!(table.contains("comment \"rdp from on-prem\""), "{table}");
    }

    #[test]
    fn the_exit_code_tells_the_three_cases_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        let code =
            || render(&RenderArgs { target: Target::Nftables(NftablesArgs { file: file.clone(), instance: InstanceName::default() }) });
        assert_eq!(code(), ExitCode::from(2));
        std::fs::write(&file, "version = 7\n").unwrap();
        assert_eq!(code(), ExitCode::from(1));
    }
}
