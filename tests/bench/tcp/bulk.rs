//! Bulk transfer by iperf3, with the offloads that the interfaces have by default.
//!
//! What counts are the bytes that the server has read. iperf3 ends a transfer when the client has written the last one, so that the end of
//! it is still under way and is never read; that everything arrives whole is shown by [`super::whole`].

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gateway_tests::wait::{tcp_listening, wait_until};
use serde_json::Value;

use super::Places;
use crate::network::Network;

const PORT: u16 = 5201;
/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(4 * 3600);
/// What may be under way at the end, in bytes: the socket buffers of both ends (`tcp_wmem` and `tcp_rmem` allow 4 and 6 MiB, or more).
const IN_FLIGHT: f64 = 16e6;
const START: Duration = Duration::from_secs(10);

/// Starts the server.
pub fn serve(network: &Network) -> Result<()> {
    network.remote.spawn(LIFETIME, "iperf3", &["-s"])?;
    wait_until(START, "iperf3 to listen", || tcp_listening(&network.remote, PORT))
}

/// CPU seconds of client, gateway and server per 10^9 bytes, and Gbit/s. The gateway's work is done in the context of the ends, or of the
/// kernel's softirq threads.
pub fn measure(network: &Network, places: &Places, bytes: u64) -> Result<[f64; 2]> {
    let affinity = format!("{},{}", places.client.cpu(), places.server.cpu());
    let softirqs = places.softirqs();
    let output = network.hosts.output("iperf3", &["-c", "10.88.0.2", "-n", &bytes.to_string(), "-A", &affinity, "-J"])?;
    let softirqs = (places.softirqs() - softirqs) as f64 / 1e9;
    let mut answer: Value = serde_json::from_slice(&output.stdout).context("iperf3 answers no JSON")?;
    ensure!(output.status.success(), "iperf3 ended with {}: {}", output.status, answer["error"]);
    let end = answer["end"].take();
    let number = |value: &Value| value.as_f64().with_context(|| format!("iperf3 answers in another form: {end:#}"));
    let (sent, received) = (number(&end["sum_sent"]["bytes"])?, number(&end["sum_received"]["bytes"])?);
    ensure!(sent - received <= IN_FLIGHT && sent >= bytes as f64, "{received} of {sent} bytes arrived");
    let seconds = number(&end["sum_received"]["seconds"])?;
    let share = number(&end["cpu_utilization_percent"]["host_total"])? + number(&end["cpu_utilization_percent"]["remote_total"])?;
    let cpu = share / 100.0 * number(&end["sum_sent"]["seconds"])? + softirqs;
    Ok([cpu / (received / 1e9), received * 8.0 / 1e9 / seconds])
}
