//! The virtual machine: qemu in the lab's gateway room, its serial console, its agent.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::cables::{self, LEGS};
use super::{Agent, Seed, workshop};
use crate::wait::wait_for;
use crate::{Lab, Process};

/// The end of a forgotten machine.
const LIFETIME: Duration = Duration::from_secs(420);
/// MiB. The tables for 131,072 flows take 130 of them, and the verifier some for a while.
const MEMORY: &str = "320";
/// UEFI's code and variables, in the workshop.
const UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];

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

/// What the machine boots by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, KubeVirt's default.
    #[default]
    Bios,
    /// OVMF.
    Uefi,
}

/// A running machine. Dropped, it is killed.
#[derive(Debug)]
pub struct Vm {
    process: Process,
    directory: TempDir,
    started: Instant,
}

impl Vm {
    /// Plugs it into the lab and switches it on.
    ///
    /// # Errors
    /// When the disks or the taps cannot be made, or qemu cannot be started.
    pub fn start(image: &Image, firmware: Firmware, lab: &Lab, seed: &Seed) -> Result<Self> {
        // Beside the disk, which is linked into it: a copy would take longer than all the rest.
        let beside = image.disk.parent().context("the disk has no directory")?;
        let directory = TempDir::with_prefix_in("run-", beside).context("no directory for the machine")?;
        let work = directory.path();
        std::fs::hard_link(&image.disk, work.join("disk.qcow2")).with_context(|| format!("cannot link {}", image.disk.display()))?;
        seed.write(&image.builder, work)?;
        cables::plug(lab)?;
        let arguments = arguments(firmware);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let words = workshop::enter(&image.builder, work, "qemu-system-x86_64", &arguments);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let started = Instant::now();
        let process = lab.gateway.spawn(LIFETIME, words[0], &words[1..])?;
        Ok(Self { process, directory, started })
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

    /// All that its serial console has shown.
    #[must_use]
    pub fn console(&self) -> String {
        self.process.output()
    }

    /// Waits until the console has shown this text, and gives the line it stands in, once it is complete.
    ///
    /// # Errors
    /// When the machine ends, when `stop` is raised, or when the text does not come in time; with the console.
    pub fn wait_console(&self, text: &str, limit: Duration, stop: &AtomicBool) -> Result<String> {
        let found = wait_for(limit, format_args!("{text:?} on the console"), || {
            ensure!(!stop.load(Ordering::Relaxed), "interrupted");
            let console = self.console();
            if let Some(line) = console.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n')) {
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

    /// Changes what stands on its configuration disk.
    ///
    /// # Errors
    /// When the disk cannot be made.
    pub fn reseed(&self, image: &Image, seed: &Seed) -> Result<()> {
        seed.write(&image.builder, self.directory.path())
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

/// As KubeVirt defines a VM: virtio for all, two vCPUs, as many queues per NIC, the agent's port. qemu64 is the cheapest CPU to emulate.
fn arguments(firmware: Firmware) -> Vec<String> {
    let mut words: Vec<String> = [
        "-snapshot",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "qemu64",
        "-smp",
        "2",
        "-m",
        MEMORY,
        "-serial",
        "stdio",
        "-device",
        "virtio-rng-pci",
        "-device",
        "virtio-serial-pci",
        "-chardev",
        "socket,id=agent,path=/work/agent.sock,server=on,wait=off",
        "-device",
        "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        "-drive",
        "file=/work/disk.qcow2,if=virtio,format=qcow2",
        "-drive",
        "file=/work/seed.iso,if=virtio,format=raw,readonly=on",
    ]
    .map(str::to_owned)
    .to_vec();
    if firmware == Firmware::Uefi {
        let [code, variables] = UEFI;
        words.extend(["-drive".to_owned(), format!("if=pflash,format=raw,readonly=on,file={code}")]);
        // Written to a layer of its own, as all disks are.
        words.extend(["-drive".to_owned(), format!("if=pflash,format=raw,file={variables}")]);
    }
    for (number, (tap, _, mac)) in LEGS.iter().enumerate() {
        words.extend(["-netdev".to_owned(), format!("tap,id=n{number},ifname={tap},script=no,downscript=no,vhost=off,queues=2")]);
        words.extend(["-device".to_owned(), format!("virtio-net-pci,netdev=n{number},mac={mac},mq=on,vectors=6,romfile=")]);
    }
    words
}
