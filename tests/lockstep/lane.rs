//! One datapath in its own network: takes a policy, takes a frame, tells what came out.
//!
//! # How "nothing came out" is known
//!
//! A frame that was dropped leaves no trace on a wire. Behind each frame that does not show up goes a marker: an ARP probe (RFC 5227) for the
//! gateway's address on the same leg, which the kernel answers without keeping any state. A leg's frames are processed in their order, so
//! when the answer is there, the frame has been decided; then markers go over the other legs, whose answers queue up behind the frame on the
//! way out. The thread stays on one CPU, because a veth without NAPI has one queue per CPU.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use gateway_tests::control::{Question, ask};
use gateway_tests::frames::hex;
use gateway_tests::{Gateway, Namespace};
use pnet::datalink::{Channel, Config, DataLinkReceiver, DataLinkSender, channel, interfaces};
use serde_json::{Value, json};

use crate::answers::{self, About, Answer};
use crate::network::{LEGS, LegIndex, Network, gateway_mac, gateway_v4};
use crate::payload;

/// For an answer to a marker, on a machine that compiles beside.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames come from here where nobody looks at it: locally administered, and no station's.
const MARKER: [u8; 2] = [0x0a, 0x4d];

/// What forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// Our programs at tc.
    Tc,
    /// The same with XDP in front.
    Xdp,
    /// The policy as a ruleset of the kernel's own.
    Nftables,
}

impl Datapath {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Tc, Self::Xdp, Self::Nftables];
    /// Our own, which differ in less than all do.
    pub const OURS: &'static [Self] = &[Self::Tc, Self::Xdp];

    /// `[datapath] mode`
    pub fn mode(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::Nftables => "nftables",
        }
    }

    /// What `gateway status` says of an interface of a zone.
    fn shown(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp+tc",
            Self::Nftables => "nftables",
        }
    }
}

/// A frame with one of our payloads, as a station saw it.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Whose wire.
    pub leg: LegIndex,
    /// The frame.
    pub frame: Vec<u8>,
}

struct Wire {
    sender: Box<dyn DataLinkSender>,
    receiver: Box<dyn DataLinkReceiver>,
}

/// A datapath with its network.
pub struct Lane<'a> {
    /// Which.
    pub datapath: Datapath,
    gateway: Gateway<'a>,
    wires: Vec<Wire>,
    marker: u32,
    answers: Vec<(About, Answer)>,
}

impl<'a> Lane<'a> {
    /// Starts the gateway with a policy, given as text by mode.
    pub fn start(datapath: Datapath, network: &'a Network, text: &str) -> Result<Self> {
        let gateway = Gateway::start(&network.gateway, text)?;
        for leg in &LEGS {
            if let Ok(shown) = gateway.interface(leg.name) {
                ensure!(shown["datapath"] == datapath.shown(), "{datapath:?} was wanted, but status says: {shown:#}");
            }
        }
        let wires = LEGS.iter().map(|leg| Wire::open(&network.stations, leg.wire)).collect::<Result<_>>()?;
        Ok(Self { datapath, gateway, wires, marker: 0, answers: Vec::new() })
    }

    /// Gives the gateway another policy; the answer tells when it is in force.
    pub fn install(&self, text: &str) -> Result<Question> {
        self.gateway.replace_policy(text)?;
        self.ask(&json!("reload"))
    }

    /// Asks for the counters.
    pub fn ask_counters(&self) -> Result<Question> {
        self.ask(&json!("drops"))
    }

    fn ask(&self, request: &Value) -> Result<Question> {
        ask(&self.gateway.run_directory().join("control.sock"), request)
    }

    /// What the gateway has logged.
    pub fn log(&self) -> String {
        self.gateway.log()
    }

    /// Sends a frame over a leg's wire into the gateway. Gives every frame that carries the payload's number `id`, on whatever wire.
    pub fn send(&mut self, leg: LegIndex, frame: &[u8], id: u32) -> Result<Vec<Sight>> {
        self.wires[leg].send(frame)?;
        let mut sights = Vec::new();
        self.drain(id, None, &mut sights)?;
        if sights.is_empty() {
            self.settle(leg, id, &mut sights)?;
        }
        Ok(sights)
    }

    /// Waits until everything sent has been decided and has arrived; fails when there is still a frame that nobody expects.
    pub fn silence(&mut self) -> Result<()> {
        let mut sights = Vec::new();
        self.settle(0, u32::MAX, &mut sights)
    }

    /// What the gateway has told senders by itself since this was asked last. Our datapath's answers come from the daemon, in its time.
    pub fn answers(&mut self) -> Result<Vec<(About, Answer)>> {
        self.silence()?;
        Ok(std::mem::take(&mut self.answers))
    }

    fn settle(&mut self, first: LegIndex, id: u32, sights: &mut Vec<Sight>) -> Result<()> {
        self.mark(&[first], id, sights)?;
        let others: Vec<LegIndex> = (0..LEGS.len()).filter(|leg| *leg != first).collect();
        self.mark(&others, id, sights)
    }

    /// Sends a marker over each of the legs and waits for all answers.
    fn mark(&mut self, legs: &[LegIndex], id: u32, sights: &mut Vec<Sight>) -> Result<()> {
        self.marker += 1;
        for leg in legs {
            self.wires[*leg].send(&probe(*leg, self.marker))?;
        }
        let (begun, mut missing) = (Instant::now(), legs.len());
        while missing > 0 {
            missing -= self.drain(id, Some(self.marker), sights)?;
            ensure!(begun.elapsed() < PATIENCE, "{:?}: {missing} markers have not come back; the log:\n{}", self.datapath, self.log());
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Reads all wires until they are empty; how often this marker was answered.
    fn drain(&mut self, id: u32, marker: Option<u32>, sights: &mut Vec<Sight>) -> Result<usize> {
        let mut answered = 0;
        for (leg, wire) in self.wires.iter_mut().enumerate() {
            // A time-out is an empty wire.
            while let Ok(frame) = wire.receiver.next() {
                if let Some(seen) = answered_marker(frame) {
                    answered += usize::from(Some(seen) == marker);
                } else if let Some(answer) = answers::read(frame) {
                    self.answers.push(answer);
                } else if let Some(seen) = payload::number(frame).filter(|_| !payload::is_refusal(frame)) {
                    if seen != id {
                        bail!("{:?}: packet {seen} was seen on {} long after it was sent: {}", self.datapath, LEGS[leg].wire, hex(frame));
                    }
                    sights.push(Sight { leg, frame: frame.to_vec() });
                }
            }
        }
        Ok(answered)
    }
}

impl Wire {
    fn open(stations: &Namespace, name: &str) -> Result<Self> {
        let opened = stations.within(|| {
            let interface = interfaces().into_iter().find(|known| known.name == name).with_context(|| format!("no {name}"))?;
            let config = Config { read_timeout: Some(Duration::ZERO), read_buffer_size: 16_384, ..Default::default() };
            anyhow::Ok(channel(&interface, config)?)
        })??;
        match opened {
            Channel::Ethernet(sender, receiver) => Ok(Self { sender, receiver }),
            _ => bail!("{name} is no Ethernet interface"),
        }
    }

    fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.sender.send_to(frame, None).context("no room to send")?.context("cannot send")
    }
}

/// Whether somebody has the gateway's address on the leg. The sender's address is none (RFC 5227 section 1.1), so the gateway learns nothing.
fn probe(leg: LegIndex, marker: u32) -> Vec<u8> {
    let [a, b, c, d] = marker.to_be_bytes();
    let sender = [MARKER[0], MARKER[1], a, b, c, d];
    let mut frame = Vec::with_capacity(42);
    frame.extend(gateway_mac(leg));
    frame.extend(sender);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(sender);
    frame.extend([0; 10]);
    if let std::net::IpAddr::V4(own) = gateway_v4(leg) {
        frame.extend(own.octets());
    }
    frame
}

/// The number of the marker that this frame answers.
fn answered_marker(frame: &[u8]) -> Option<u32> {
    let reply = frame.len() >= 42 && frame[12..14] == [0x08, 0x06] && frame[20..22] == [0, 2] && frame[32..34] == MARKER;
    reply.then(|| u32::from_be_bytes([frame[34], frame[35], frame[36], frame[37]]))
}
