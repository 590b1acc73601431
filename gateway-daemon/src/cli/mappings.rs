//! `gateway mappings`.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;

use super::LiveArgs;
use super::screen::{CommandError, Screen, Style};
use super::table::{Column, render};
use super::units::{counted, duration};
use crate::control::Client;
use crate::control::view::MappingView;

const EXAMPLES: &str = "\
Examples:
  gateway mappings                      all NAT mappings
  gateway mappings | grep 192.0.2.10    who hides behind an external address

A mapping is the external endpoint that an internal endpoint keeps towards all remotes (RFC 4787).";

/// Arguments of `gateway mappings`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MappingsArgs {
    /// Which gateway, and how to print.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Shows mappings.
#[must_use]
pub fn mappings(args: &MappingsArgs) -> ExitCode {
    args.live.run(|client, screen| show(args, client, screen))
}

pub(super) fn show(args: &MappingsArgs, client: &Client, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let view = client.mappings()?;
    if args.live.json {
        return screen.json(&view);
    }
    screen.text(&text(&view, screen.style()))
}

pub(super) fn text(mappings: &[MappingView], style: Style) -> String {
    use Column::{Left, Right};
    if mappings.is_empty() {
        return "no mappings\n".to_owned();
    }
    let columns = [Left("PROTO"), Left("INTERNAL"), Left("EXTERNAL"), Left("RULE"), Right("AGE"), Right("IDLE")];
    let rows = mappings.iter().map(|mapping| {
        vec![
            Cell::new(mapping.protocol),
            Cell::new(mapping.internal),
            Cell::new(mapping.external),
            Cell::new(&mapping.rule),
            Cell::new(duration(mapping.age_seconds)),
            Cell::new(duration(mapping.idle_seconds)),
        ]
    });
    let mut text = render(style, &columns, rows.collect(), false);
    if style.width.is_some() {
        text.push_str(&format!("{}\n", counted(mappings.len() as u64, "mapping")));
    }
    text
}
