//! `gateway reload`.

use std::process::ExitCode;

use clap::Args;

use super::LiveArgs;
use super::screen::{CommandError, Screen};
use super::status::rule_counts;
use crate::control::Client;
use crate::control::view::PolicyView;

const EXAMPLES: &str = "\
Examples:
  gateway check policy.toml && gateway reload    only if it has no errors

A policy with errors changes nothing: the errors are printed as file:line:column, the exit code is 1, and the old policy runs on.";

/// Arguments of `gateway reload`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReloadArgs {
    /// Which gateway, and how to print.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Puts the policy file into effect.
#[must_use]
pub fn reload(args: &ReloadArgs) -> ExitCode {
    args.live.run(|client, screen| show(args, client, screen))
}

pub(super) fn show(args: &ReloadArgs, client: &Client, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let view = client.reload()?;
    if args.live.json {
        return screen.json(&view);
    }
    screen.text(&text(&view))
}

pub(super) fn text(policy: &PolicyView) -> String {
    let mut text = format!("{} runs as generation {}: {}\n", policy.file, policy.generation, rule_counts(&policy.rules));
    for warning in &policy.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}
