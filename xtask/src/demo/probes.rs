//! What the demo sends, and what has to become of it.

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::Namespace;
use gateway_tests::lab::{GATEWAY_PODS, Lab, ONPREM, SERVER, VM1, VM2};
use gateway_tests::wait::wait_for;
use std::time::Duration;

use super::gateway::Gateway;
use super::observe::{self, Flow, Flows, Wanted};
use super::servers::{NAME, Servers};
use super::{Mode, check_interruption};
use crate::progress::Progress;

/// The port forward's outer port, as in the policy.
const FORWARDED: u16 = 33890;

/// What it leads to on vm1.
const DESKTOP: u16 = 3389;

/// A flow and its counters are listed at the latest this long after the packets.
const LISTED: Duration = Duration::from_secs(3);

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who sent what to whom.
    pub sent: String,
    /// What the sender or the receiver saw, or the error.
    pub outcome: String,
    /// How the gateway changed it.
    pub translation: String,
    /// The rule that let it pass or refused it.
    pub rule: String,
    /// Did it go as the policy says?
    pub ok: bool,
}

impl Row {
    /// A step without packets.
    pub fn check(sent: &str, outcome: Result<String>) -> Self {
        let ok = outcome.is_ok();
        Self {
            sent: sent.into(),
            outcome: outcome.unwrap_or_else(|error| format!("{error:#}")),
            translation: String::new(),
            rule: String::new(),
            ok,
        }
    }
}

/// One run's steps.
struct Session<'a> {
    progress: &'a Progress,
    mode: Mode,
    lab: &'a Lab,
    gateway: &'a Gateway<'a>,
    flows: Flows,
    rows: Vec<Row>,
}

/// Sends everything, one after the other; a step that fails is a row, and the rest goes on.
///
/// # Errors
/// Only when interrupted.
pub fn all(progress: &Progress, mode: Mode, lab: &Lab, gateway: &Gateway<'_>, servers: &Servers) -> Result<Vec<Row>> {
    let mut session = Session { progress, mode, lab, gateway, flows: Flows::default(), rows: Vec::new() };
    let outbound = |protocol, internal, port| Wanted { protocol, internal, remote: SERVER, port };
    for (name, vm, address) in [("vm1", &lab.vm1, VM1), ("vm2", &lab.vm2, VM2)] {
        session.passes(&format!("ping {name} → {SERVER}"), &outbound("icmp", address, None), |_| ping(vm))?;
    }
    session.passes(&format!("HTTP vm1 → {SERVER}:80"), &outbound("tcp", VM1, Some(80)), |_| http(&lab.vm1))?;
    session.passes(&format!("DNS vm2 → {SERVER}:53"), &outbound("udp", VM2, Some(53)), |_| dns(&lab.vm2))?;
    session.passes(&format!("iperf3 vm1 → {SERVER}"), &outbound("tcp", VM1, Some(5201)), |_| iperf(&lab.vm1, false))?;
    session.passes(&format!("iperf3 vm1 ← {SERVER}"), &outbound("tcp", VM1, Some(5201)), |_| iperf(&lab.vm1, true))?;
    let inbound = Wanted { protocol: "tcp", internal: VM1, remote: ONPREM, port: Some(DESKTOP) };
    session.passes(&format!("TCP onprem → {GATEWAY_PODS}:{FORWARDED}"), &inbound, |lab| desktop(&lab.onprem))?;
    session.refused(&format!("TCP onprem → {VM1}:22"), &lab.onprem, VM1, 22)?;
    // The same port forward, but from outside of the set @on-prem.
    session.refused(&format!("TCP pods → {GATEWAY_PODS}:{FORWARDED}"), &lab.pods, GATEWAY_PODS, FORWARDED)?;
    session.refused(&format!("TCP pods → {VM1}:{DESKTOP}"), &lab.pods, VM1, DESKTOP)?;
    let connections = servers.desktop.output().matches("accepting connection").count();
    let reached = if connections == 1 {
        Ok("1 connection, from onprem".to_owned())
    } else {
        Err(anyhow::anyhow!("{connections} connections instead of 1"))
    };
    session.rows.push(Row::check(&format!("vm1: connections seen on port {DESKTOP}"), reached));
    Ok(session.rows)
}

impl Session<'_> {
    /// A step that has to get through; its flow has to be listed, translated to the gateway's address.
    fn passes(&mut self, sent: &str, wanted: &Wanted<'_>, send: impl FnOnce(&Lab) -> Result<String>) -> Result<()> {
        check_interruption()?;
        self.progress.say(format_args!("{}: {sent}", self.mode));
        let outcome = send(self.lab);
        let flow = self.flow(wanted);
        let (translation, rule) = flow.as_ref().map(|flow| (show(flow), flow.rule.clone())).unwrap_or_default();
        let outcome = outcome.and_then(|outcome| {
            let flow = flow?;
            let translated = flow.external.as_deref().is_some_and(|external| external.split(':').next() == Some(GATEWAY_PODS));
            ensure!(translated, "{outcome}; but the flow is listed without translation to {GATEWAY_PODS}");
            Ok(outcome)
        });
        self.push(sent, outcome, translation, rule);
        Ok(())
    }

    /// A connection attempt that has to fail, and has to be counted by a rule.
    fn refused(&mut self, sent: &str, from: &Namespace, address: &str, port: u16) -> Result<()> {
        check_interruption()?;
        self.progress.say(format_args!("{}: {sent} (to be refused)", self.mode));
        let attempt = || -> Result<String> {
            let before = observe::drops(&self.gateway.ask("drops")?);
            let connected = from.output("nc", &["-z", "-w", "2", address, &port.to_string()])?.status.success();
            ensure!(!connected, "connected, which the policy forbids");
            wait_for(LISTED, "the drop to be counted", || Ok(observe::dropped_by(&before, &observe::drops(&self.gateway.ask("drops")?))))
        };
        let (outcome, rule) = match attempt() {
            Ok(rule) => (Ok("refused".to_owned()), rule),
            Err(error) => (Err(error), String::new()),
        };
        self.push(sent, outcome, String::new(), rule);
        Ok(())
    }

    fn push(&mut self, sent: &str, outcome: Result<String>, translation: String, rule: String) {
        let row = Row { translation, rule, ..Row::check(sent, outcome) };
        if !row.ok {
            self.progress.say(format_args!("{}: {sent}: FAILED: {}", self.mode, row.outcome));
        }
        self.rows.push(row);
    }

    fn flow(&mut self, wanted: &Wanted<'_>) -> Result<Flow> {
        let what = format!("a {} flow {} ↔ {} in `gateway flows`", wanted.protocol, wanted.internal, wanted.remote);
        wait_for(LISTED, what, || Ok(self.flows.find(&self.gateway.ask("flows")?, wanted)))
    }
}

fn show(flow: &Flow) -> String {
    let external = flow.external.as_deref().unwrap_or("(untranslated)");
    format!("{} ⇄ {external} ⇄ {}", flow.internal, flow.remote)
}

fn ping(from: &Namespace) -> Result<String> {
    let text = from.run("ping", &["-c", "3", "-i", "0.2", "-W", "2", SERVER])?;
    let received = text.lines().find_map(|line| line.split(", ").nth(1).filter(|part| part.ends_with("received")));
    ensure!(received == Some("3 received"), "lost packets: {text}");
    Ok("3 of 3 answered".into())
}

fn http(from: &Namespace) -> Result<String> {
    let seen = from.run("curl", &["--silent", "--show-error", "--fail", "--max-time", "5", &format!("http://{SERVER}/")])?;
    ensure!(seen == GATEWAY_PODS, "the server saw {seen:?} instead of {GATEWAY_PODS}");
    Ok(format!("200 OK, server saw {seen}"))
}

fn dns(from: &Namespace) -> Result<String> {
    let answer = from.run("dig", &["+short", "+time=2", "+tries=2", &format!("@{SERVER}"), NAME])?;
    ensure!(answer.trim() == SERVER, "{NAME} is {answer:?} instead of {SERVER}");
    Ok(format!("{NAME} is {SERVER}"))
}

fn iperf(from: &Namespace, reverse: bool) -> Result<String> {
    let mut words = vec!["--client", SERVER, "--time", "2", "--json", "--connect-timeout", "3000"];
    if reverse {
        words.push("--reverse");
    }
    let text = from.run("iperf3", &words)?;
    let bits = throughput(&text).with_context(|| format!("iperf3 said: {text}"))?;
    ensure!(bits > 1e6, "only {bits} bit/s");
    Ok(format!("{:.2} Gbit/s", bits / 1e9))
}

/// Received bits per second, out of iperf3's JSON.
fn throughput(text: &str) -> Result<f64> {
    let report: serde_json::Value = serde_json::from_str(text)?;
    report["end"]["sum_received"]["bits_per_second"].as_f64().context("no sum_received")
}

fn desktop(from: &Namespace) -> Result<String> {
    let seen = from.run("socat", &["-u", &format!("TCP:{GATEWAY_PODS}:{FORWARDED},connect-timeout=3"), "-"])?;
    match seen.trim() {
        ONPREM => Ok(format!("vm1 saw the real client {ONPREM}")),
        other => bail!("vm1 saw {other:?} instead of the real client {ONPREM}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_what_the_receiver_got() {
        assert_eq!(throughput(r#"{"end":{"sum_sent":{"bits_per_second":2.0},"sum_received":{"bits_per_second":1.5e9}}}"#).unwrap(), 1.5e9);
        throughput(r#"{"error":"unable to connect"}"#).unwrap_err();
    }

    #[test]
    fn a_failed_step_is_a_row_with_its_error() {
        let row = Row::check("x", Err(anyhow::anyhow!("inner").context("outer")));
        assert!(!row.ok);
        assert_eq!(row.outcome, "outer: inner");
    }
}
