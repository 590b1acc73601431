//! What the appliance is for, as stories: each boots one machine and makes a list of checks, from the firmware to a closed port forward.

mod crowd;
mod forwards;
mod life;
mod logins;
pub mod pace;
mod scene;
mod sources;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::clock::TimeServer;
use super::{Disk, Firmware, Image, Vm};
use crate::Lab;
use scene::Scene;

/// From power to forwarding, on a machine that does other things too. What it may take on one that does not, [`pace`] says.
const BOOT: Duration = Duration::from_secs(600);
/// What the console says when the datapath stands; see the image's `gateway-ready.service`.
const READY: &str = "gateway: forwarding";

/// The stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tale {
    /// By BIOS, configured by NoCloud: real traffic out and in, by tc and by XDP. The short one.
    Forwards,
    /// The same, and then everything that may happen to a machine that runs: changes, mistakes, a restart, a reboot, a move.
    Life,
    /// By UEFI, configured by ConfigDrive, a ConfigMap and a Secret at the same time.
    Sources,
    /// Without any disk, by the kernel's command line.
    LastResort,
}

/// What was found.
#[derive(Debug)]
pub struct Story {
    /// Which one.
    pub tale: Tale,
    /// Each check, with what it saw.
    pub lines: Vec<Line>,
    /// From the kernel's start to forwarding, in seconds of the guest.
    pub guest_seconds: f64,
    /// From power to forwarding, in seconds of this machine.
    pub wall_seconds: f64,
    /// And in seconds of its processors.
    pub processor_seconds: f64,
}

/// One check.
#[derive(Debug)]
pub struct Line {
    /// What a user would say.
    pub what: &'static str,
    /// What was seen.
    pub seen: String,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { what, seen, took } in &self.lines {
            writeln!(f, "{what:<52} {seen:<56} {:6.1} s", took.as_secs_f64())?;
        }
        let Self { guest_seconds, wall_seconds, processor_seconds, .. } = self;
        writeln!(
            f,
            "forwarding {guest_seconds:.1} s after the kernel's start by the guest's clock, {wall_seconds:.1} s after power by this machine's \
             ({processor_seconds:.1} s of its processors)"
        )
    }
}

impl Tale {
    /// All that there is to tell, the whole life in place of its beginning.
    pub const FULL: [Self; 3] = [Self::Life, Self::Sources, Self::LastResort];

    /// What happens, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Forwards => "by BIOS: traffic out and in, by tc and by XDP",
            Self::Life => "by BIOS: traffic, changes, mistakes, a restart, a reboot, a move",
            Self::Sources => "by UEFI: ConfigDrive, ConfigMap and Secret",
            Self::LastResort => "without a disk: the kernel's command line",
        }
    }

    fn machine(self) -> Result<(Firmware, Vec<Disk>)> {
        Ok(match self {
            Self::Forwards => (Firmware::Bios, vec![forwards::seed()]),
            Self::Life => (Firmware::Bios, vec![forwards::seed(), Disk::state()]),
            Self::Sources => (Firmware::Uefi, sources::disks()),
            Self::LastResort => (Firmware::Kernel(sources::command_line()), Vec::new()),
        })
    }

    fn tell(self, teller: &mut Teller<'_>) -> Result<()> {
        match self {
            Self::Forwards => forwards::tell(teller),
            Self::Life => forwards::tell(teller).and_then(|()| life::tell(teller)),
            Self::Sources => sources::tell(teller),
            Self::LastResort => sources::tell_last_resort(teller),
        }
    }
}

/// Boots the image between the lab's networks and drives real programs' traffic through it.
///
/// # Errors
/// The first check that fails, with the console; or that `stop` was raised.
pub fn tell(image: &Image, tale: Tale, stop: &Arc<AtomicBool>, mut said: impl FnMut(&Line)) -> Result<Story> {
    let lab = Lab::unique("image")?;
    scene::serve(&lab)?;
    let _time = TimeServer::start(&lab.pods)?;
    let (firmware, disks) = tale.machine()?;
    let vm = Vm::start(image, &firmware, &lab, &disks)?;
    let console = vm.wait_console(READY, 0, BOOT, stop)?;
    let mut story = Story {
        tale,
        lines: Vec::new(),
        guest_seconds: console.split_whitespace().filter_map(|word| word.parse().ok()).next().context("no time on the console")?,
        wall_seconds: vm.age().as_secs_f64(),
        processor_seconds: vm.processor_time()?.as_secs_f64(),
    };
    let scene = Scene { lab: &lab, agent: vm.agent(), vm: &vm, stop };
    let mut teller = Teller { scene, lines: Vec::new(), said: &mut said };
    let told = teller.check("boots from firmware to forwarding", |_| Ok(console.trim().to_owned())).and_then(|()| tale.tell(&mut teller));
    told.with_context(|| {
        let log = vm.agent().run("journalctl -b -p info --no-pager | grep -v guest-exec | tail -60; ip -br address; gateway status");
        let log = log.map_or_else(|error| format!("({error:#})"), |ran| ran.output + &ran.error);
        format!("the console:\n{}\nthe guest says:\n{log}", vm.console())
    })?;
    story.lines = teller.lines;
    vm.stop()?;
    Ok(story)
}

/// Makes the checks, one after the other.
struct Teller<'a> {
    scene: Scene<'a>,
    lines: Vec<Line>,
    said: &'a mut dyn FnMut(&Line),
}

impl Teller<'_> {
    /// One check: says what it has seen.
    fn check(&mut self, what: &'static str, check: impl FnOnce(&Scene<'_>) -> Result<String>) -> Result<()> {
        ensure!(!self.scene.stop.load(Ordering::Relaxed), "interrupted");
        let begun = Instant::now();
        let seen = check(&self.scene).context(what)?;
        let line = Line { what, seen, took: begun.elapsed() };
        (self.said)(&line);
        self.lines.push(line);
        Ok(())
    }
}
