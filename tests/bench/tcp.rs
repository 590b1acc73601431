//! TCP by real programs at both ends, through ways without the bench's own traffic: bulk by iperf3, requests and connections by threads
//! of this program, whose CPU time can be told apart.
//!
//! # What makes a run void
//!
//! A segment with a wrong checksum at its receiver, by the kernels' own count; and, since that does not say enough, each bulk transfer is
//! followed by one whose every byte is looked at ([`whole`]). With default offloads a veth hands segments over with their checksum still to
//! be computed (`CHECKSUM_PARTIAL`), and the receiver takes such a one for right: there it proves nothing. While every byte is looked
//! at the stations compute their checksums themselves, as they always do beside XDP programs that know nothing of this.
//!
//! TCP repairs losses: the segments that were sent again are a figure of their own.

mod bulk;
mod connect;
mod contents;
mod counters;
mod request;
mod whole;

use std::time::Duration;

use anyhow::{Context, Result};
use gateway_tests::Namespace;

use crate::choice::Part;
use crate::clock::CpuClock;
use crate::figure::{Case, Figure, Metric};
use crate::network::{Network, REMOTE};
use crate::rig::{Rig, Unavailable};
use crate::run::Run;
use crate::workload::Setting;

use counters::Counters;

/// The longest that one exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Extent {
    rounds: usize,
    /// Bytes of a bulk transfer.
    bytes: u64,
    /// Requests on one connection.
    requests: usize,
    /// Connections one after the other. All rounds together stay below the 28,232 ephemeral ports.
    connections: usize,
}

const QUICK: Extent = Extent { rounds: 6, bytes: 400_000_000, requests: 5000, connections: 2000 };
const FULL: Extent = Extent { rounds: 12, bytes: 2_000_000_000, requests: 20_000, connections: 2000 };

/// The two CPUs that client and server of a bulk transfer run on; the same one where there is only one. Requests and connections take
/// turns anyhow, and stay on the first: waking another CPU up costs more, and less steadily, than what is measured.
struct Places {
    client: CpuClock,
    server: CpuClock,
}

impl Places {
    /// Nanoseconds that the kernel's softirq threads have taken on both.
    fn softirqs(&self) -> u64 {
        let second = if self.client.cpu() == self.server.cpu() { 0 } else { self.server.softirqs() };
        self.client.softirqs() + second
    }
}

/// Where the server listens.
fn server_address(port: u16) -> std::net::SocketAddr {
    (REMOTE, port).into()
}

/// Measures all of TCP.
///
/// # Errors
/// When something that should work does not, or on Ctrl-C.
pub fn run(run: &Run<'_>) -> Result<()> {
    let extent = if run.full { FULL } else { QUICK };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let places = Places { client: CpuClock::of(run.cpu.cpu()), server: CpuClock::of((run.cpu.cpu() + cpus - 1) % cpus) };
    run.say("TCP: setting up");
    let mut rigs = Vec::new();
    for subject in run.wanted(Part::Tcp.subjects()) {
        match Rig::for_programs(subject, Setting::masquerade(), run.tools) {
            Ok(rig) => rigs.push(rig),
            Err(Unavailable::Missing(why)) => run.miss(subject, why),
            Err(Unavailable::Failed(error)) => return Err(error.context(format!("cannot set up {subject}"))),
        }
    }
    for rig in &rigs {
        bulk::serve(&rig.path.network)?;
    }
    let new = |rig: &Rig| KINDS.map(|kind| Figure::new(kind, Case::of("tcp"), rig.subject));
    let mut figures: Vec<[Figure; KINDS.len()]> = rigs.iter().map(new).collect();
    for round in 0..extent.rounds {
        for place in 0..rigs.len() {
            run.go_on()?;
            let number = (place + round) % rigs.len();
            one(&rigs[number], &places, extent, &mut figures[number]);
            run.say(&format!("TCP: round {} of {}: {}", round + 1, extent.rounds, rigs[number].subject));
        }
    }
    for figure in figures.into_iter().flatten() {
        run.record([figure]);
    }
    Ok(())
}

/// What is measured, in the order of [`one`].
const KINDS: [Metric; 7] = [
    Metric::CpuPerGb,
    Metric::Throughput,
    Metric::Retransmits,
    Metric::RoundTripP50,
    Metric::RoundTripP99,
    Metric::CpuPerConnection,
    Metric::Connections,
];

fn one(rig: &Rig, places: &Places, extent: Extent, figures: &mut [Figure; KINDS.len()]) {
    let network = &rig.path.network;
    // A veth with XDP takes no segments larger than the wire's, and takes four times as long.
    let bytes = if rig.subject.is_xdp() { extent.bytes / 4 } else { extent.bytes };
    // As Rig::for_programs has it.
    let completed = rig.subject.is_xdp() && !rig.subject.is_ours();
    let bulk = verified(network, || bulk::measure(network, places, bytes)).and_then(|([cost, throughput], again)| {
        verified(network, || whole::prove(network, places, completed)).context("the same with every byte looked at")?;
        Ok([cost, throughput, again as f64])
    });
    keep(&mut figures[..3], bulk.context("bulk"));
    let requests = verified(network, || request::measure(network, places, extent.requests));
    keep(&mut figures[3..5], requests.map(|(samples, _)| samples).context("requests"));
    let connections = verified(network, || connect::measure(network, places, extent.connections));
    keep(&mut figures[5..], connections.map(|(samples, _)| samples).context("connections"));
}

/// What the action gives, and how many segments were sent again meanwhile; an error when one was received with a wrong checksum.
fn verified<T>(network: &Network, action: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let ends = [&network.hosts, &network.remote];
    let before = Counters::read(ends)?;
    let outcome = action();
    // Checksums first: they may be why it failed.
    let again = Counters::read(ends)?.judge(before)?;
    Ok((outcome?, again))
}

/// One sample for each of some figures, or none for all.
fn keep<const N: usize>(figures: &mut [Figure], outcome: Result<[f64; N]>) {
    let samples = match outcome {
        Ok(samples) => samples.map(Some),
        Err(error) => {
            figures[0].void.push(format!("{error:#}"));
            [None; N]
        }
    };
    for (figure, sample) in figures.iter_mut().zip(samples) {
        figure.samples.push(sample);
    }
}

/// Runs a server's and a client's part at the same time, each on its CPU and in its room; the client's part begins when the server's has
/// made its listener. Gives the client's outcome and both CPU times in nanoseconds.
fn both<T: Send>(
    (hosts, remote): (&Namespace, &Namespace),
    places: &Places,
    port: u16,
    serve: impl FnOnce(std::net::TcpListener) -> Result<()> + Send,
    ask: impl FnOnce() -> Result<T> + Send,
) -> Result<(T, u64)> {
    let softirqs = places.softirqs();
    let listener = remote.within(|| std::net::TcpListener::bind(server_address(port)))??;
    // A client that fails must not leave the server waiting for it.
    rustix::net::sockopt::set_socket_timeout(&listener, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE))?;
    let (served, asked) = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            places.client.pin()?;
            let begin = crate::clock::thread_time();
            serve(listener)?;
            anyhow::Ok(crate::clock::thread_time() - begin)
        });
        let asked = hosts.within(|| {
            places.client.pin()?;
            let begin = crate::clock::thread_time();
            let outcome = ask()?;
            anyhow::Ok((outcome, crate::clock::thread_time() - begin))
        });
        (server.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), asked)
    });
    let (outcome, client) = asked??;
    let server = served.context("the server")?;
    Ok((outcome, client + server + (places.softirqs() - softirqs)))
}
