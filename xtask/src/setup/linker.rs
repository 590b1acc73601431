//! bpf-linker, built against the very libLLVM that rustc uses: another LLVM cannot read rustc's bitcode reliably.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::toolchain::Toolchain;
use super::tools::{Tools, stamp_matches};
use crate::progress::Progress;
use crate::shell::{answer, cargo, logged};

/// The version the build is proved with.
const VERSION: &str = "0.13.0";

/// Makes sure of the linker, and says where it is.
///
/// # Errors
/// When it cannot be built; with the end of the build's log.
pub fn ensure(progress: &Progress, tools: &Tools, toolchain: &Toolchain) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("GATEWAY_BPF_LINKER").map(PathBuf::from) {
        ensure!(works(&given), "GATEWAY_BPF_LINKER={} does not run", given.display());
        return Ok(given);
    }
    let linker = tools.path("bin/bpf-linker");
    let stamp = tools.path("bin/.stamp");
    let wanted = format!("{VERSION} {}", toolchain.stamp());
    if stamp_matches(&stamp, &wanted) && works(&linker) {
        return Ok(linker);
    }
    progress.say(format_args!(
        "bpf-linker {VERSION}: building it against rustc's LLVM {}, which takes half a minute to some minutes; it links the BPF object",
        toolchain.llvm
    ));
    build(progress, tools, toolchain).with_context(|| {
        format!(
            "cannot build bpf-linker {VERSION}.\nBy hand: build it with `cargo install bpf-linker --version {VERSION}` against LLVM {} and set GATEWAY_BPF_LINKER to the program",
            toolchain.llvm
        )
    })?;
    ensure!(works(&linker), "{} was built and does not run", linker.display());
    std::fs::write(&stamp, wanted)?;
    Ok(linker)
}

fn build(progress: &Progress, tools: &Tools, toolchain: &Toolchain) -> Result<()> {
    let libraries = toolchain.sysroot.join("lib");
    let llvm = find_llvm(&libraries)
        .with_context(|| format!("no libLLVM.so in {}: this toolchain links LLVM statically; use one from rustup", libraries.display()))?;
    let work = tools.path(&format!("bpf-linker.{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(work.join("lib"))?;
    // Its build script looks for a plain `libLLVM.so` below a prefix, and rustc's carries a version in its name.
    std::os::unix::fs::symlink(&llvm, work.join("lib/libLLVM.so"))?;
    let mut command = cargo();
    command
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--no-default-features", "--force"])
        .args(["--features", &format!("llvm-{}", toolchain.llvm)])
        .arg("--root")
        .arg(tools.path(""))
        // Neither this workspace's configuration nor the caller's flags have a say.
        .current_dir(&work)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env("LLVM_PREFIX", &work)
        .env("RUSTFLAGS", format!("-Clink-arg=-Wl,-rpath,{}", libraries.display()))
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    let outcome = logged(progress, "cargo install bpf-linker", &mut command, &tools.log("bpf-linker"), Duration::from_secs(1800));
    let _ = std::fs::remove_dir_all(&work);
    outcome
}

fn works(linker: &Path) -> bool {
    linker.is_file() && answer(&linker.display().to_string(), &["--version"]).is_ok()
}

fn find_llvm(libraries: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(libraries)
        .ok()?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libLLVM.so.")))
        .collect();
    found.sort();
    found.into_iter().next()
}
