//! The appliance's image, booted as a virtual machine between the lab's networks.
//!
//! What boots it comes from the image's own workshop (a Debian root with qemu in it, made by `cargo xtask image`), under software emulation:
//! hardware virtualisation is not to be had everywhere. One machine at a time, with nothing of it written back to the disk.

mod agent;
mod boot;
mod cables;
mod clock;
mod disks;
mod monitor;
mod serial;
pub mod story;
mod vm;
pub mod workshop;

pub use agent::Agent;
pub use boot::{Firmware, MEMORY};
pub use disks::{Content, Disk, Medium};
pub use monitor::Monitor;
pub use serial::Serial;
pub use vm::{Image, Vm};
