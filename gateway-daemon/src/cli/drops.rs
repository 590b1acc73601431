//! `gateway drops`.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;

use super::LiveArgs;
use super::screen::{CommandError, Screen, Style};
use super::table::{Column, Tone, bold, render, toned};
use super::units::count;
use crate::control::Client;
use crate::control::view::{DropsView, ReasonKind, RuleAction, RuleView};

const EXAMPLES: &str = "\
Examples:
  gateway drops                                         what was not forwarded, and why
  watch gateway drops                                   see a counter grow while something fails
  gateway drops --json | jq '.rules[] | select(.packets > 0)'

Counters begin when the gateway starts. Reasons that never happened are left out here, not in --json.";

/// Arguments of `gateway drops`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DropsArgs {
    /// Which gateway, and how to print.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Shows why packets were not forwarded.
#[must_use]
pub fn drops(args: &DropsArgs) -> ExitCode {
    args.live.run(|client, screen| show(args, client, screen))
}

pub(super) fn show(args: &DropsArgs, client: &Client, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let view = client.drops()?;
    if args.live.json {
        return screen.json(&view);
    }
    screen.text(&text(&view, screen.style()))
}

pub(super) fn text(view: &DropsView, style: Style) -> String {
    let mut parts = Vec::new();
    let kinds = [
        (ReasonKind::Drop, "Dropped"),
        (ReasonKind::Punt, "Given to the kernel for an ICMP error"),
        (ReasonKind::Pass, "Not for the gateway to forward"),
    ];
    for (kind, title) in kinds {
        match reasons(view, kind, style) {
            Some(table) => parts.push(format!("{}\n{table}", bold(style, title))),
            None if kind == ReasonKind::Drop => parts.push("Nothing was dropped.\n".to_owned()),
            None => {}
        }
    }
    for (rules, title) in
        [(&view.rules, "Firewall rules that refuse"), (&view.accepted, "Firewall rules that accept, by flows' first packets")]
    {
        if !rules.is_empty() {
            parts.push(format!("{}\n{}", bold(style, title), rule_table(rules, style)));
        }
    }
    parts.join("\n")
}

/// The reasons of one kind that happened, most frequent first.
fn reasons(view: &DropsView, kind: ReasonKind, style: Style) -> Option<String> {
    let mut reasons: Vec<_> = view.reasons.iter().filter(|reason| reason.kind == kind && reason.packets > 0).collect();
    if reasons.is_empty() {
        return None;
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.packets));
    let columns = [Column::Left("REASON"), Column::Right("PACKETS"), Column::Left("MEANING")];
    let rows =
        reasons.iter().map(|reason| vec![Cell::new(&reason.reason), Cell::new(count(reason.packets)), Cell::new(&reason.explanation)]);
    Some(render(style, &columns, rows.collect(), true))
}

fn rule_table(rules: &[RuleView], style: Style) -> String {
    let columns = [Column::Left("RULE"), Column::Left("ACTION"), Column::Right("PACKETS")];
    let rows = rules.iter().map(|rule| {
        let tone = match rule.action {
            RuleAction::Accept => Tone::Good,
            RuleAction::Drop | RuleAction::Reject => Tone::Bad,
        };
        vec![Cell::new(&rule.rule), toned(rule.action, tone), Cell::new(count(rule.packets))]
    });
    render(style, &columns, rows.collect(), false)
}
