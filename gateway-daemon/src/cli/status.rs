//! `gateway status`.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::LiveArgs;
use super::screen::{CommandError, Screen, Style};
use super::table::{Column, Tone, bold, render, toned};
use super::units::{count, counted, duration, short};
use crate::control::view::{Datapath, InterfaceView, LinkState, PolicyView, RuleCounts, StatusView, TableView, TrafficView};
use crate::control::{Client, ControlError};
use crate::instance::InstanceName;
use crate::provision::{PolicyState, Report};

const EXAMPLES: &str = "\
Examples:
  gateway status                      everything on one page
  gateway status >/dev/null && ...    only if it forwards through every interface of its policy
  gateway status --json | jq -r '.interfaces[] | \"\\(.name) \\(.datapath): \\(.reason)\"'

Exit code: 0 it runs and forwards through every interface of its policy, 1 it does not; what is known is shown all the same.";

/// Arguments of `gateway status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Which gateway, and how to print.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Shows the daemon as a whole.
#[must_use]
pub fn status(args: &StatusArgs) -> ExitCode {
    args.live.run(|client, screen| show(args, client, screen))
}

pub(super) fn show(args: &StatusArgs, client: &Client, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    // An appliance has one gateway, and a configuration that may be wrong although the gateway runs.
    let provisioned = (*client.instance() == InstanceName::default()).then(|| Report::read(Path::new("/"))).flatten();
    present(args, client, provisioned, screen)
}

/// Shows what `provisioned` says also where the daemon says nothing: it may be the reason.
pub(super) fn present(
    args: &StatusArgs,
    client: &Client,
    provisioned: Option<Report>,
    screen: &mut Screen<'_>,
) -> Result<(), CommandError> {
    let view = match answered(client) {
        Ok(view) => view,
        Err(error) => {
            match provisioned {
                Some(_) if args.live.json => screen.json(&Answer { view: None, provision: provisioned })?,
                Some(report) => screen.text(&provision(&report))?,
                None => {}
            }
            return Err(error.into());
        }
    };
    let idle = idle(&view);
    if args.live.json {
        screen.json(&Answer { view: Some(view), provision: provisioned })?;
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        screen.text(&text(&view, now, screen.style()))?;
        screen.text(&provisioned.map(|report| provision(&report)).unwrap_or_default())?;
    }
    match idle {
        None => Ok(()),
        Some(interfaces) => Err(CommandError::Idle { instance: client.instance().clone(), interfaces }),
    }
}

fn answered(client: &Client) -> Result<StatusView, ControlError> {
    let view = client.status()?;
    if view.ready { Ok(view) } else { Err(ControlError::NotReady { instance: client.instance().clone(), message: waits_for(&view) }) }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer {
    /// `None`: the daemon does not answer, or not yet.
    #[serde(flatten)]
    view: Option<StatusView>,
    /// What became of the hypervisor's configuration; only on an appliance.
    #[serde(skip_serializing_if = "Option::is_none")]
    provision: Option<Report>,
}

/// What of the hypervisor's configuration is not in force; nothing when all is.
pub(super) fn provision(report: &Report) -> String {
    let policy = match report.policy {
        PolicyState::Given => return report.problems.iter().map(|problem| labelled("config", problem)).collect(),
        PolicyState::LastGood => "no valid policy was given; the last good one is in force",
        PolicyState::Nothing => "no valid policy was given; nothing is forwarded",
    };
    [policy.to_owned()].iter().chain(&report.problems).map(|line| labelled("config", line)).collect()
}

/// Why the datapath is not in place, as far as the status tells.
fn waits_for(view: &StatusView) -> String {
    match &view.policy.error {
        Some(error) => format!("its policy has errors: {}", error.lines().next().unwrap_or_default()),
        None => "the datapath is being set up; ask again in a moment".to_owned(),
    }
}

/// The policy's interfaces through which nothing is forwarded, and why; `None` when there is no such.
fn idle(view: &StatusView) -> Option<String> {
    let idle = view.interfaces.iter().filter(|interface| interface.datapath == Datapath::None);
    let named: Vec<String> = idle.map(|interface| format!("{} ({})", interface.name, interface.reason)).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// The page; `now` in seconds since the Unix epoch.
pub(super) fn text(view: &StatusView, now: u64, style: Style) -> String {
    let title = bold(style, &format!("gateway {} \"{}\"", view.version, view.instance));
    let mut text = format!("{title}, running for {}\n", duration(view.uptime_seconds));
    text.push_str(&policy(&view.policy, now));
    text.push_str(&traffic(&view.traffic));
    for part in [interfaces(&view.interfaces, style), datapaths(&view.interfaces, style), zones(view, style), tables(&view.tables, style)] {
        if !part.is_empty() {
            text.push('\n');
            text.push_str(&part);
        }
    }
    text
}

fn policy(policy: &PolicyView, now: u64) -> String {
    let age = duration(now.saturating_sub(policy.loaded_at));
    let mut text =
        format!("policy   {}, generation {}, loaded {age} ago\n         {}\n", policy.file, policy.generation, rule_counts(&policy.rules));
    for warning in &policy.warnings {
        text.push_str(&labelled("warning", warning));
    }
    if let Some(error) = &policy.error {
        text.push_str(&labelled("error", &format!("the last reload was refused, generation {} runs on:\n{error}", policy.generation)));
    }
    text
}

/// Lines beside a label of the first.
fn labelled(label: &str, lines: &str) -> String {
    lines.lines().enumerate().map(|(n, line)| format!("{:<9}{line}\n", if n == 0 { label } else { "" })).collect()
}

/// The numbers of rules, as words.
pub(super) fn rule_counts(rules: &RuleCounts) -> String {
    [
        (rules.firewall, "firewall rule"),
        (rules.nat_source, "source NAT rule"),
        (rules.nat_destination, "port forward"),
        (rules.routes, "route"),
    ]
    .map(|(number, noun)| counted(u64::from(number), noun))
    .join(", ")
}

fn traffic(traffic: &TrafficView) -> String {
    format!(
        "traffic  {} opened; {} ({}B) forwarded, {} dropped, {} punted, {} passed\n",
        counted(traffic.flows_opened, "flow"),
        counted(traffic.packets_forwarded, "packet"),
        short(traffic.bytes_forwarded),
        count(traffic.packets_dropped),
        count(traffic.packets_punted),
        count(traffic.packets_passed),
    )
}

fn interfaces(interfaces: &[InterfaceView], style: Style) -> String {
    use Column::{Left, Right};
    if interfaces.is_empty() {
        return String::new();
    }
    let columns = [Left("INTERFACE"), Left("ZONE"), Left("STATE"), Right("MTU"), Left("MAC"), Left("ADDRESSES")];
    let rows = interfaces.iter().map(|interface| {
        let tone = match interface.state {
            LinkState::Up => Tone::Good,
            LinkState::NoCarrier => Tone::Fair,
            LinkState::Down | LinkState::Missing => Tone::Bad,
        };
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        vec![
            Cell::new(&interface.name),
            Cell::new(interface.zone.as_deref().unwrap_or("-")),
            toned(interface.state, tone),
            Cell::new(interface.mtu.map_or_else(|| "-".to_owned(), |mtu| mtu.to_string())),
            Cell::new(interface.mac.as_deref().unwrap_or("-")),
            Cell::new(if addresses.is_empty() { "-".to_owned() } else { addresses.join(" ") }),
        ]
    });
    render(style, &columns, rows.collect(), true)
}

fn datapaths(interfaces: &[InterfaceView], style: Style) -> String {
    use Column::Left;
    if interfaces.is_empty() {
        return String::new();
    }
    let rows = interfaces.iter().map(|interface| {
        let tone = if interface.datapath == Datapath::None { Tone::Dim } else { Tone::Good };
        vec![
            Cell::new(&interface.name),
            toned(interface.datapath, tone),
            Cell::new(if interface.attach.is_empty() { "-" } else { &interface.attach }),
            Cell::new(&interface.reason),
        ]
    });
    render(style, &[Left("INTERFACE"), Left("DATAPATH"), Left("ATTACHED"), Left("WHY")], rows.collect(), true)
}

fn zones(view: &StatusView, style: Style) -> String {
    use Column::Left;
    if view.zones.is_empty() {
        return String::new();
    }
    let rows = view.zones.iter().map(|zone| vec![Cell::new(&zone.name), Cell::new(zone.interfaces.join(" "))]);
    render(style, &[Left("ZONE"), Left("INTERFACES")], rows.collect(), true)
}

fn tables(tables: &[TableView], style: Style) -> String {
    use Column::{Left, Right};
    if tables.is_empty() {
        return String::new();
    }
    let rows = tables.iter().map(|table| {
        // An empty table without room is as full as one can be.
        let percent = (u128::from(table.used) * 100).checked_div(u128::from(table.capacity)).unwrap_or(100);
        let tone = match percent {
            0..70 => Tone::Good,
            70..90 => Tone::Fair,
            _ => Tone::Bad,
        };
        vec![Cell::new(&table.name), Cell::new(count(table.used)), Cell::new(count(table.capacity)), toned(format!("{percent}%"), tone)]
    });
    render(style, &[Left("TABLE"), Right("USED"), Right("CAPACITY"), Right("FULL")], rows.collect(), false)
}
