//! `gateway doctor`.

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::screen::{CommandError, Screen, Style, on_stdout};
use super::table::{Column, Tone, bold, render, tinted, toned};
use crate::doctor::finding::{Finding, Outcome, Remedy, Severity};
use crate::doctor::topology::{Binding, Topology};
use crate::doctor::{self, LegView, PortView, Report, Subject};
use crate::policy;

/// Where `gateway run` looks for its policy.
const POLICY: &str = "/etc/gateway/policy.toml";
/// Something is to be done.
const FINDINGS: u8 = 1;
/// Nothing could be examined.
const CANNOT: u8 = 2;
/// Text wraps here where the terminal does not say.
const WIDTH: u16 = 100;

const EXAMPLES: &str = "\
Examples:
  gateway doctor                          examine this machine, with /etc/gateway/policy.toml if it is there
  gateway doctor --policy policy.toml     before the gateway runs: will this policy work here?
  gateway doctor --peer 10.227.128.11     probe with this neighbour (port security wants one that answers ARP)
  gateway doctor --peer 10.128.4.7        measure the path to it; only a peer on another node shows what is lost between nodes
  gateway doctor --json | jq '.findings[].id'

It takes ten to thirty seconds, most of it waiting for answers. It sends ARP, neighbour solicitations and pings, from addresses that nobody has; nothing that others keep is
changed. Exit code: 0 nothing needs to be done, 1 there are findings, 2 it could not examine.";

/// Arguments of `gateway doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// The policy that is meant for this machine [default: /etc/gateway/policy.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Somebody to probe with: a neighbour, or a host beyond a router; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Vec<IpAddr>,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    version: &'static str,
    findings: Vec<&'a Finding>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Examines, shows, and says by the exit code whether something is to be done.
#[must_use]
pub fn doctor(args: &DoctorArgs) -> ExitCode {
    let subject = match subject(args) {
        Ok(subject) => subject,
        Err(message) => {
            eprint!("{message}");
            return ExitCode::from(CANNOT);
        }
    };
    let progress = Progress { shown: std::io::stderr().is_terminal() };
    let examined = doctor::examine(subject, &|step| progress.show(step));
    progress.clear();
    let report = match examined {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(CANNOT);
        }
    };
    let shown = on_stdout(|screen| show(args.json, &report, screen));
    match (shown == ExitCode::SUCCESS, report.healthy) {
        (false, _) => ExitCode::from(CANNOT),
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(FINDINGS),
    }
}

/// The policy and the peers; otherwise the message for people.
fn subject(args: &DoctorArgs) -> Result<Subject, String> {
    let path = match &args.policy {
        Some(path) => Some(path.as_path()),
        None => Some(Path::new(POLICY)).filter(|path| path.exists()),
    };
    let model = match path.map(policy::load_file).transpose() {
        Ok(checked) => checked.map(|checked| checked.model),
        Err(policy::LoadError::File(error)) => return Err(format!("{error}\n")),
        Err(policy::LoadError::Policy(report)) => return Err(report.render(std::io::stderr().is_terminal(), usize::from(WIDTH))),
    };
    Ok(Subject { model, peers: args.peer.clone() })
}

/// One line on a terminal's standard error that is overwritten.
struct Progress {
    shown: bool,
}

impl Progress {
    fn show(&self, step: &str) {
        if self.shown {
            eprint!("\r\x1b[K… {step}");
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

fn show(json: bool, report: &Report, screen: &mut Screen<'_>) -> Result<(), CommandError> {
    if json {
        return screen.json(&Answer { version: env!("CARGO_PKG_VERSION"), findings: report.findings(), report });
    }
    screen.text(&text(report, screen.style()))
}

/// The page.
fn text(report: &Report, style: Style) -> String {
    let findings = report.findings();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let counted = |number: usize, noun: &str| super::units::counted(u64::try_from(number).unwrap_or(u64::MAX), noun);
    let summary = format!(
        "{}, {}, {}",
        counted(count(Severity::Fault), "fault"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Note), "note")
    );
    let mut text = format!("{}: {summary}\n\n", bold(style, "gateway doctor"));
    text.push_str(&topology(&report.topology, style));
    text.push('\n');
    text.push_str(&legs(&report.legs, style));
    for finding in &findings {
        text.push('\n');
        text.push_str(&finding_text(finding, style));
    }
    text.push('\n');
    text.push_str(&checks(&report.checks, style));
    text
}

fn topology(topology: &Topology, style: Style) -> String {
    let letter = topology.letter.map_or_else(String::new, |letter| format!("{letter:?}: "));
    let mut text = paragraph("topology", &format!("{letter}{}", topology.name), 0, style);
    text.push_str(&paragraph("  out", topology.out, 0, style));
    text.push_str(&paragraph("  in", topology.inwards, 0, style));
    text.push_str(&paragraph("  untranslated", topology.untranslated, 0, style));
    for reason in &topology.because {
        text.push_str(&paragraph("  because", reason, 0, style));
    }
    text
}

fn legs(legs: &[LegView], style: Style) -> String {
    use Column::{Left, Right};
    let columns = [Left("LEG"), Left("ZONE"), Left("DEVICE"), Right("MTU"), Left("BINDING"), Left("PORT LETS THROUGH"), Left("ADDRESSES")];
    let rows = legs.iter().map(|leg| {
        let binding = match leg.binding {
            Binding::Masquerade => "masquerade",
            Binding::Passt => "passt",
            Binding::OvnAddress => "OVN, with IPAM",
            Binding::Plain => "-",
        };
        let port = match leg.port {
            PortView::Open => toned("everything", Tone::Good),
            PortView::MacOnly => toned("its own MAC", Tone::Good),
            PortView::MacAndAddress => toned("its own address", Tone::Fair),
            PortView::Unknown => toned("?", Tone::Dim),
        };
        vec![
            Cell::new(&leg.interface),
            Cell::new(leg.zone.as_deref().unwrap_or("-")),
            Cell::new(&leg.device),
            Cell::new(leg.mtu),
            Cell::new(binding),
            port,
            Cell::new(if leg.addresses.is_empty() { "-".to_owned() } else { leg.addresses.join(" ") }),
        ]
    });
    render(style, &columns, rows.collect(), true)
}

fn finding_text(finding: &Finding, style: Style) -> String {
    let (word, tone) = match finding.severity {
        Severity::Fault => ("FAULT", Tone::Bad),
        Severity::Warning => ("WARNING", Tone::Fair),
        Severity::Note => ("NOTE", Tone::Dim),
    };
    let id = serde_json::to_value(finding.id).ok().and_then(|id| id.as_str().map(str::to_owned)).unwrap_or_default();
    let mut text = format!("{} {} [{id}]\n", tinted(style, word, tone), bold(style, &finding.title));
    for evidence in &finding.evidence {
        text.push_str(&paragraph("  seen", evidence, 0, style));
    }
    text.push_str(&paragraph("  so", &finding.consequence, 0, style));
    for remedy in &finding.remedies {
        match remedy {
            Remedy::Advice { text: advice } => text.push_str(&paragraph("  mend", advice, 0, style)),
            Remedy::Command { lines } => text.push_str(&block("  mend", "run as root:", lines.iter().map(String::as_str))),
            Remedy::Yaml { object, text: yaml } => text.push_str(&block("  mend", &format!("{object}:"), yaml.lines())),
            Remedy::Policy { text: toml } => text.push_str(&block("  mend", "in the policy:", toml.lines())),
        }
    }
    text
}

fn checks(checks: &[Outcome], style: Style) -> String {
    use Column::Left;
    let mut rows = Vec::new();
    for outcome in checks {
        let name = outcome.check.to_string();
        rows.extend(outcome.good.iter().map(|good| vec![Cell::new(&name), toned("good", Tone::Good), Cell::new(good)]));
        rows.extend(outcome.findings.iter().map(|finding| {
            let (word, tone) = match finding.severity {
                Severity::Fault => ("fault", Tone::Bad),
                Severity::Warning => ("warning", Tone::Fair),
                Severity::Note => ("note", Tone::Dim),
            };
            vec![Cell::new(&name), toned(word, tone), Cell::new(&finding.title)]
        }));
        rows.extend(outcome.skipped.iter().map(|skipped| vec![Cell::new(&name), toned("not seen", Tone::Dim), Cell::new(skipped)]));
    }
    render(style, &[Left("CHECK"), Left("RESULT"), Left("WHAT")], rows, true)
}

/// Columns that labels have.
const LABEL: usize = 16;

/// A label and text beside it, wrapped to the width.
fn paragraph(label: &str, text: &str, indent: usize, style: Style) -> String {
    let width = usize::from(style.width.unwrap_or(WIDTH)).max(60) - LABEL - indent;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().enumerate().map(|(n, line)| format!("{:<LABEL$}{line}\n", if n == 0 { label } else { "" })).collect()
}

/// A label, a heading, and lines below it that are to be copied and so never wrapped.
fn block<'a>(label: &str, heading: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = format!("{label:<LABEL$}{heading}\n");
    for line in lines {
        text.push_str(&format!("{:<LABEL$}  {line}\n", ""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::{Check, Id};

    fn report() -> Report {
        let finding = |id, severity, title: &str| Finding {
            id,
            severity,
            interface: Some("eth1".to_owned()),
            title: title.to_owned(),
            evidence: vec!["pings of up to 1442 bytes are answered".to_owned()],
            consequence:
                "Connections open and then hang as soon as much is sent, which is a sentence long enough to be wrapped in any case."
                    .to_owned(),
            remedies: vec![
                Remedy::Policy { text: "[interfaces.eth1]\nmtu = 1442\n".to_owned() },
                Remedy::Command { lines: vec!["ip link set eth1 up".to_owned()] },
            ],
        };
        let outcome = |check, findings| Outcome { check, findings, good: vec!["fine".to_owned()], skipped: vec!["no peer".to_owned()] };
        Report {
            healthy: false,
            topology: Topology {
                letter: Some(crate::doctor::topology::Letter::A),
                name: "pod network by masquerade (eth0), eth1 behind it".to_owned(),
                out: "source NAT",
                inwards: "port forwards",
                untranslated: "no",
                because: vec!["10.0.2.2".to_owned()],
            },
            legs: Vec::new(),
            checks: vec![
                outcome(Check::Queues, vec![finding(Id::Queues, Severity::Warning, "few queues")]),
                outcome(Check::PathMtu, vec![finding(Id::MtuBlackHole, Severity::Fault, "a black hole")]),
            ],
        }
    }

    #[test]
    fn the_worst_comes_first_with_its_remedy_ready_to_copy() {
        let text = text(&report(), Style::default());
        assert!(text.starts_with("gateway doctor: 1 fault, 1 warning, 0 notes\n"), "{text}");
        let (fault, warning) =
            (text.find("FAULT a black hole [mtu-black-hole]").unwrap(), text.find("WARNING few queues [queues]").unwrap());
        assert!(fault < warning);
        assert!(
            text.contains("  mend          in the policy:\n                  [interfaces.eth1]\n                  mtu = 1442\n"),
            "{text}"
        );
        assert!(text.contains("topology        A: pod network by masquerade"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn json_has_the_findings_in_one_list_and_by_check() {
        let report = report();
        let json = serde_json::to_value(Answer { version: "0", findings: report.findings(), report: &report }).unwrap();
        assert_eq!(json["findings"][0]["id"], "mtu-black-hole");
        assert_eq!(json["findings"][0]["remedies"][0]["kind"], "policy");
        assert_eq!((&json["healthy"], &json["topology"]["letter"]), (&false.into(), &"A".into()));
        assert_eq!(json["checks"][0]["check"], "queues");
    }
}
