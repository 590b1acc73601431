//! Waiting for a condition instead of for a while.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::Namespace;

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(10);

/// Names by how much everything takes longer than usual: a number. For machines that are emulated.
const FACTOR: &str = "GATEWAY_TEST_PATIENCE";

/// A limit of time, as long as it has to be on this machine.
#[must_use]
pub fn patience(limit: Duration) -> Duration {
    limit * std::env::var(FACTOR).ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// Looks at `condition` every 10 ms until it gives a value, and fails after `timeout`, naming `what` was waited for.
///
/// # Errors
/// When time runs out, or when the condition itself fails.
pub fn wait_for<T>(timeout: Duration, what: impl Display, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let timeout = patience(timeout);
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() >= timeout {
            bail!("waited {:.1} s for {what}, in vain", timeout.as_secs_f32());
        }
        std::thread::sleep(POLL);
    }
}

/// As [`wait_for`], for a condition that is only true or false.
///
/// # Errors
/// When time runs out, or when the condition itself fails.
pub fn wait_until(timeout: Duration, what: impl Display, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(timeout, what, || Ok(condition()?.then_some(())))
}

/// True when something in the namespace listens on this TCP port, on any address of either family.
///
/// # Errors
/// When the namespace cannot be entered.
pub fn tcp_listening(namespace: &Namespace, port: u16) -> Result<bool> {
    const LISTEN: &str = "0A";
    Ok(namespace.proc_net("tcp")?.lines().chain(namespace.proc_net("tcp6")?.lines()).any(|line| has_socket(line, port, Some(LISTEN))))
}

/// True when something in the namespace has bound this UDP port, on any address of either family.
///
/// # Errors
/// When the namespace cannot be entered.
pub fn udp_bound(namespace: &Namespace, port: u16) -> Result<bool> {
    Ok(namespace.proc_net("udp")?.lines().chain(namespace.proc_net("udp6")?.lines()).any(|line| has_socket(line, port, None)))
}

/// Reads one line of `/proc/net/{tcp,udp}`: `sl local_address rem_address st …`, numbers in hexadecimal.
fn has_socket(line: &str, port: u16, state: Option<&str>) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next().and_then(|address| address.rsplit_once(':')).and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    local == Some(port) && state.is_none_or(|state| fields.nth(1) == Some(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_listening_port_and_no_connected_one() {
        let listening = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0";
        let connected = "   1: 0100007F:0050 0100007F:9000 01 00000000:00000000 00:00000000 00000000     0";
        assert!(has_socket(listening, 80, Some("0A")));
        assert!(!has_socket(listening, 81, Some("0A")));
        assert!(!has_socket(connected, 80, Some("0A")));
        assert!(!has_socket("  sl  local_address rem_address   st tx_queue", 80, None));
    }

    #[test]
    fn gives_up_and_names_what_it_waited_for() {
        let error = wait_until(Duration::from_millis(20), "a pink elephant", || Ok(false)).unwrap_err();
        assert!(error.to_string().contains("a pink elephant"), "{error}");
    }
}
