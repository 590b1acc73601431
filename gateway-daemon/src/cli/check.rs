//! `gateway check FILE`: is this a valid policy, and what does it say?

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::streams::{complain, say};
use crate::model::{Action, DatapathMode, Model, Translate};
use crate::nftables::differences;
use crate::policy::{self, Checked, Diagnostic, FileError, Finding, Report};

/// Where the terminal does not tell its width.
const WIDTH: usize = 100;
/// The policy has errors.
const INVALID: u8 = 1;
/// There is no text to check.
const UNREADABLE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  gateway check policy.toml               every error with its line, or a summary
  gateway check policy.toml --json        the same for scripts

Exit code: 0 the policy is valid, 1 it has errors, 2 it cannot be read.";

/// Checks a policy without touching anything.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The policy file
    pub file: PathBuf,
    /// Print one JSON object: valid, errors, warnings, summary
    #[arg(long)]
    pub json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Answer {
    valid: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    summary: Option<Summary>,
    /// Why there is no text to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// What a valid policy says, in numbers.
#[derive(Debug, Serialize)]
struct Summary {
    zones: Vec<ZoneSummary>,
    sets: usize,
    routes: usize,
    source_nat: Vec<NatSummary>,
    destination_nat: Vec<NatSummary>,
    firewall_rules: usize,
    firewall_default: &'static str,
    /// In nftables mode: what that does otherwise than the eBPF datapath.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ZoneSummary {
    name: String,
    interfaces: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NatSummary {
    name: String,
    what: String,
}

/// Exit code 0: valid, 1: invalid, 2: unreadable. Findings go to stderr, the summary or the JSON object to stdout.
#[must_use]
pub fn check(args: &CheckArgs) -> ExitCode {
    match policy::read_file(&args.file) {
        Ok(text) => verdict(policy::load(&args.file.display().to_string(), &text), args.json),
        Err(error) => unreadable(&error, args.json),
    }
}

fn verdict(loaded: Result<Checked, Report>, json: bool) -> ExitCode {
    let code = if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(INVALID) };
    if json {
        print(&answer(&loaded));
        return code;
    }
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match loaded {
        Ok(checked) => {
            complain(&policy::render(&checked.warnings, color, WIDTH));
            say(&describe(&summary(&checked.model)));
        }
        Err(report) => {
            let (errors, warnings) = (report.errors().count(), report.warnings().count());
            complain(&report.render(color, WIDTH));
            complain(&format!("policy is not valid: {}, {}\n", count(errors, "error"), count(warnings, "warning")));
        }
    }
    code
}

fn unreadable(error: &FileError, json: bool) -> ExitCode {
    if json {
        print(&Answer { valid: false, errors: vec![], warnings: vec![], summary: None, unreadable: Some(error.to_string()) });
    } else {
        complain(&format!("{error}\n"));
    }
    ExitCode::from(UNREADABLE)
}

fn answer(loaded: &Result<Checked, Report>) -> Answer {
    let findings = |all: &[Diagnostic], warnings: bool| -> Vec<Finding> {
        all.iter().filter(|d| d.is_warning() == warnings).map(Diagnostic::finding).collect()
    };
    let (diagnostics, summary) = match loaded {
        Ok(checked) => (checked.warnings.as_slice(), Some(summary(&checked.model))),
        Err(report) => (report.diagnostics(), None),
    };
    Answer { valid: loaded.is_ok(), errors: findings(diagnostics, false), warnings: findings(diagnostics, true), summary, unreadable: None }
}

fn summary(model: &Model) -> Summary {
    let zones = model.zones.iter().map(|zone| ZoneSummary {
        name: zone.name.0.clone(),
        interfaces: zone.interfaces.iter().map(|interface| interface.0.clone()).collect(),
    });
    let zone = |zone: &Option<crate::model::ZoneName>| zone.as_ref().map_or("any", |zone| zone.0.as_str()).to_owned();
    let source_nat = model.nat.source.iter().map(|rule| {
        let what = match &rule.translate {
            Translate::None => "not translated".to_owned(),
            Translate::Masquerade => "masqueraded".to_owned(),
            Translate::Pool { addresses, .. } => {
                let ranges = addresses.iter().map(|range| match range.first == range.last {
                    true => range.first.to_string(),
                    false => format!("{}-{}", range.first, range.last),
                });
                format!("from the pool {}", ranges.collect::<Vec<_>>().join(", "))
            }
        };
        NatSummary { name: rule.name.0.clone(), what: format!("{} -> {}: {what}", zone(&rule.from), zone(&rule.to)) }
    });
    let destination_nat = model.nat.destination.iter().map(|rule| {
        let (first, last) = (rule.ports.first, rule.ports.last);
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        let address = rule.address.map_or_else(|| "any own address".to_owned(), |address| address.to_string());
        let protocol = format!("{:?}", rule.protocol).to_lowercase();
        let port = rule.to_port.map_or_else(String::new, |port| format!(":{port}"));
        let what = format!("{}: {protocol} {address} port {ports} -> {}{port}", rule.from.0, rule.to);
        NatSummary { name: rule.name.0.clone(), what }
    });
    Summary {
        zones: zones.collect(),
        sets: model.sets.len(),
        routes: model.routes.len(),
        source_nat: source_nat.collect(),
        destination_nat: destination_nat.collect(),
        firewall_rules: model.firewall.rules.len(),
        firewall_default: match model.firewall.default {
            Action::Accept => "accept",
            Action::Drop => "drop",
            Action::Reject => "reject",
        },
        differences: match model.mode {
            DatapathMode::Nftables => differences(model).iter().map(ToString::to_string).collect(),
            DatapathMode::Auto | DatapathMode::Xdp | DatapathMode::Tc => Vec::new(),
        },
    }
}

/// The summary as text.
fn describe(summary: &Summary) -> String {
    let mut out = String::new();
    for zone in &summary.zones {
        let _ = writeln!(out, "zone {}: {}", zone.name, zone.interfaces.join(", "));
    }
    let rules = count(summary.firewall_rules, "rule");
    let _ = writeln!(out, "firewall: {rules}, then {}", summary.firewall_default);
    for rule in &summary.source_nat {
        let _ = writeln!(out, "source nat \"{}\": {}", rule.name, rule.what);
    }
    for rule in &summary.destination_nat {
        let _ = writeln!(out, "destination nat \"{}\": {}", rule.name, rule.what);
    }
    let _ = writeln!(out, "{}, {}", count(summary.sets, "set"), count(summary.routes, "route"));
    if !summary.differences.is_empty() {
        out.push_str("nftables mode is different from the eBPF datapath:\n");
    }
    for difference in &summary.differences {
        let _ = writeln!(out, "- {difference}");
    }
    out.push_str("policy is valid\n");
    out
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn print(answer: &Answer) {
    match serde_json::to_string_pretty(answer) {
        Ok(text) => say(&format!("{text}\n")),
        Err(error) => complain(&format!("cannot print the answer as JSON: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = include_str!("../../../tests/policies/seed.toml");

    #[test]
    fn a_valid_policy_is_summed_up() {
        let checked = policy::load("seed.toml", SEED).unwrap();
        let text = describe(&summary(&checked.model));
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "zone pods: eth0",
                "zone overlay: eth1",
                "firewall: 3 rules, then drop",
                "source nat \"windows masquerade\": overlay -> pods: masqueraded",
                "destination nat \"rdp to app01\": pods: tcp any own address port 33890 -> 10.227.128.11:3389",
                "2 sets, 0 routes",
                "policy is valid",
            ]
        );
    }

    #[test]
    fn json_tells_valid_from_invalid() {
        let valid = serde_json::to_value(answer(&policy::load("p", SEED))).unwrap();
        assert_eq!((&valid["valid"], valid["summary"]["firewall_rules"].as_u64()), (&true.into(), Some(3)));
        let wrong = SEED.replace("version = 1", "version = 7").replace("\"masquerade\"", "\"masquerad\"");
        let invalid = serde_json::to_value(answer(&policy::load("p", &wrong))).unwrap();
        let codes: Vec<_> = invalid["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap_or_default()).collect();
        assert_eq!((&invalid["valid"], codes), (&false.into(), vec!["version", "choice"]));
        assert!(invalid["summary"].is_null());
    }

    #[test]
    fn the_exit_code_tells_the_three_cases_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        let code = |json| check(&CheckArgs { file: file.clone(), json });
        assert_eq!((code(false), code(true)), (ExitCode::from(2), ExitCode::from(2)));
        std::fs::write(&file, SEED).unwrap();
        assert_eq!((code(false), code(true)), (ExitCode::SUCCESS, ExitCode::SUCCESS));
        std::fs::write(&file, "version = 7\n").unwrap();
        assert_eq!((code(false), code(true)), (ExitCode::from(1), ExitCode::from(1)));
    }

    #[test]
    fn nftables_mode_says_what_is_different() {
        let nftables = SEED.replace("version = 1", "version = 1\ndatapath.mode = \"nftables\"");
        let checked = policy::load("seed.toml", &nftables).unwrap();
        let text = describe(&summary(&checked.model));
        assert!(text.contains("2 sets, 0 routes\nnftables mode is different from the eBPF datapath:\n- endpoint-independent"), "{text}");
        let json = serde_json::to_value(answer(&Ok(checked))).unwrap();
        assert!(json["summary"]["differences"].as_array().is_some_and(|all| all.len() > 5), "{json}");
    }
}
