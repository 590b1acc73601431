//! The disk that keeps state over a restart of the machine: a file system labelled `gateway-state`, or a blank disk whose serial is
//! `gateway-state`, which is given one first. Without such a disk, state lives in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::sources::disks;
use super::sources::label::FileSystem;

/// Label and serial.
const NAME: &str = "gateway-state";
/// Where it is mounted.
const DIRECTORY: &str = "/var/lib/gateway";
/// blkid(8): nothing is on the disk. Whatever else it says is somebody's data.
const BLANK: i32 = 2;
/// e2fsck(8): below this, everything that was wrong has been mended.
const UNMENDED: i32 = 4;

/// Why state is not kept as it should be.
#[derive(Debug, thiserror::Error)]
pub enum StateDiskError {
    /// Somebody else's data.
    #[error(
        "{0} has the serial {NAME} and holds something else, so it is left alone and state is kept in memory; label its ext4 file system \
         {NAME} to use it, or empty the disk"
    )]
    Foreign(PathBuf),
    /// A tool cannot do its work.
    #[error("{tool} {device} failed: {message}; state is kept in memory")]
    Tool {
        /// Which program.
        tool: &'static str,
        /// The disk.
        device: PathBuf,
        /// What it said.
        message: String,
    },
    /// Damage beyond repair.
    #[error("{0} has errors that could not be mended; it is used all the same, until it is exchanged")]
    Damaged(PathBuf),
    /// The kernel refuses it.
    #[error("{device} cannot be mounted at {DIRECTORY}: {source}; state is kept in memory")]
    Mount {
        /// The disk.
        device: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
}

/// Mounts it, unless it is mounted already; says what was done.
pub fn attach(applied: &mut Vec<String>, problems: &mut Vec<StateDiskError>) {
    if is_mounted() {
        return;
    }
    let device = match find() {
        Ok(Some((device, how))) => {
            applied.push(format!("state disk {}{how}", device.display()));
            device
        }
        Ok(None) => return,
        Err(error) => return problems.push(error),
    };
    match Command::new("e2fsck").arg("-p").arg(&device).output() {
        Ok(output) if output.status.code().is_some_and(|code| code < UNMENDED) => {}
        Ok(_) => problems.push(StateDiskError::Damaged(device.clone())),
        Err(error) => problems.push(StateDiskError::Tool { tool: "e2fsck", device: device.clone(), message: error.to_string() }),
    }
    let flags = MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if let Err(source) = mount(&device, DIRECTORY, FileSystem::Ext4.name(), flags, None) {
        problems.push(StateDiskError::Mount { device, source });
    }
}

/// The disk with its file system, and a word about where that is from.
fn find() -> Result<Option<(PathBuf, &'static str)>, StateDiskError> {
    if let Some(disk) = disks::all().into_iter().find(|disk| disk.label == NAME && disk.system == FileSystem::Ext4) {
        return Ok(Some((disk.device, "")));
    }
    let Some(device) = disks::with_serial(NAME) else { return Ok(None) };
    if run("blkid", &["-p"], &device)?.status.code() != Some(BLANK) {
        return Err(StateDiskError::Foreign(device));
    }
    let made = run("mke2fs", &["-q", "-t", FileSystem::Ext4.name(), "-L", NAME], &device)?;
    if !made.status.success() {
        let message = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(StateDiskError::Tool { tool: "mke2fs", device, message });
    }
    Ok(Some((device, ", which was blank and has a file system now")))
}

fn run(tool: &'static str, words: &[&str], device: &Path) -> Result<std::process::Output, StateDiskError> {
    let failed = |error: std::io::Error| StateDiskError::Tool { tool, device: device.to_owned(), message: error.to_string() };
    Command::new(tool).args(words).arg(device).output().map_err(failed)
}

/// proc_pid_mountinfo(5): the fifth field is the place.
fn is_mounted() -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(4) == Some(DIRECTORY))
}
