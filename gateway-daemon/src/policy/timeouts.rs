//! `[timeouts]`.

use std::time::Duration;

use super::error::{ValueError, Warning};
use super::findings::Findings;
use super::scalar;
use super::table::Table;
use crate::model::Timeouts;

/// Below the sweep's step a timeout means nothing.
const LEAST: (Duration, &str) = (Duration::from_secs(1), "1s");
/// Beyond this a dead flow is a leak.
const MOST: (Duration, &str) = (Duration::from_secs(30 * 24 * 3600), "30d");

/// A key, the RFC's minimum as number and text, and the RFC.
struct Minimum {
    key: &'static str,
    seconds: u64,
    text: &'static str,
    rfc: &'static str,
}

const TCP_ESTABLISHED: Minimum = Minimum { key: "tcp-established", seconds: 7440, text: "2h4m", rfc: "RFC 5382 REQ-5" };
const TCP_OPENING: Minimum = Minimum { key: "tcp-opening", seconds: 240, text: "4m", rfc: "RFC 7857 section 2.1" };
const TCP_CLOSING: Minimum = Minimum { key: "tcp-closing", seconds: 240, text: "4m", rfc: "RFC 5382 REQ-5" };
const UDP: Minimum = Minimum { key: "udp", seconds: 120, text: "2m", rfc: "RFC 4787 REQ-5" };
const ICMP: Minimum = Minimum { key: "icmp", seconds: 60, text: "60s", rfc: "RFC 5508 REQ-2" };

pub(super) fn timeouts(mut table: Table, findings: &mut Findings) -> Timeouts {
    let default = Timeouts::default();
    let mut read = |minimum, default| timeout(&mut table, findings, &minimum).unwrap_or(default);
    let timeouts = Timeouts {
        tcp_established: read(TCP_ESTABLISHED, default.tcp_established),
        tcp_opening: read(TCP_OPENING, default.tcp_opening),
        tcp_closing: read(TCP_CLOSING, default.tcp_closing),
        udp: read(UDP, default.udp),
        icmp: read(ICMP, default.icmp),
    };
    table.finish(findings);
    timeouts
}

fn timeout(table: &mut Table, findings: &mut Findings, minimum: &Minimum) -> Option<Duration> {
    let value = table.take(minimum.key)?;
    let duration = value.parsed(findings, "\"5m\"", |text| {
        let duration = scalar::duration(text)?;
        if duration < LEAST.0 || duration > MOST.0 {
            return Err(ValueError::DurationRange(minimum.key, text.to_owned(), LEAST.1, MOST.1));
        }
        Ok(duration)
    })?;
    if duration < Duration::from_secs(minimum.seconds) {
        findings.add(value.span(), Warning::TimeoutBelowRfc(minimum.key, minimum.text, minimum.rfc));
    }
    Some(duration)
}
