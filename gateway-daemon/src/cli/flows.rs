//! `gateway flows`.

use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;
use ipnet::IpNet;

use super::LiveArgs;
use super::screen::{CommandError, Screen, Style};
use super::table::{Column, Tone, render, toned};
use super::units::{counted, duration, short};
use crate::control::view::{FlowState, FlowView, FlowsView, Protocol};
use crate::control::{Client, FlowFilter};

const EXAMPLES: &str = "\
Examples:
  gateway flows                                    all flows
  gateway flows --host 10.227.128.11 --port 443    one machine's HTTPS, in either role
  gateway flows --host 10.227.128.0/24 --limit 20  of a whole network, the first 20
  gateway flows --rule rdp-in                      what one rule lets through
  gateway flows --json | jq '.[].external'         for scripts

INTERNAL is the endpoint behind the gateway, EXTERNAL what the remote sees of it (- without translation), REMOTE the other side.
PACKETS and BYTES are sent/received, as seen by the side that opened the flow.";

/// Arguments of `gateway flows`. Conditions add up.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct FlowsArgs {
    /// Only this protocol
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Only flows with this address, or an address in this prefix, on either side
    #[arg(long, value_name = "ADDR[/LEN]", value_parser = parse_host)]
    pub host: Option<IpNet>,
    /// Only flows with this TCP or UDP port on either side
    #[arg(long)]
    pub port: Option<u16>,
    /// Only flows in this state
    #[arg(long, value_enum)]
    pub state: Option<FlowState>,
    /// Only flows that this firewall or NAT rule decided
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Only flows from or to this zone
    #[arg(long, value_name = "NAME")]
    pub zone: Option<String>,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u32>,
    /// Which gateway, and how to print.
    #[command(flatten)]
    pub live: LiveArgs,
}

impl FlowsArgs {
    /// The conditions.
    #[must_use]
    pub fn filter(&self) -> FlowFilter {
        FlowFilter {
            protocol: self.protocol,
            host: self.host,
            port: self.port,
            state: self.state,
            rule: self.rule.clone(),
            zone: self.zone.clone(),
            limit: self.limit,
        }
    }
}

fn parse_host(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "write an address such as 10.0.0.1 or 2001:db8::1, or a prefix such as 10.0.0.0/24".to_owned())
}

/// Shows flows.
#[must_use]
pub fn flows(args: &FlowsArgs) -> ExitCode {
    args.live.run(|client, screen| show(args, client, screen))
}

pub(super) fn show(args: &FlowsArgs, client: &Client, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    let view = client.flows(args.filter())?;
    if args.live.json {
        return screen.json(&view.flows);
    }
    screen.text(&text(&view, screen.style()))
}

/// One line per flow; two where the terminal is too narrow for one.
pub(super) fn text(view: &FlowsView, style: Style) -> String {
    if view.matched == 0 {
        return "no flows\n".to_owned();
    }
    let plain = Style { colour: false, ..style };
    // Measured without colours, which take no room.
    let fits = style.width.is_none_or(|width| wide(view, plain).lines().all(|line| line.chars().count() <= usize::from(width)));
    let mut text = if fits { wide(view, style) } else { narrow(view, style) };
    let shown = view.flows.len() as u64;
    if shown < view.matched {
        text.push_str(&format!("{} shown of {}\n", shown, counted(view.matched, "flow")));
    } else if style.width.is_some() {
        text.push_str(&format!("{}\n", counted(shown, "flow")));
    }
    text
}

fn wide(view: &FlowsView, style: Style) -> String {
    use Column::{Left, Right};
    let columns = [
        Left("PROTO"),
        Left("INTERNAL"),
        Left("EXTERNAL"),
        Left("REMOTE"),
        Left("STATE"),
        Left("RULE"),
        Left("NAT"),
        Left("ZONES"),
        Right("PACKETS"),
        Right("BYTES"),
        Right("IDLE"),
        Right("EXPIRES"),
    ];
    let rows = view.flows.iter().map(|flow| {
        let mut row = endpoints(flow);
        row.extend([
            Cell::new(&flow.rule),
            Cell::new(flow.nat_rule.as_deref().unwrap_or("-")),
            Cell::new(zones(flow)),
            Cell::new(packets(flow)),
            Cell::new(bytes(flow)),
            Cell::new(duration(flow.idle_seconds)),
            Cell::new(duration(flow.expires_seconds)),
        ]);
        row
    });
    render(style, &columns, rows.collect(), false)
}

/// The first line is within 100 columns for every IPv4 flow: 5 + 3 x 21 + 11 + 9, and 2 between columns.
fn narrow(view: &FlowsView, style: Style) -> String {
    use Column::{Left, Right};
    let columns = [Left("PROTO"), Left("INTERNAL"), Left("EXTERNAL"), Left("REMOTE"), Left("STATE"), Right("BYTES")];
    let rows = view.flows.iter().map(|flow| {
        let mut row = endpoints(flow);
        row.push(Cell::new(bytes(flow)));
        row
    });
    let table = render(style, &columns, rows.collect(), false);
    let mut lines = table.lines();
    let mut text = String::with_capacity(table.len() * 2);
    // No cell breaks, so after the heading each line is one flow.
    text.extend(lines.next().into_iter().flat_map(|heading| [heading, "\n"]));
    for (line, flow) in lines.zip(&view.flows) {
        text.push_str(&format!("{line}\n       {}, rule {}", zones(flow), flow.rule));
        if let Some(rule) = &flow.nat_rule {
            text.push_str(&format!(", nat {rule}"));
        }
        if let (Some(_), Some(public)) = (flow.external, flow.original_destination) {
            text.push_str(&format!(", sent to {public}"));
        }
        text.push_str(&format!(
            ", {} packets, idle {}, expires in {}\n",
            packets(flow),
            duration(flow.idle_seconds),
            duration(flow.expires_seconds)
        ));
    }
    text
}

fn endpoints(flow: &FlowView) -> Vec<Cell> {
    let tone = match flow.state {
        FlowState::Established => Tone::Good,
        FlowState::Opening | FlowState::Answered => Tone::Fair,
        FlowState::Closing | FlowState::Closed | FlowState::Unknown => Tone::Dim,
    };
    vec![
        Cell::new(flow.protocol),
        Cell::new(flow.internal),
        // What a port forward was sent to is as much the internal endpoint's face as its source NAT.
        Cell::new(flow.external.or(flow.original_destination).map_or_else(|| "-".to_owned(), |endpoint| endpoint.to_string())),
        Cell::new(flow.remote),
        toned(flow.state, tone),
    ]
}

fn zones(flow: &FlowView) -> String {
    format!("{}->{}", flow.from_zone, flow.to_zone)
}

fn packets(flow: &FlowView) -> String {
    format!("{}/{}", short(flow.packets_original), short(flow.packets_reply))
}

fn bytes(flow: &FlowView) -> String {
    format!("{}/{}", short(flow.bytes_original), short(flow.bytes_reply))
}
