//! GRUB for both firmwares: the images, and the few numbers that `grub-bios-setup` would patch into them on a real disk.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::disk::{Partition, SECTOR};
use super::recipe::{ROOT_UUID, Recipe};
use super::workshop::Workshop;

/// The UEFI program, in the working directory.
pub const EFI: &str = "BOOTX64.EFI";
/// The BIOS core image, in the working directory.
const CORE: &str = "core.img";

/// Where boot.img keeps the first sector of the core image (`GRUB_BOOT_MACHINE_KERNEL_SECTOR`).
const KERNEL_SECTOR: usize = 0x5c;
/// Where boot.img checks the drive number; two no-operations in place of the jump, as on any hard disk.
const DRIVE_CHECK: usize = 0x66;
/// Boot code ends where the partition table of a protective MBR begins; the disk's own signature lies in between.
const MBR_TABLE: usize = 440;
/// Where the core image's first sector keeps the list of its other blocks: start, length, segment (`grub_boot_blocklist`).
const BLOCK_LIST: usize = 0x1f4;
/// The segment into which the rest of the core image is read (`GRUB_BOOT_MACHINE_KERNEL_SEG`, 0x800, plus the first sector).
const SEGMENT: u16 = 0x820;

/// Builds both images, and writes the configuration that they look for.
///
/// # Errors
/// When a tool fails.
pub fn make(workshop: &Workshop, recipe: &Recipe, tree: &Path) -> Result<()> {
    let boot = tree.join("boot/grub");
    std::fs::create_dir_all(&boot)?;
    let configuration = recipe.text("grub/grub.cfg")?.replace("@ROOT_UUID@", ROOT_UUID).replace("@COMMAND_LINE@", &recipe.command_line()?);
    std::fs::write(boot.join("grub.cfg"), configuration)?;
    std::fs::write(workshop.path("early.cfg"), recipe.text("grub/early.cfg")?.replace("@ROOT_UUID@", ROOT_UUID))?;
    let modules = recipe.list("grub/modules.list")?;
    for (format, file, own) in [("i386-pc", CORE, Some("biosdisk")), ("x86_64-efi", EFI, None)] {
        let mut arguments = vec!["-O", format, "-p", "/boot/grub", "-c", "early.cfg", "-o", file];
        arguments.extend(own);
        arguments.extend(modules.iter().map(String::as_str));
        workshop.run("grub-mkimage", &arguments)?;
    }
    Ok(())
}

/// Puts the BIOS loader on the disk: boot.img into the MBR, the core image into its partition.
///
/// # Errors
/// When the core image is larger than its partition, or the disk cannot be written.
pub fn install_bios(workshop: &Workshop, disk: &Path, partition: &Partition) -> Result<()> {
    let mut boot = read(&workshop.tool("/usr/lib/grub/i386-pc/boot.img"))?;
    let mut core = read(&workshop.path(CORE))?;
    ensure!(boot.len() == SECTOR, "boot.img has {} bytes, not {SECTOR}", boot.len());
    ensure!(core.len() <= partition.sectors * SECTOR, "the core image does not fit into its partition");
    let start = partition.start as u64;
    let rest = u16::try_from(core.len().div_ceil(SECTOR) - 1).context("the core image is too large")?;
    patch(&mut boot, KERNEL_SECTOR, &start.to_le_bytes());
    patch(&mut boot, DRIVE_CHECK, &[0x90, 0x90]);
    patch(&mut core, BLOCK_LIST, &(start + 1).to_le_bytes());
    patch(&mut core, BLOCK_LIST + 8, &rest.to_le_bytes());
    patch(&mut core, BLOCK_LIST + 10, &SEGMENT.to_le_bytes());
    let mut disk = OpenOptions::new().write(true).open(disk).with_context(|| format!("cannot write {}", disk.display()))?;
    disk.write_all(&boot[..MBR_TABLE])?;
    disk.seek(SeekFrom::Start(start * SECTOR as u64))?;
    Ok(disk.write_all(&core)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

fn patch(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}
