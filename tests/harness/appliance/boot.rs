//! What the machine boots by, and how it is built: qemu's command line.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::cables::LEGS;
use super::disks::{Content, Disk};
use super::workshop;

/// MiB, the least that the README promises. The tables for 131,072 flows take 56 of them, and the verifier some for a while.
pub const MEMORY: &str = "256";
/// UEFI's code and variables, in the workshop.
const UEFI: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];
/// Takes kernel, initramfs and boot loader's configuration out of the disk.
const TAKE_OUT: &str = "qemu-img convert -O raw disk.qcow2 disk.raw; \
    start=$(sfdisk -q -l -o Start disk.raw | tail -1); \
    for path in vmlinuz initrd.img grub/grub.cfg; do \
        debugfs -R \"dump /boot/$path ${path##*/}\" \"disk.raw?offset=$((start * 512))\"; test -s ${path##*/}; \
    done; rm disk.raw";

/// What the machine boots by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, KubeVirt's default.
    #[default]
    Bios,
    /// OVMF.
    Uefi,
    /// None: the hypervisor loads the kernel, with these words more on its command line.
    Kernel(String),
}

/// As KubeVirt defines a VM: virtio for all, two vCPUs, as many queues per NIC, the agent's port. qemu64 is the cheapest CPU to emulate.
/// Files are named within the machine's directory `work`.
pub(super) fn words(firmware: &Firmware, builder: &Path, work: &Path, disks: &[Disk]) -> Result<Vec<String>> {
    let fixed = [
        // Nothing is written back to the disks.
        "-snapshot -nodefaults -display none -accel tcg,thread=multi -cpu qemu64 -smp 2",
        // What it shows is kept; what is typed comes through the socket.
        "-chardev socket,id=serial,path=serial.sock,server=on,wait=off,logfile=serial.log -serial chardev:serial",
        "-device virtio-rng-pci -device virtio-serial-pci",
        "-chardev socket,id=agent,path=agent.sock,server=on,wait=off",
        "-device virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
        "-qmp unix:monitor.sock,server=on,wait=off",
        "-drive file=disk.qcow2,if=none,id=root,format=qcow2 -device virtio-blk-pci,drive=root,bootindex=1",
    ];
    let mut words: Vec<String> = fixed.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    add("-m", MEMORY.to_owned());
    for disk in disks {
        let (file, name, serial) = (disk.file(), disk.name, disk.serial);
        let readonly = if matches!(disk.content, Content::Medium(_)) { "on" } else { "off" };
        add("-drive", format!("file={file},if=none,id={name},format=raw,readonly={readonly}"));
        add("-device", format!("virtio-blk-pci,drive={name},serial={serial}"));
    }
    for (number, (tap, _, mac)) in LEGS.iter().enumerate() {
        add("-netdev", format!("tap,id=n{number},ifname={tap},script=no,downscript=no,vhost=off,queues=2"));
        add("-device", format!("virtio-net-pci,id=nic{number},netdev=n{number},mac={mac},mq=on,vectors=6,romfile="));
    }
    match firmware {
        Firmware::Bios => {}
        Firmware::Uefi => {
            let [code, variables] = UEFI;
            add("-drive", format!("if=pflash,format=raw,readonly=on,file={code}"));
            // Written to a layer of its own, as all disks are.
            add("-drive", format!("if=pflash,format=raw,file={variables}"));
        }
        Firmware::Kernel(more) => {
            let line = take_out(builder, work)?;
            add("-kernel", "vmlinuz".to_owned());
            add("-initrd", "initrd.img".to_owned());
            add("-append", format!("{line} {more}"));
        }
    }
    Ok(words)
}

/// Puts the image's kernel and initramfs beside its disk, and gives the command line that its own loader would.
fn take_out(builder: &Path, work: &Path) -> Result<String> {
    let words = workshop::enter(builder, work, "sh", &["-euc", TAKE_OUT]);
    let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().context("cannot run a shell")?;
    ensure!(output.status.success(), "the disk's kernel cannot be taken out: {}", String::from_utf8_lossy(&output.stderr));
    let configuration = std::fs::read_to_string(work.join("grub.cfg")).context("no grub.cfg")?;
    let line = configuration.lines().find_map(|line| line.strip_prefix("linux /boot/vmlinuz "));
    line.map(str::to_owned).context("the boot loader's configuration names no command line")
}
