//! The initramfs: busybox, a script, and the modules that stand between the boot loader and the root.

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
    let mut unpack = String::new();
    for (number, file) in modules.closure(&recipe.list("initramfs/modules.list")?)?.iter().enumerate() {
        // Loaded in the order of their names.
        let target = format!("{STAGE}/modules/{number:02}-{}.ko", name(file));
        let source = format!("{TREE}/{}/{file}", inside.display());
        let tool = if file.ends_with(".xz") { "xz -dc" } else { "cat" };
        unpack.push_str(&format!("{tool} '{source}' > '{target}'\n"));
    }
    workshop.pipe(&unpack)?;
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
