//! What the gateway tells about itself, read out of its JSON. The only place that knows the answers' shapes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;

/// What to look for among the flows.
pub struct Wanted<'a> {
    /// `tcp`, `udp` or `icmp`.
    pub protocol: &'a str,
    /// The internal host's address.
    pub internal: &'a str,
    /// The remote host's address.
    pub remote: &'a str,
    /// Which port it must have on one of its three endpoints; none for ICMP.
    pub port: Option<u16>,
}

/// One flow, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The internal endpoint.
    pub internal: String,
    /// What it is translated to; none when it is not.
    pub external: Option<String>,
    /// The other side.
    pub remote: String,
    /// The rule that let it pass.
    pub rule: String,
}

/// Finds the flow of each step: of several that fit, one that no earlier step has shown, and of these the busiest.
#[derive(Default)]
pub struct Flows {
    shown: BTreeSet<String>,
}

impl Flows {
    /// The flow that fits, or none.
    pub fn find(&mut self, answer: &Value, wanted: &Wanted<'_>) -> Option<Flow> {
        let fits = |flow: &&Value| {
            let endpoints = [text(flow, "internal"), text(flow, "external"), text(flow, "remote")];
            text(flow, "protocol").eq_ignore_ascii_case(wanted.protocol)
                && host(&endpoints[0]) == wanted.internal
                && host(&endpoints[2]) == wanted.remote
                && wanted.port.is_none_or(|port| endpoints.iter().any(|endpoint| endpoint.ends_with(&format!(":{port}"))))
        };
        let flow = list(answer, "flows").iter().filter(fits).max_by_key(|flow| (!self.shown.contains(&identity(flow)), bytes(flow)))?;
        self.shown.insert(identity(flow));
        Some(Flow {
            internal: text(flow, "internal"),
            external: flow["external"].as_str().map(str::to_owned),
            remote: text(flow, "remote"),
            rule: text(flow, "rule"),
        })
    }
}

/// Packets dropped so far, by `rule …` and by `reason …`.
pub type Drops = BTreeMap<String, u64>;

/// Reads `gateway drops --json`.
pub fn drops(answer: &Value) -> Drops {
    let of = |plural: &str, name: &'static str| -> Vec<(String, u64)> {
        list(answer, plural)
            .iter()
            .map(|entry| (format!("{name} \"{}\"", text(entry, name)), entry["packets"].as_u64().unwrap_or(0)))
            .collect()
    };
    of("rules", "rule").into_iter().chain(of("reasons", "reason")).collect()
}

/// By which rule packets were dropped between the two, or for which reason where no rule was asked.
pub fn dropped_by(before: &Drops, after: &Drops) -> Option<String> {
    let rose =
        |kind: &str| after.iter().find(|(name, packets)| name.starts_with(kind) && **packets > before.get(*name).copied().unwrap_or(0));
    rose("rule").or_else(|| rose("reason")).map(|(name, _)| name.clone())
}

/// How the interfaces are attached: `eth0: xdp (asked for); eth1: xdp`.
///
/// # Errors
/// When one of them is not attached as `mode` asks, or when the gateway tells of none: a demo of XDP that silently fell
/// back to tc would show nothing.
pub fn attachments(status: &Value, mode: &str) -> Result<String> {
    let mut parts = Vec::new();
    for interface in list(status, "interfaces") {
        let name = text(interface, "name");
        let first = |keys: [&str; 3]| keys.iter().find_map(|key| interface[*key].as_str());
        let why = first(["why", "reason", "mode_reason"]).map(|why| format!(" ({why})"));
        let told = first(["datapath", "mode", "attached"]).unwrap_or("unknown");
        let part = format!("{name}: {told}{}", why.unwrap_or_default());
        ensure!(told.contains(mode), "asked for {mode}, got {part}");
        parts.push(part);
    }
    ensure!(!parts.is_empty(), "the gateway tells of no interface");
    Ok(parts.join("; "))
}

/// The list itself, or the list under this key.
fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer.as_array().or_else(|| answer[key].as_array()).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The address of `10.0.0.1:80`, of `[fd00::1]:80`, and of a bare address.
fn host(endpoint: &str) -> &str {
    if let Some((inside, _)) = endpoint.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inside;
    }
    match endpoint.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => endpoint,
    }
}

fn identity(flow: &Value) -> String {
    format!("{} {} {}", text(flow, "protocol"), text(flow, "internal"), text(flow, "remote"))
}

fn bytes(flow: &Value) -> u64 {
    ["bytes_original", "bytes_reply"].iter().filter_map(|key| flow[*key].as_u64()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flow(internal: &str, remote: &str, bytes: u64) -> Value {
        json!({"protocol": "tcp", "internal": internal, "external": "10.128.0.15:4000", "remote": remote, "state": "established",
               "rule": "overlay to pods", "packets_original": 1, "bytes_original": bytes, "packets_reply": 1, "bytes_reply": 0})
    }

    const IPERF: Wanted<'static> = Wanted { protocol: "tcp", internal: "10.227.128.11", remote: "10.128.0.1", port: Some(5201) };

    #[test]
    fn the_busiest_flow_is_shown_and_then_the_next_ones() {
        let answer = json!([
            flow("10.227.128.11:4000", "10.128.0.1:5201", 10),
            flow("10.227.128.11:4001", "10.128.0.1:5201", 1000),
            flow("10.227.128.11:4002", "10.128.0.1:80", 5000),
            flow("10.227.128.12:4001", "10.128.0.1:5201", 9000),
        ]);
        let mut flows = Flows::default();
        assert_eq!(flows.find(&answer, &IPERF).unwrap().internal, "10.227.128.11:4001");
        assert_eq!(flows.find(&answer, &IPERF).unwrap().internal, "10.227.128.11:4000");
        assert_eq!(flows.find(&json!({"flows": answer}), &Wanted { port: Some(81), ..IPERF }), None);
        assert_eq!(flows.find(&json!(null), &IPERF), None);
    }

    #[test]
    fn the_rule_that_rose_is_named_before_the_reason() {
        let before = drops(&json!({"reasons": [{"reason": "policy", "packets": 1}], "rules": [{"rule": "default", "packets": 1}]}));
        let after = drops(
            &json!({"reasons": [{"reason": "policy", "packets": 2}, {"reason": "martian", "packets": 0}], "rules": [{"rule": "default", "packets": 2}]}),
        );
        assert_eq!(dropped_by(&before, &after).as_deref(), Some("rule \"default\""));
        assert_eq!(dropped_by(&after, &after), None);
        let reason = drops(&json!({"reasons": [{"reason": "martian", "packets": 1}]}));
        assert_eq!(dropped_by(&before, &reason).as_deref(), Some("reason \"martian\""));
    }

    #[test]
    fn endpoints_of_both_families_have_a_host() {
        assert_eq!(host("10.0.0.1:80"), "10.0.0.1");
        assert_eq!(host("10.0.0.1"), "10.0.0.1");
        assert_eq!(host("[fd00::1]:80"), "fd00::1");
        assert_eq!(host("fd00::1"), "fd00::1");
    }

    #[test]
    fn an_interface_that_is_attached_otherwise_is_an_error() {
        let status = |mode: &str| json!({"ready": true, "interfaces": [{"name": "eth0", "mode": mode, "why": "veth"}]});
        assert_eq!(attachments(&status("xdp"), "xdp").unwrap(), "eth0: xdp (veth)");
        let error = attachments(&status("tc"), "xdp").unwrap_err().to_string();
        assert_eq!(error, "asked for xdp, got eth0: tc (veth)");
        attachments(&json!({"ready": true, "interfaces": [{"name": "eth0"}]}), "tc").unwrap_err();
        attachments(&json!({"ready": true}), "tc").unwrap_err();
    }
}
