//! Which kernel modules, with all they depend on, in the order in which they can be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The modules of one kernel.
pub struct Modules {
    /// `/usr/lib/modules/<version>`.
    directory: PathBuf,
    /// Each module's file, by name, with the files it depends on, as modules.dep has them: the nearest first.
    files: BTreeMap<String, (String, Vec<String>)>,
    /// Names that are built into the kernel.
    builtin: Vec<String>,
}

impl Modules {
    /// Reads the lists of the one kernel in `tree`.
    ///
    /// # Errors
    /// When there is not exactly one, or its lists cannot be read.
    pub fn of(tree: &Path) -> Result<Self> {
        let all = tree.join("usr/lib/modules");
        let versions: Vec<PathBuf> = std::fs::read_dir(&all)
            .with_context(|| format!("cannot list {}", all.display()))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        let [directory] = versions.as_slice() else { bail!("{} has {} kernels, not one", all.display(), versions.len()) };
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self {
            directory: directory.clone(),
            files: parse(&read("modules.dep")?),
            builtin: read("modules.builtin")?.lines().map(name).collect(),
        })
    }

    /// The files of `wanted` and of all they depend on, below the kernel's directory, in loading order.
    ///
    /// # Errors
    /// When the kernel has no such module.
    pub fn closure(&self, wanted: &[String]) -> Result<Vec<String>> {
        let mut order: Vec<String> = Vec::new();
        for module in wanted {
            let Some((file, needs)) = self.files.get(module) else {
                if self.builtin.contains(module) {
                    continue;
                }
                bail!("this kernel has no module {module}");
            };
            for next in needs.iter().rev().chain([file]) {
                if !order.contains(next) {
                    order.push(next.clone());
                }
            }
        }
        Ok(order)
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn parse(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let line = |line: &str| {
        let (file, needs) = line.split_once(':')?;
        Some((name(file), (file.to_owned(), needs.split_whitespace().map(str::to_owned).collect())))
    };
    text.lines().filter_map(line).collect()
}

/// `kernel/drivers/block/virtio_blk.ko.xz` is `virtio_blk`; a dash in a file's name is an underscore in the module's.
pub fn name(file: &str) -> String {
    let last = file.rsplit('/').next().unwrap_or(file);
    last.split(".ko").next().unwrap_or(last).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        let dep = "kernel/a/sd_mod.ko.xz: kernel/a/scsi_common.ko.xz\nkernel/a/virtio_scsi.ko.xz: kernel/a/scsi_mod.ko.xz kernel/a/scsi_common.ko.xz\nkernel/a/net-failover.ko.xz:\n";
        Modules { directory: PathBuf::new(), files: parse(dep), builtin: vec!["ext4".into()] }
    }

    #[test]
    fn what_a_module_needs_comes_before_it_and_once() {
        let wanted = ["virtio_scsi", "sd_mod", "ext4", "net_failover"].map(str::to_owned);
        let order: Vec<String> = modules().closure(&wanted).unwrap().iter().map(|file| name(file)).collect();
        assert_eq!(order, ["scsi_common", "scsi_mod", "virtio_scsi", "sd_mod", "net_failover"]);
    }

    #[test]
    fn a_module_that_is_not_there_is_an_error() {
        let error = modules().closure(&["floppy".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("floppy"), "{error}");
    }
}
