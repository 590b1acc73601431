//! The virtual machine: qemu in the lab's gateway room, its serial console, its agent, its monitor.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::boot::{Firmware, words};
use super::monitor::Monitor;
use super::{Agent, Disk, Serial, cables, workshop};
use crate::wait::wait_for;
use crate::{Lab, Process};

/// The end of a forgotten machine.
const LIFETIME: Duration = Duration::from_secs(1800);

/// One machine at a time: emulation takes all that a small host has.
static RUNNING: Mutex<()> = Mutex::new(());

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The qcow2.
    pub disk: PathBuf,
    /// The workshop's root, with qemu in it.
    pub builder: PathBuf,
}

/// Names the disk in the environment.
const DISK: &str = "GATEWAY_IMAGE";
/// Names the workshop in the environment.
const WORKSHOP: &str = "GATEWAY_IMAGE_WORKSHOP";

impl Image {
    /// The image named by `GATEWAY_IMAGE` (the disk) and `GATEWAY_IMAGE_WORKSHOP` (the root with qemu), if both are set.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Some(Self { disk: path(DISK)?, builder: path(WORKSHOP)? })
    }

    /// Tells a command of it, so that [`Image::of_environment`] finds it there.
    pub fn name_in(&self, command: &mut Command) {
        command.env(DISK, &self.disk).env(WORKSHOP, &self.builder);
    }
}

/// A running machine. Dropped, it is killed.
#[derive(Debug)]
pub struct Vm {
    process: Process,
    directory: TempDir,
    builder: PathBuf,
    started: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Vm {
    /// Plugs it into the lab and switches it on.
    ///
    /// # Errors
    /// When the disks or the taps cannot be made, or qemu cannot be started.
    pub fn start(image: &Image, firmware: &Firmware, lab: &Lab, disks: &[Disk]) -> Result<Self> {
        let alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        // Beside the disk, which is linked into it: a copy would take longer than all the rest.
        let beside = image.disk.parent().context("the disk has no directory")?;
        let directory = TempDir::with_prefix_in("run-", beside).context("no directory for the machine")?;
        let work = directory.path();
        std::fs::hard_link(&image.disk, work.join("disk.qcow2")).with_context(|| format!("cannot link {}", image.disk.display()))?;
        for disk in disks {
            disk.write(&image.builder, work)?;
        }
        cables::plug(lab)?;
        let arguments = words(firmware, &image.builder, work, disks)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let words = workshop::enter(&image.builder, work, "qemu-system-x86_64", &arguments);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let started = Instant::now();
        let process = lab.gateway.spawn(LIFETIME, words[0], &words[1..])?;
        Ok(Self { process, directory, builder: image.builder.clone(), started, _alone: alone })
    }

    /// Since it was switched on.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The processor time that it has cost this machine so far: what tells its speed whatever else goes on here.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.program_pid()?.as_raw_nonzero()))?;
        // proc_pid_stat(5): behind the name in parentheses, the 12th and 13th field are user and system time, in hundredths (USER_HZ).
        let fields = stat.rsplit_once(") ").map_or("", |(_, behind)| behind).split(' ');
        Ok(Duration::from_millis(10 * fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>()))
    }

    /// All that its serial console has shown, behind what qemu itself complains about.
    #[must_use]
    pub fn console(&self) -> String {
        let shown = std::fs::read(self.directory.path().join("serial.log")).unwrap_or_default();
        // A machine's console may say anything.
        self.process.output() + &String::from_utf8_lossy(&shown)
    }

    /// Somebody in front of the serial console. One at a time.
    ///
    /// # Errors
    /// When the machine has ended.
    pub fn serial(&self) -> Result<Serial<'_>> {
        Serial::open(self, &self.directory.path().join("serial.sock"))
    }

    /// Waits until the console has shown this text behind its first `from` bytes, and gives the line it stands in, once it is complete.
    ///
    /// # Errors
    /// When the machine ends, when `stop` is raised, or when the text does not come in time; with the console.
    pub fn wait_console(&self, text: &str, from: usize, limit: Duration, stop: &AtomicBool) -> Result<String> {
        let found = wait_for(limit, format_args!("{text:?} on the console"), || {
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
            let console = self.console();
            let new = console.get(from..).unwrap_or_default();
            if let Some(line) = new.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n')) {
                return Ok(Some(line.trim_end().to_owned()));
            }
            match self.process.ended()? {
                Some(status) => bail!("the machine ended ({status})"),
                None => Ok(None),
            }
        });
        found.with_context(|| format!("the console:\n{}", self.console()))
    }

    /// The guest agent's channel.
    #[must_use]
    pub fn agent(&self) -> Agent {
        Agent::new(&self.directory.path().join("agent.sock"))
    }

    /// qemu's monitor.
    ///
    /// # Errors
    /// When it does not answer, or somebody else has it.
    pub fn monitor(&self) -> Result<Monitor> {
        Monitor::open(&self.directory.path().join("monitor.sock"))
    }

    /// Changes what stands on one of its disks, without a word to the machine.
    ///
    /// # Errors
    /// When the disk cannot be made.
    pub fn rewrite(&self, disk: &Disk) -> Result<()> {
        disk.write(&self.builder, self.directory.path())
    }

    /// Plugs in one more disk, as a hypervisor does while the machine runs.
    ///
    /// # Errors
    /// When qemu refuses it.
    pub fn plug(&self, disk: &Disk) -> Result<()> {
        self.rewrite(disk)?;
        let mut monitor = self.monitor()?;
        let file = json!({ "driver": "file", "filename": disk.file() });
        monitor.run("blockdev-add", &json!({ "driver": "raw", "node-name": disk.name, "read-only": true, "file": file }))?;
        let device =
            json!({ "driver": "virtio-blk-pci", "id": format!("{}-device", disk.name), "drive": disk.name, "serial": disk.serial });
        monitor.run("device_add", &device)?;
        Ok(())
    }

    /// Plugs in one more NIC, whose cable leads nowhere.
    ///
    /// # Errors
    /// When qemu refuses it.
    pub fn plug_nic(&self) -> Result<()> {
        let mut monitor = self.monitor()?;
        monitor.run("netdev_add", &json!({ "type": "hubport", "id": "late", "hubid": 0 }))?;
        monitor.run("device_add", &json!({ "driver": "virtio-net-pci", "id": "late-device", "netdev": "late", "romfile": "" }))?;
        Ok(())
    }

    /// Takes a disk out that was plugged in, with the machine's consent.
    ///
    /// # Errors
    /// When qemu refuses, or the machine does not consent within two minutes.
    pub fn unplug(&self, disk: &Disk) -> Result<()> {
        let mut monitor = self.monitor()?;
        monitor.run("device_del", &json!({ "id": format!("{}-device", disk.name) }))?;
        monitor.event("DEVICE_DELETED")
    }

    /// Switches it off.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn stop(self) -> Result<()> {
        ensure!(self.process.ended()?.is_none(), "the machine had ended already; its console:\n{}", self.console());
        Ok(())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.process.kill();
    }
}
