//! The disk: GPT with a BIOS boot partition, an ESP and the root, put together without loop devices or mounts.

use std::path::Path;

use anyhow::{Context, Result};

use super::grub;
use super::recipe::{DISK_UUID, ESP_ID, HASH_SEED, ROOT_UUID, Recipe};
use super::tree::TREE;
use super::workshop::Workshop;

/// The raw disk, in the working directory.
pub const RAW: &str = "disk.raw";
/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Sectors of a MiB, to which all is aligned.
const MIB: usize = 1024 * 1024 / SECTOR;

/// A partition, in sectors.
pub struct Partition {
    /// Its number, from 1.
    number: usize,
    /// GPT's name and type of it.
    name: &'static str,
    kind: &'static str,
    /// First sector.
    pub start: usize,
    /// Length.
    pub sectors: usize,
}

/// Makes the raw disk out of the tree.
///
/// # Errors
/// When a tool fails.
pub fn make(workshop: &Workshop, recipe: &Recipe, tree: &Path) -> Result<()> {
    grub::make(workshop, recipe, tree)?;
    // Sorted, and no time later than the recipe's: what mke2fs reads is the same for the same files.
    workshop.pipe(&format!(
        "tar --create --file root.tar --directory {TREE} --sort=name --numeric-owner --clamp-mtime --mtime=@{} --format=posix \
         --pax-option=delete=atime,delete=ctime .",
        recipe.epoch()
    ))?;
    let [bios, esp, root] = layout(root_size(&workshop.path("root.tar"))?);
    table(workshop, &[&bios, &esp, &root])?;
    make_esp(workshop, &esp)?;
    make_root(workshop, &root)?;
    for (partition, file) in [(&esp, "esp.img"), (&root, "root.img")] {
        let seek = format!("seek={}", partition.start / MIB);
        workshop.run("dd", &[&format!("if={file}"), &format!("of={RAW}"), "bs=1M", &seek, "conv=notrunc,sparse", "status=none"])?;
    }
    grub::install_bios(workshop, &workshop.path(RAW), &bios)
}

/// The three partitions, one behind the other.
fn layout(root_mib: usize) -> [Partition; 3] {
    [
        Partition { number: 1, name: "bios", kind: "21686148-6449-6E6F-744E-656564454649", start: MIB, sectors: MIB },
        Partition { number: 2, name: "esp", kind: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", start: 2 * MIB, sectors: 16 * MIB },
        Partition { number: 3, name: "root", kind: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", start: 18 * MIB, sectors: root_mib * MIB },
    ]
}

/// MiB for a root of these files: the tar's size, which counts headers where ext4 has inodes, and room for directories. It is never written.
fn root_size(tar: &Path) -> Result<usize> {
    let bytes = std::fs::metadata(tar).with_context(|| format!("cannot read {}", tar.display()))?.len();
    Ok(usize::try_from(bytes).context("a tar beyond all measure")?.div_ceil(1024 * 1024) * 11 / 10 + 8)
}

fn table(workshop: &Workshop, partitions: &[&Partition]) -> Result<()> {
    let mut script = format!("label: gpt\nlabel-id: {DISK_UUID}\n");
    let mut end = 0;
    for partition in partitions {
        let Partition { number, name, kind, start, sectors } = partition;
        let uuid = format!("{}{number}", &DISK_UUID[..DISK_UUID.len() - 1]);
        script.push_str(&format!("{number}: start={start}, size={sectors}, type={kind}, name={name}, uuid={uuid}\n"));
        end = start + sectors;
    }
    std::fs::write(workshop.path("table.sfdisk"), script)?;
    // A MiB behind the last partition for the table's second copy.
    std::fs::File::create(workshop.path(RAW))?.set_len(((end + MIB) * SECTOR) as u64)?;
    workshop.pipe(&format!("sfdisk --quiet --no-reread --no-tell-kernel {RAW} < table.sfdisk"))
}

fn make_esp(workshop: &Workshop, esp: &Partition) -> Result<()> {
    std::fs::File::create(workshop.path("esp.img"))?.set_len((esp.sectors * SECTOR) as u64)?;
    workshop.run("mkfs.vfat", &["--invariant", "-i", ESP_ID, "-n", "ESP", "esp.img"])?;
    workshop.run("mmd", &["-i", "esp.img", "::EFI", "::EFI/BOOT"])?;
    workshop.run("mcopy", &["-i", "esp.img", grub::EFI, "::EFI/BOOT/BOOTX64.EFI"])
}

/// Without a journal, since it is only ever read.
fn make_root(workshop: &Workshop, root: &Partition) -> Result<()> {
    let seed = format!("hash_seed={HASH_SEED},lazy_itable_init=0,root_owner=0:0");
    let size = format!("{}K", root.sectors * SECTOR / 1024);
    let options =
        ["-q", "-t", "ext4", "-L", "gateway-root", "-U", ROOT_UUID, "-m", "0", "-O", "^has_journal,^metadata_csum_seed,^orphan_file"];
    let mut arguments = options.to_vec();
    arguments.extend(["-E", &seed, "-d", "root.tar", "root.img", &size]);
    workshop.run("mke2fs", &arguments)
}
