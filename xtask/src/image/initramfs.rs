//! The initramfs: busybox, a script, and the modules that stand between the boot loader and the root.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::modules::{Modules, name};
use super::recipe::Recipe;
use super::tree::TREE;
use super::workshop::Workshop;

/// The directory it is packed from, in the working directory.
const STAGE: &str = "initramfs";

/// Makes `/boot/initrd.img` in the tree.
///
/// # Errors
/// When a module is missing, or a tool fails.
pub fn make(workshop: &Workshop, recipe: &Recipe, tree: &Path) -> Result<()> {
    let stage = workshop.path(STAGE);
    for directory in ["bin", "dev", "proc", "sys", "lower", "rw", "root", "modules"] {
        std::fs::create_dir_all(stage.join(directory))?;
    }
    copy(&tree.join("usr/bin/busybox"), &stage.join("bin/busybox"))?;
    copy(&recipe.path("initramfs/init"), &stage.join("init"))?;
    let modules = Modules::of(tree)?;
    let inside = modules.directory().strip_prefix(tree)?;
    let (mut unpack, mut order) = (BTreeSet::new(), String::new());
    for line in recipe.list("initramfs/modules.list")? {
        let (module, devices) = line.split_once(' ').unwrap_or((&line, ""));
        let files = modules.closure(&[module.to_owned()])?;
        for file in &files {
            let (from, to) = (format!("{TREE}/{}/{file}", inside.display()), format!("{STAGE}/modules/{}.ko", name(file)));
            let tool = if file.ends_with(".xz") { "xz -dc" } else { "cat" };
            unpack.insert(format!("{tool} '{from}' > '{to}'"));
        }
        let names: Vec<String> = files.iter().map(|file| format!("{}.ko", name(file))).collect();
        order.push_str(&format!("{};{}\n", names.join(" "), devices.trim()));
    }
    std::fs::write(stage.join("modules/order"), order)?;
    workshop.pipe(&unpack.into_iter().collect::<Vec<_>>().join("\n"))?;
    workshop.pipe(&format!(
        "cd {STAGE}; find . -exec touch -h -d @{} {{}} +; find . -print0 | sort -z | \
         cpio --null --create --format=newc --reproducible --owner=0:0 --quiet | zstd -19 -q > ../{TREE}/boot/initrd.img",
        recipe.epoch()
    ))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(std::fs::set_permissions(to, PermissionsExt::from_mode(0o755))?)
}
