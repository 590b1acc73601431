//! Block devices: which there are, what they are called, and what is on them.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::files::Files;
use super::label::{self, FileSystem};
use crate::provision::error::ProvisionError;

/// Where disks are mounted, one after the other.
const MOUNT: &str = "/run/gateway-source";

/// A disk or partition with a file system that sources come on.
#[derive(Debug)]
pub struct Disk {
    /// Its node below `/dev`.
    pub device: PathBuf,
    /// What is on it.
    pub system: FileSystem,
    /// The file system's label.
    pub label: String,
    /// What the hypervisor calls the disk; empty where it says nothing.
    pub serial: String,
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk {} (label {:?}", self.device.display(), self.label)?;
        if !self.serial.is_empty() {
            write!(f, ", serial {:?}", self.serial)?;
        }
        f.write_str(")")
    }
}

impl Disk {
    /// Mounts it for a moment and reads its files.
    ///
    /// # Errors
    /// When it cannot be mounted or listed.
    pub fn read(&self) -> Result<Files, ProvisionError> {
        fs::create_dir_all(MOUNT).map_err(ProvisionError::Mount)?;
        // What a reading that was killed has left there: the kernel refuses a disk where it is mounted already.
        let _ = unmount(MOUNT, UnmountFlags::DETACH);
        let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSUID;
        mount(&self.device, MOUNT, self.system.name(), flags, None).map_err(|errno| ProvisionError::Mount(errno.into()))?;
        let files = Files::of(Path::new(MOUNT));
        let _ = unmount(MOUNT, UnmountFlags::DETACH);
        let _ = fs::remove_dir(MOUNT);
        files
    }
}

/// All of them, by name; disks before their partitions.
pub fn all() -> Vec<Disk> {
    names().iter().filter_map(|name| disk(name)).collect()
}

/// The first disk that the hypervisor calls so, whatever is on it.
pub fn with_serial(wanted: &str) -> Option<PathBuf> {
    names().iter().find(|name| serial(name).is_ok_and(|serial| serial == wanted)).map(|name| Path::new("/dev").join(name))
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir("/sys/class/block").into_iter().flatten().flatten() {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !["loop", "ram", "zram", "fd", "dm-"].iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    names
}

fn disk(name: &str) -> Option<Disk> {
    let device = Path::new("/dev").join(name);
    // An empty drive has no medium to open.
    let (system, label) = File::open(&device).ok().and_then(|mut file| label::identify(&mut file).ok().flatten())?;
    Some(Disk { device, system, label, serial: serial(name).unwrap_or_default() })
}

/// virtio-blk tells the serial in a file of its own, SCSI and SATA in vital product data (page 0x80, text from the fifth byte on).
fn serial(name: &str) -> io::Result<String> {
    let directory = Path::new("/sys/class/block").join(name);
    if let Ok(text) = fs::read_to_string(directory.join("serial")) {
        return Ok(text.trim().to_owned());
    }
    let page = fs::read(directory.join("device/vpd_pg80"))?;
    Ok(String::from_utf8_lossy(page.get(4..).unwrap_or_default()).trim_matches(['\0', ' ', '\n']).to_owned())
}
