//! One way for packets, in namespaces of its own: generator, gateway, sink.
//!
//! ```text
//!  hosts                    gateway                        remote
//!  gen0 ══════════ in0 (10.77.0.1)  out0 (10.88.0.1) ══════ snk0 10.88.0.2
//!  10.77.0.10-29
//! ```
//!
//! Neighbours are permanent, so nothing but the bench's own packets is on the way. A frame that XDP redirects into a veth is taken only
//! while the peer polls (NAPI): GRO on the gateway's side, the bench's own programs on the others.

use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun, Xdp};
use aya::{Ebpf, TestRunAttrs, TestRunOptions};
use gateway_daemon::datapath::Raw;
use gateway_ebpf::bench::{Config, Counter, FRAME, HOSTS, STRIDE, TTL, template};
use gateway_tests::Namespace;
use gateway_tests::namespace::unique_prefix;
use gateway_tests::wait::wait_until;

use crate::clock::CpuClock;

/// The gateway's address on the remote's side, which source NAT translates to.
pub const EXTERNAL: [u8; 4] = [10, 88, 0, 1];
const REMOTE: [u8; 4] = [10, 88, 0, 2];
const NETWORK: [u8; 4] = [10, 77, 0, 0];

const GENERATOR_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const IN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
const OUT_MAC: [u8; 6] = [2, 0, 0, 0, 2, 1];
const SINK_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// Frames that the kernel injects at a time: the ring of a veth holds 256.
const BATCH: u32 = 64;

/// How long stragglers have to arrive after the generator has ended.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// What the sink has to find.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The source address is the gateway's.
    pub translated: bool,
    /// The hop limit was lowered by one.
    pub routed: bool,
}

/// What was counted in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    sent: u64,
    received: u64,
    bad_checksum: u64,
    bad_header: u64,
    replies: u64,
    bad_replies: u64,
}

/// One way. Dropped, its namespaces go, with the programs in them.
pub struct Path {
    hosts: Namespace,
    /// Where the gateway under test runs. In the generator's own way there is the sink.
    pub gateway: Namespace,
    remote: Option<Namespace>,
    ebpf: Ebpf,
    config: Config,
    /// The sink's interface index, for returning packets.
    sink: u32,
}

impl Path {
    /// The generator's own way: its frames are verified, counted and dropped at the gateway's door.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn door(object: &FilePath) -> Result<Self> {
        let mut path = Self::wire("door", object, false, Expected { translated: false, routed: false })?;
        path.attach("bench_sink", Place::Door)?;
        Ok(path)
    }

    /// The way through a gateway. Nothing forwards in it yet.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn through(purpose: &str, object: &FilePath, expected: Expected) -> Result<Self> {
        let mut path = Self::wire(purpose, object, true, expected)?;
        path.attach("bench_sink", Place::Sink)?;
        path.attach("bench_reply", Place::Generator)?;
        Ok(path)
    }

    fn wire(purpose: &str, object: &FilePath, remote: bool, expected: Expected) -> Result<Self> {
        let prefix = unique_prefix(purpose);
        let hosts = Namespace::create(&format!("{prefix}-h"))?;
        let gateway = Namespace::create(&format!("{prefix}-g"))?;
        let remote = if remote { Some(Namespace::create(&format!("{prefix}-r"))?) } else { None };
        let inner = link(&hosts, ("gen0", GENERATOR_MAC), &gateway, ("in0", IN_MAC))?;
        let mut lines = String::from("address add 10.77.0.1/24 dev in0\n");
        for host in 0..HOSTS {
            let last = u32::from(gateway_ebpf::bench::FIRST_HOST) + host;
            lines += &format!("neighbour add 10.77.0.{last} lladdr {} dev in0 nud permanent\n", text(GENERATOR_MAC));
        }
        let mut config = Config {
            template: template(GENERATOR_MAC, IN_MAC, NETWORK, REMOTE),
            generate_to: inner,
            external: if expected.translated { u32::from_ne_bytes(EXTERNAL) } else { 0 },
            remote: u32::from_ne_bytes(REMOTE),
            ttl: u32::from(TTL) - u32::from(expected.routed),
            ..Config::default()
        };
        let mut sink = 0;
        if let Some(remote) = &remote {
            config.forward_to = link(&gateway, ("out0", OUT_MAC), remote, ("snk0", SINK_MAC))?;
            sink = index(remote, "snk0")?;
            lines +=
                &format!("address add 10.88.0.1/24 dev out0\nneighbour add 10.88.0.2 lladdr {} dev out0 nud permanent", text(SINK_MAC));
            gateway.run("ethtool", &["-K", "out0", "gro", "on"])?;
        }
        gateway.ip(&lines)?;
        gateway.run("ethtool", &["-K", "in0", "gro", "on"])?;
        let ebpf = Ebpf::load_file(object).with_context(|| format!("cannot load {}", object.display()))?;
        let mut path = Self { hosts, gateway, remote, ebpf, config, sink };
        path.program("bench_generate")?.load().context("the kernel refuses bench_generate")?;
        Ok(path)
    }

    /// Sends every frame on by a plain XDP redirect.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn forward_plainly(&mut self) -> Result<()> {
        self.attach("bench_forward", Place::Door)
    }

    fn attach(&mut self, name: &str, place: Place) -> Result<()> {
        let Self { hosts, gateway, remote, ebpf, .. } = self;
        let (room, interface) = match place {
            Place::Generator => (&*hosts, "gen0"),
            Place::Door => (&*gateway, "in0"),
            Place::Sink => (remote.as_ref().context("this way has no remote")?, "snk0"),
        };
        let program: &mut Xdp = ebpf.program_mut(name).context("the bench's object lacks a program")?.try_into()?;
        program.load().with_context(|| format!("the kernel refuses {name}"))?;
        room.within(|| program.attach(interface, XdpMode::Driver))?.with_context(|| format!("cannot attach {name} to {interface}"))?;
        Ok(())
    }

    fn program(&mut self, name: &str) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut(name).context("the bench's object lacks a program")?.try_into()?)
    }

    /// Opens the first `flows` flows, or keeps them alive: one packet of each, and its reply back through the gateway.
    ///
    /// # Errors
    /// When a packet or a reply is wrong or missing.
    pub fn converse(&mut self, cpu: &CpuClock, flows: u32) -> Result<()> {
        self.config.return_to = self.sink;
        let outcome = self.send(cpu, flows, flows);
        self.config.return_to = 0;
        let (_, counts) = outcome?;
        ensure!(counts.replies == counts.sent, "{} of {} replies came back", counts.replies, counts.sent);
        Ok(())
    }

    /// Sends `packets` packets of `flows` flows in turn, and gives the CPU nanoseconds per packet.
    ///
    /// # Errors
    /// When a packet is wrong or missing: the run is void.
    pub fn measure(&mut self, cpu: &CpuClock, flows: u32, packets: u32) -> Result<f64> {
        let (nanoseconds, _) = self.send(cpu, flows, packets)?;
        Ok(nanoseconds as f64 / f64::from(packets))
    }

    fn send(&mut self, cpu: &CpuClock, flows: u32, packets: u32) -> Result<(u64, Counts)> {
        self.config.flows = flows;
        self.config.stride = STRIDE % flows;
        let mut map: Array<&mut MapData, Raw<Config>> = self.ebpf.map_mut("BENCH").context("the bench's object lacks a map")?.try_into()?;
        map.set(0, Raw(self.config), 0)?;
        let before = self.counts()?;
        let generator: &Xdp = self.ebpf.program("bench_generate").context("the bench's object lacks a program")?.try_into()?;
        let frame = [0u8; FRAME];
        let nanoseconds = self.hosts.within(|| {
            cpu.spent(|| {
                let options = TestRunOptions {
                    data_in: Some(&frame),
                    repeat: packets,
                    attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                    ..TestRunOptions::default()
                };
                generator.test_run(options)
            })
        })??;
        let mut counts = Counts::default();
        let wants_replies = self.config.return_to != 0;
        // Whether all came is judged below.
        let _ = wait_until(STRAGGLERS, "the last packets", || {
            counts = self.counts()?.since(&before);
            Ok(counts.received >= counts.sent && (!wants_replies || counts.replies >= counts.sent))
        });
        counts.judge(packets)?;
        Ok((nanoseconds, counts))
    }

    fn counts(&self) -> Result<Counts> {
        let map: PerCpuArray<&MapData, u64> = self.ebpf.map("COUNTERS").context("the bench's object lacks a map")?.try_into()?;
        let read = |counter: Counter| -> Result<u64> { Ok(map.get(&(counter as u32), 0)?.iter().sum()) };
        Ok(Counts {
            sent: read(Counter::Sent)?,
            received: read(Counter::Received)?,
            bad_checksum: read(Counter::BadChecksum)?,
            bad_header: read(Counter::BadHeader)?,
            replies: read(Counter::Replies)?,
            bad_replies: read(Counter::BadReplies)?,
        })
    }

    /// How many frames XDP has redirected at the gateway's door so far, by the driver's own count.
    ///
    /// # Errors
    /// When ethtool does not tell.
    pub fn redirected_by_xdp(&self) -> Result<u64> {
        let text = self.gateway.run("ethtool", &["-S", "in0"])?;
        let values = text.lines().filter_map(|line| line.trim().split_once(": "));
        Ok(values.filter(|(name, _)| name.ends_with("_xdp_redirect")).filter_map(|(_, value)| value.parse::<u64>().ok()).sum())
    }
}

/// Where a program is attached.
#[derive(Clone, Copy)]
enum Place {
    Generator,
    Door,
    Sink,
}

impl Counts {
    fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            received: self.received - before.received,
            bad_checksum: self.bad_checksum - before.bad_checksum,
            bad_header: self.bad_header - before.bad_header,
            replies: self.replies - before.replies,
            bad_replies: self.bad_replies - before.bad_replies,
        }
    }

    fn judge(&self, packets: u32) -> Result<()> {
        let Self { sent, received, bad_checksum, bad_header, bad_replies, .. } = *self;
        if sent != u64::from(packets) {
            bail!("the generator made {sent} frames in place of {packets}");
        }
        if bad_checksum + bad_header + bad_replies > 0 {
            bail!("wrong packets: {bad_checksum} by checksum, {bad_header} by header, {bad_replies} replies");
        }
        ensure!(received == sent, "{received} of {sent} packets arrived");
        Ok(())
    }
}

/// Joins two rooms by a veth, and gives the index of the first end.
fn link(first: &Namespace, (near, near_mac): (&str, [u8; 6]), second: &Namespace, (far, far_mac): (&str, [u8; 6])) -> Result<u32> {
    first.ip(&format!(
        "link add {near} address {} type veth peer name {far} address {} netns {}\nlink set {near} up",
        text(near_mac),
        text(far_mac),
        second.name()
    ))?;
    second.ip(&format!("link set {far} up"))?;
    index(first, near)
}

fn index(room: &Namespace, interface: &str) -> Result<u32> {
    let line = room.run("ip", &["-o", "link", "show", interface])?;
    line.split(':').next().and_then(|number| number.trim().parse().ok()).with_context(|| format!("ip gave no index of {interface}: {line}"))
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
