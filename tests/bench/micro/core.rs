//! The packet core on the host: instructions per packet, counted by callgrind.

use std::fmt;
use std::hint::black_box;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use gateway_ebpf::abi::{IfIndex, Reason};
use gateway_tests::frames::{Path, Seen};
use gateway_tests::site::{self, LAN_LEG, WAN_LEG};
use gateway_tests::world::World;

use crate::figure::{Case, Figure, Metric};
use crate::rig::on_path;
use crate::run::Run;
use crate::subject::Subject;

/// Packets that are counted together.
const PACKETS: u16 = 1000;
/// The tables of the host's world are hash maps with a random seed, so that counts differ by some parts in a thousand.
const ROUNDS: usize = 3;

/// A packet's way through the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreCase {
    /// XDP answers an established flow.
    XdpEstablished,
    /// tc answers an established flow.
    TcEstablished,
    /// tc opens a flow, with a mapping.
    TcNew,
    /// tc refuses a first packet by the firewall's default.
    TcRefused,
}

impl CoreCase {
    const ALL: [Self; 4] = [Self::XdpEstablished, Self::TcEstablished, Self::TcNew, Self::TcRefused];

    fn name(self) -> &'static str {
        match self {
            Self::XdpEstablished => "core-xdp-established",
            Self::TcEstablished => "core-tc-established",
            Self::TcNew => "core-tc-new-flow",
            Self::TcRefused => "core-tc-refused",
        }
    }

    fn is_xdp(self) -> bool {
        self == Self::XdpEstablished
    }

    /// Sends the packets; what is counted is [`counted_part`] alone.
    ///
    /// # Errors
    /// When the core decides something else than the case is about.
    pub fn perform(self) -> Result<()> {
        let mut world = site::world(&site::policy());
        let outbound = |number: u16| site::path(LAN_LEG, "10.0.1.10", 5000 + number, "192.0.2.80", 80);
        let inbound = |number: u16| site::path(WAN_LEG, "192.0.2.80", 5000 + number, "10.0.1.10", 9);
        let arrival = if self == Self::TcRefused { WAN_LEG } else { LAN_LEG };
        let mut frames = Vec::new();
        for number in 0..PACKETS {
            if matches!(self, Self::XdpEstablished | Self::TcEstablished) {
                // One flow is enough: on the host nobody pays for cache misses.
                establish(&mut world, outbound(0))?;
                frames.push(outbound(0).udp(b"data of a flow"));
            } else if self == Self::TcNew {
                frames.push(outbound(number).udp(b"a first packet"));
            } else {
                frames.push(inbound(number).udp(b"a refused one"));
            }
        }
        let forwarded = counted_part(&mut world, &mut frames, arrival, self.is_xdp());
        let wanted = if self == Self::TcRefused { 0 } else { usize::from(PACKETS) };
        ensure!(forwarded == wanted, "{self}: {forwarded} of {PACKETS} packets were forwarded, not {wanted}");
        Ok(())
    }
}

fn establish(world: &mut World, path: Path) -> Result<()> {
    let refused = |reason: Reason| anyhow::anyhow!("the core refused a flow: {reason:?}");
    let mut frame = path.udp(b"question");
    let sent = world.tc(&mut frame, LAN_LEG).map_err(refused)?;
    let mut answer = Seen::of(&frame).path.back().udp(b"answer");
    world.tc(&mut answer, sent.egress).map_err(refused)?;
    Ok(())
}

/// How many of the frames are forwarded. Callgrind finds it by its name.
#[inline(never)]
fn counted_part(world: &mut World, frames: &mut [Vec<u8>], arrival: IfIndex, xdp: bool) -> usize {
    let mut forwarded = 0;
    for frame in frames {
        let outcome = if xdp { world.xdp(black_box(frame), arrival) } else { world.tc(black_box(frame), arrival) };
        forwarded += usize::from(black_box(outcome).is_ok());
    }
    forwarded
}

impl fmt::Display for CoreCase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No case has this name.
#[derive(Debug, thiserror::Error)]
#[error("no case is named {name}")]
pub struct NoCase {
    name: String,
}

impl FromStr for CoreCase {
    type Err = NoCase;

    fn from_str(name: &str) -> Result<Self, NoCase> {
        Self::ALL.into_iter().find(|case| case.name() == name).ok_or_else(|| NoCase { name: name.to_owned() })
    }
}

/// Counts every case.
///
/// # Errors
/// When callgrind fails.
pub fn run(run: &Run<'_>) -> Result<()> {
    if !on_path("valgrind") {
        run.miss("the packet core on the host", "valgrind is not on PATH (Debian package valgrind)");
        return Ok(());
    }
    for case in CoreCase::ALL {
        run.go_on()?;
        run.doing(format!("micro: counting {case}, {ROUNDS} times"));
        let samples: Vec<Option<f64>> = (0..ROUNDS).map(|_| count(case).map(Some)).collect::<Result<_>>()?;
        let subject = if case.is_xdp() { Subject::Xdp } else { Subject::Tc };
        run.record([Figure::with(Metric::Instructions, Case::of(case), subject, samples)]);
        run.say(&format!("micro: {case} counted"));
    }
    Ok(())
}

/// Instructions per packet.
fn count(case: CoreCase) -> Result<f64> {
    let own = std::env::current_exe().context("this program does not know its own path")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=*counted_part*"])
        .arg(own)
        .args(["--gateway", "none", "--core-case", case.name()])
        .output()
        .context("cannot run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind with {case} ended with {}:\n{said}", output.status);
    // `==123== Collected : 456789`
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<f64>().ok());
    match collected {
        Some(instructions) if instructions > 0.0 => Ok(instructions / f64::from(PACKETS)),
        _ => bail!("callgrind with {case} has counted nothing:\n{said}"),
    }
}
