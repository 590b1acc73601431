//! The root's files: Debian's, the project's over them, units wanted and masked, the daemon.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::debian::Root;
use super::recipe::Recipe;
use super::workshop::Workshop;
use crate::progress::Progress;
use crate::shell::logged;

/// The tree, in the working directory.
pub const TREE: &str = "root";

/// What a package leaves behind that changes nothing but the disk's size.
const LITTER: [&str; 8] = [
    "var/cache",
    "var/log",
    "var/lib/apt",
    "var/lib/dpkg/info",
    "var/lib/systemd/catalog",
    "usr/share/bash-completion",
    "usr/share/zsh",
    "var/lib/dpkg/status-old",
];

/// Puts the tree together, and says where it is.
///
/// # Errors
/// When a file cannot be written, or the recipe names a unit that is not there.
pub fn make(workshop: &Workshop, recipe: &Recipe, root: &Root, program: &Path) -> Result<PathBuf> {
    let tree = workshop.path(TREE);
    std::fs::create_dir(&tree).with_context(|| format!("cannot make {}", tree.display()))?;
    unpack(workshop, root, &tree)?;
    for litter in LITTER {
        clear(&tree.join(litter))?;
    }
    copy_over(&recipe.path("rootfs"), &tree)?;
    for line in recipe.list("masked.list")? {
        mask(&tree, &line)?;
    }
    for line in recipe.list("units.list")? {
        want(&tree, &line)?;
    }
    install(program, &tree.join("usr/bin/gateway"))?;
    kernel(&tree)?;
    Ok(tree)
}

fn unpack(workshop: &Workshop, root: &Root, tree: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command.args(["--numeric-owner", "--exclude=./dev/*", "-C"]).arg(tree).arg("-xf").arg(&root.path);
    logged(&Progress::start(), "tar", &mut command, &workshop.path("log"), Duration::from_secs(300))
}

/// Removes what is in a directory, or a file.
fn clear(path: &Path) -> Result<()> {
    if !path.is_dir() {
        let _ = std::fs::remove_file(path);
        return Ok(());
    }
    std::fs::remove_dir_all(path).and_then(|()| std::fs::create_dir(path)).with_context(|| format!("cannot clear {}", path.display()))
}

/// Copies the overlay: files as 0644 or 0755, whatever the checkout's umask was, and symbolic links as they are.
fn copy_over(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if entry.file_name() == ".gitkeep" {
            continue;
        }
        if kind.is_dir() {
            if !target.is_dir() {
                std::fs::create_dir(&target)?;
                std::fs::set_permissions(&target, PermissionsExt::from_mode(0o755))?;
            }
            copy_over(&source, &target)?;
        } else if kind.is_symlink() {
            let _ = std::fs::remove_file(&target);
            symlink(std::fs::read_link(&source)?, &target)?;
        } else {
            let _ = std::fs::remove_file(&target);
            std::fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
            let mode = if entry.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            std::fs::set_permissions(&target, PermissionsExt::from_mode(mode))?;
        }
    }
    Ok(())
}

/// `unit NAME` or `generator NAME`: a link to /dev/null, which systemd takes for "not at all".
fn mask(tree: &Path, line: &str) -> Result<()> {
    let (directory, name) = match line.split_once(' ') {
        Some(("unit", name)) => ("etc/systemd/system", name),
        Some(("generator", name)) => ("etc/systemd/system-generators", name),
        _ => bail!("masked.list: {line:?} is neither `unit NAME` nor `generator NAME`"),
    };
    let directory = tree.join(directory);
    std::fs::create_dir_all(&directory)?;
    let _ = std::fs::remove_file(directory.join(name));
    symlink("/dev/null", directory.join(name)).with_context(|| format!("cannot mask {name}"))
}

/// `TARGET UNIT`: what `systemctl enable` does.
fn want(tree: &Path, line: &str) -> Result<()> {
    let (target, unit) =
        line.split_once(' ').map(|(target, unit)| (target, unit.trim())).with_context(|| format!("units.list: {line:?}"))?;
    // An instance's file is its template.
    let file = match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((name, _)), Some((_, kind))) => format!("{name}@.{kind}"),
        _ => unit.to_owned(),
    };
    let path = Path::new("usr/lib/systemd/system").join(file);
    ensure!(tree.join(&path).exists(), "units.list: no unit {unit} in the root");
    let wants = tree.join("etc/systemd/system").join(format!("{target}.wants"));
    std::fs::create_dir_all(&wants)?;
    let _ = std::fs::remove_file(wants.join(unit));
    symlink(Path::new("/").join(path), wants.join(unit)).with_context(|| format!("cannot enable {unit}"))
}

fn install(program: &Path, to: &Path) -> Result<()> {
    std::fs::copy(program, to).with_context(|| format!("cannot copy {}", program.display()))?;
    Ok(std::fs::set_permissions(to, PermissionsExt::from_mode(0o755))?)
}

/// Gives the kernel a name without its version, for the boot loader.
fn kernel(tree: &Path) -> Result<()> {
    let boot = tree.join("boot");
    let kernels: Vec<PathBuf> = std::fs::read_dir(&boot)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
        .collect();
    let [kernel] = kernels.as_slice() else { bail!("the root has {} kernels in /boot, not one", kernels.len()) };
    std::fs::rename(kernel, boot.join("vmlinuz")).context("cannot rename the kernel")?;
    for link in ["vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"] {
        let _ = std::fs::remove_file(tree.join(link));
    }
    Ok(())
}
