//! The bench's own traffic: generator and sink on a network's ends, and what they counted.

use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::maps::{Array, DevMap, MapData};
use aya::programs::tc::TcAttachType;
use aya::programs::xdp::XdpMode;
use aya::programs::{SchedClassifier, TestRun, Xdp};
use aya::{Ebpf, TestRunAttrs, TestRunOptions};
use gateway_daemon::datapath::Raw;
use gateway_ebpf::bench::{Config, FIRST_SERVICE, FrameV4, FrameV6, Layout, SERVICES, STRIDE, TTL, tail};
use gateway_ebpf::bench::{macs, template_v4, template_v6};
use gateway_tests::wait::wait_until;

use crate::clock::CpuClock;
use crate::counts::Counts;
use crate::network::{EXTERNAL, GENERATOR_MAC, IN_MAC, INTERNAL, NETWORK, NETWORK_V6, Network, OUT_MAC, REMOTE, REMOTE_V6, SINK_MAC};
use crate::subject::Expected;
use crate::workload::{Family, Nat, Setting, Size};

/// Frames that the kernel injects at a time: the ring of a veth holds 256.
const BATCH: u32 = 64;
/// How long stragglers have to arrive after the generator has ended.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// The pool of external addresses, and its mask.
pub const POOL: ([u8; 4], [u8; 4]) = ([10, 88, 1, 0], [255, 255, 255, 240]);
/// By how much a port forward raises the destination port.
pub const SHIFT: u16 = 1000;
/// The ports that are forwarded.
pub const SERVICE_PORTS: std::ops::Range<u16> = FIRST_SERVICE..FIRST_SERVICE + SERVICES as u16;

/// Which flows a run sends packets of.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first one.
    pub first: u32,
    /// How many.
    pub flows: u32,
}

impl Range {
    /// The first so many.
    #[must_use]
    pub fn of(flows: u32) -> Self {
        Self { first: 0, flows }
    }
}

/// One way, with generator and sink.
pub struct Path {
    /// The rooms and wires.
    pub network: Network,
    ebpf: Ebpf,
    setting: Setting,
    expected: Expected,
    config: Config,
    /// What the generator's frames are made of.
    frame: Vec<u8>,
}

/// Where a program is attached.
#[derive(Clone, Copy)]
enum Place {
    Generator,
    Inside,
    Outside,
    Sink,
}

impl Path {
    /// The generator's own way: its frames are verified, counted and dropped at the gateway's door.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn door(object: &FilePath, setting: Setting) -> Result<Self> {
        let mut path = Self::new("door", object, setting, Expected { translated: false, routed: false })?;
        path.attach(path.of_family("bench_sink", "bench_sink_v6"), Place::Inside)?;
        Ok(path)
    }

    /// The way through a gateway. Nothing forwards in it yet.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn through(purpose: &str, object: &FilePath, setting: Setting, expected: Expected) -> Result<Self> {
        let mut path = Self::new(purpose, object, setting, expected)?;
        path.attach(path.of_family("bench_sink", "bench_sink_v6"), Place::Sink)?;
        path.attach(path.of_family("bench_reply", "bench_reply_v6"), Place::Generator)?;
        Ok(path)
    }

    /// A way without generator and sink, for real programs at its ends.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn bare(purpose: &str, object: &FilePath, setting: Setting) -> Result<Self> {
        Self::new(purpose, object, setting, Expected { translated: false, routed: false })
    }

    fn new(purpose: &str, object: &FilePath, setting: Setting, expected: Expected) -> Result<Self> {
        let network = Network::new(purpose)?;
        let ebpf = Ebpf::load_file(object).with_context(|| format!("cannot load {}", object.display()))?;
        let mut path = Self { network, ebpf, setting, expected, config: Config::default(), frame: Vec::new() };
        let generator = path.generator();
        path.xdp(generator)?.load().with_context(|| format!("the kernel refuses {generator}"))?;
        path.prepare(Size::Small);
        Ok(path)
    }

    fn of_family(&self, v4: &'static str, v6: &'static str) -> &'static str {
        if self.setting.family == Family::V4 { v4 } else { v6 }
    }

    /// The generator's name.
    fn generator(&self) -> &'static str {
        self.of_family("bench_generate", "bench_generate_v6")
    }

    /// Makes the frames from now on so large.
    pub fn prepare(&mut self, size: Size) {
        let large = size == Size::Large;
        let Expected { translated, routed } = self.expected;
        let forwarded = translated && self.setting.nat == Nat::Forward;
        let (external, mask) = match self.setting.nat {
            Nat::Source if translated => (EXTERNAL, [255; 4]),
            Nat::Pool if translated => POOL,
            _ => ([0; 4], [0; 4]),
        };
        let target = if forwarded { INTERNAL } else { REMOTE };
        let (template, words, tail): (_, usize, Vec<u8>) = match self.setting.family {
            Family::V4 => (template_v4(GENERATOR_MAC, IN_MAC, NETWORK, target, large), FrameV4::WORDS, tail::<FrameV4>().collect()),
            Family::V6 => (template_v6(GENERATOR_MAC, IN_MAC, NETWORK_V6, REMOTE_V6, large), FrameV6::WORDS, tail::<FrameV6>().collect()),
        };
        self.frame = vec![0; words * 4];
        let mut tail_sum = 0;
        if large {
            tail_sum = tail.chunks(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum();
            self.frame.extend(tail);
        }
        self.config = Config {
            template,
            arrival: if routed { macs(OUT_MAC, SINK_MAC) } else { macs(GENERATOR_MAC, IN_MAC) },
            generate_to: self.network.generator,
            inside: self.network.inside,
            outside: self.network.outside,
            external: u32::from_ne_bytes(external),
            external_mask: u32::from_ne_bytes(mask),
            remote: u32::from_ne_bytes(REMOTE),
            shift: if forwarded { u32::from(SHIFT) } else { 0 },
            ttl: u32::from(TTL) - u32::from(routed),
            large: u32::from(large),
            tail_sum,
            ..self.config
        };
    }

    /// Sends every frame on by an XDP program of the bench, in both directions: `bench_forward`, `bench_devmap`, `bench_fib`.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn forward_by_xdp(&mut self, name: &'static str) -> Result<()> {
        let Self { network, ebpf, .. } = self;
        let mut devices: DevMap<&mut MapData> = ebpf.map_mut("DEVICES").context("the bench's object lacks a map")?.try_into()?;
        network.gateway.within(|| devices.set(0, network.inside, None, 0).and_then(|()| devices.set(1, network.outside, None, 0)))??;
        self.attach(name, Place::Inside)?;
        self.attach(name, Place::Outside)?;
        self.write()
    }

    /// The same by a tc program.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn forward_by_tc(&mut self) -> Result<()> {
        let Self { network, ebpf, .. } = self;
        let program: &mut SchedClassifier = ebpf.program_mut("bench_tc").context("the bench's object lacks a program")?.try_into()?;
        program.load().context("the kernel refuses bench_tc")?;
        for interface in ["in0", "out0"] {
            network.gateway.within(|| {
                // Where the kernel has no tcx, the program needs a qdisc to hang on.
                let _ = aya::programs::tc::qdisc_add_clsact(interface);
                program.attach(interface, TcAttachType::Ingress)
            })??;
        }
        self.write()
    }

    fn attach(&mut self, name: &str, place: Place) -> Result<()> {
        let Self { network, ebpf, .. } = self;
        let (room, interface) = match place {
            Place::Generator => (&network.hosts, "gen0"),
            Place::Inside => (&network.gateway, "in0"),
            Place::Outside => (&network.gateway, "out0"),
            Place::Sink => (&network.remote, "snk0"),
        };
        let program: &mut Xdp = ebpf.program_mut(name).context("the bench's object lacks a program")?.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        room.within(|| program.attach(interface, XdpMode::Driver))?.with_context(|| format!("cannot attach {name} to {interface}"))?;
        Ok(())
    }

    fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        Ok(self.ebpf.program_mut(name).context("the bench's object lacks a program")?.try_into()?)
    }

    /// The bench's own programs and maps, to run one alone.
    pub fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Opens flows, or keeps them alive: one packet of each, and its reply back through the gateway. CPU nanoseconds per flow.
    ///
    /// # Errors
    /// When a packet or a reply is wrong or missing.
    pub fn converse(&mut self, cpu: &CpuClock, range: Range) -> Result<f64> {
        let (nanoseconds, counts) = self.send(cpu, range, range.flows, true)?;
        counts.judge(range.flows)?;
        counts.judge_replies()?;
        Ok(nanoseconds as f64 / f64::from(range.flows))
    }

    /// Sends one packet of each flow, answered, and counts: refused flows are no failure here, wrong packets are.
    ///
    /// # Errors
    /// When a packet is wrong.
    pub fn offer(&mut self, cpu: &CpuClock, range: Range) -> Result<Counts> {
        let (_, counts) = self.send(cpu, range, range.flows, true)?;
        counts.judge_right()?;
        Ok(counts)
    }

    /// Sends `packets` packets of the flows in turn, and gives the CPU nanoseconds per packet.
    ///
    /// # Errors
    /// When a packet is wrong or missing: the run is void.
    pub fn measure(&mut self, cpu: &CpuClock, range: Range, packets: u32) -> Result<f64> {
        let (nanoseconds, counts) = self.send(cpu, range, packets, false)?;
        counts.judge(packets)?;
        Ok(nanoseconds as f64 / f64::from(packets))
    }

    /// Sends packets as [`Path::measure`] does, and gives how many of them were lost.
    ///
    /// # Errors
    /// When a packet is wrong.
    pub fn lose(&mut self, cpu: &CpuClock, range: Range, packets: u32) -> Result<u64> {
        let (_, counts) = self.send(cpu, range, packets, false)?;
        counts.judge_right()?;
        counts.lost()
    }

    /// Sends one packet and says at once whether it has arrived, and right.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn probe(&mut self, cpu: &CpuClock) -> Result<bool> {
        let before = Counts::read(&self.ebpf)?;
        self.inject(cpu, Range::of(1), 1, false)?;
        let counts = Counts::read(&self.ebpf)?.since(&before);
        counts.judge_right()?;
        Ok(counts.received == 1)
    }

    fn send(&mut self, cpu: &CpuClock, range: Range, packets: u32, answered: bool) -> Result<(u64, Counts)> {
        let before = Counts::read(&self.ebpf)?;
        let nanoseconds = self.inject(cpu, range, packets, answered)?;
        let mut counts = Counts::default();
        // Whether all came is the caller's to judge.
        let _ = wait_until(STRAGGLERS, "the last packets", || {
            counts = Counts::read(&self.ebpf)?.since(&before);
            Ok(counts.received >= counts.sent && (!answered || counts.replies >= counts.sent))
        });
        Ok((nanoseconds, counts))
    }

    fn inject(&mut self, cpu: &CpuClock, range: Range, packets: u32, answered: bool) -> Result<u64> {
        self.choose(range);
        self.config.return_to = if answered { self.network.sink } else { 0 };
        self.write()?;
        let generator: &Xdp = self.ebpf.program(self.generator()).context("the bench's object lacks a program")?.try_into()?;
        let frame = &self.frame;
        self.network.hosts.within(|| {
            cpu.spent(|| {
                let options = TestRunOptions {
                    data_in: Some(frame),
                    repeat: packets,
                    attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                    ..TestRunOptions::default()
                };
                generator.test_run(options)
            })
        })?
    }

    /// Lets the frames from now on be of these flows.
    pub fn choose(&mut self, range: Range) {
        self.config.first = range.first;
        self.config.flows = range.flows;
        self.config.stride = STRIDE % range.flows;
    }

    /// What the generator's frames are made of, to look at and to spoil.
    pub fn frame(&mut self) -> &mut Vec<u8> {
        &mut self.frame
    }

    /// Tells the programs what holds from now on.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn write(&mut self) -> Result<()> {
        let config = self.config;
        let mut map: Array<&mut MapData, Raw<Config>> = self.ebpf.map_mut("BENCH").context("the bench's object lacks a map")?.try_into()?;
        Ok(map.set(0, Raw(config), 0)?)
    }

    /// What the programs are told, to change.
    pub fn config(&mut self) -> &mut Config {
        &mut self.config
    }

    /// How many frames XDP has redirected at the gateway's door so far, by the driver's own count.
    ///
    /// # Errors
    /// When ethtool does not tell.
    pub fn redirected_by_xdp(&self) -> Result<u64> {
        let text = self.network.gateway.run("ethtool", &["-S", "in0"])?;
        let values = text.lines().filter_map(|line| line.trim().split_once(": "));
        Ok(values.filter(|(name, _)| name.ends_with("_xdp_redirect")).filter_map(|(_, value)| value.parse::<u64>().ok()).sum())
    }
}
