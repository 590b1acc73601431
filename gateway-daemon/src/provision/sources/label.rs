//! The label of a file system, from its first sectors. Nothing else is looked at: whether it can be mounted, the kernel knows best.

use std::io::{self, Read, Seek, SeekFrom};

/// File systems that sources come on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// What KubeVirt makes of cloud-init data, ConfigMaps and Secrets.
    Iso9660,
    /// What people make with mtools or in Windows.
    Vfat,
    /// A volume of a storage class.
    Ext4,
}

impl FileSystem {
    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso9660 => "iso9660",
            Self::Vfat => "vfat",
            Self::Ext4 => "ext4",
        }
    }
}

/// Up to and with the ISO's primary volume descriptor (ECMA-119, 8.4), the farthest of the three.
const HEAD: usize = 0x8000 + 2048;

/// Which file system, and its label.
///
/// # Errors
/// When the medium cannot be read.
pub fn identify(medium: &mut (impl Read + Seek)) -> io::Result<Option<(FileSystem, String)>> {
    let mut head = Vec::with_capacity(HEAD);
    medium.seek(SeekFrom::Start(0))?;
    medium.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(iso9660(&head).or_else(|| ext4(&head)).or_else(|| vfat(&head)))
}

/// ECMA-119, 8.4: type 1, `CD001`, volume identifier at 40.
fn iso9660(head: &[u8]) -> Option<(FileSystem, String)> {
    let descriptor = head.get(0x8000..)?;
    (descriptor.get(..6)? == b"\x01CD001").then(|| (FileSystem::Iso9660, text(descriptor.get(40..72).unwrap_or_default())))
}

/// The superblock at 1024: magic at 0x38, label at 0x78 (Documentation/filesystems/ext4/super.rst).
fn ext4(head: &[u8]) -> Option<(FileSystem, String)> {
    let superblock = head.get(1024..)?;
    (superblock.get(0x38..0x3a)? == b"\x53\xef").then(|| (FileSystem::Ext4, text(superblock.get(0x78..0x88).unwrap_or_default())))
}

/// The boot sector: the label stands before the words `FAT32`, or `FAT12` and `FAT16` (fatgen103, boot sector structure).
fn vfat(head: &[u8]) -> Option<(FileSystem, String)> {
    (head.get(510..512)? == b"\x55\xaa").then_some(())?;
    let at = if head.get(82..87)? == b"FAT32" {
        71
    } else if head.get(54..57)? == b"FAT" {
        43
    } else {
        return None;
    };
    Some((FileSystem::Vfat, text(head.get(at..at + 11)?)))
}

fn text(padded: &[u8]) -> String {
    String::from_utf8_lossy(padded).trim_matches(['\0', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn found(bytes: Vec<u8>) -> Option<(FileSystem, String)> {
        identify(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn an_iso_is_known_by_its_volume_descriptor() {
        let mut bytes = vec![0; HEAD];
        bytes[0x8000..0x8006].copy_from_slice(b"\x01CD001");
        bytes[0x8028..0x8048].copy_from_slice(b"cidata                          ");
        assert_eq!(found(bytes), Some((FileSystem::Iso9660, "cidata".into())));
    }

    #[test]
    fn a_small_medium_with_fat_has_its_label_in_front() {
        let mut bytes = vec![0; 1024];
        bytes[510..512].copy_from_slice(b"\x55\xaa");
        bytes[43..62].copy_from_slice(b"CIDATA     FAT12   ");
        assert_eq!(found(bytes.clone()), Some((FileSystem::Vfat, "CIDATA".into())));
        bytes[54..59].copy_from_slice(b"     ");
        bytes[71..87].copy_from_slice(b"CONFIG-2   FAT32");
        assert_eq!(found(bytes), Some((FileSystem::Vfat, "CONFIG-2".into())));
    }

    #[test]
    fn ext4_has_its_label_in_the_superblock_and_noise_is_nothing() {
        let mut bytes = vec![0; 4096];
        assert_eq!(found(bytes.clone()), None);
        bytes[1024 + 0x38..1024 + 0x3a].copy_from_slice(b"\x53\xef");
        bytes[1024 + 0x78..1024 + 0x86].copy_from_slice(b"gateway-policy");
        assert_eq!(found(bytes), Some((FileSystem::Ext4, "gateway-policy".into())));
        assert_eq!(found(vec![]), None);
    }
}
