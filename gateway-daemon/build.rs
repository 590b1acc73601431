//! Builds the BPF object that the daemon carries, and beside it the bench's, of which only the path is handed on.
//!
//! aya-build cannot pass `target-cpu=v3` (its flags are fixed), which the core's 32-bit jumps and bounds need; so cargo is called here.
//! Where the tools are is said by `cargo xtask setup`, in a file named `env`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "bpfel-unknown-none";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let core = manifest.join("../gateway-ebpf");
    for watched in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", core.join(watched).display());
    }
    println!("cargo::rerun-if-env-changed=GATEWAY_TOOLS");
    let tools_file = tools_dir().join("env");
    println!("cargo::rerun-if-changed={}", tools_file.display());
    let Ok(text) = fs::read_to_string(&tools_file) else {
        println!("cargo::error=the BPF tools are not installed: {} is missing; run `cargo xtask setup` first", tools_file.display());
        return;
    };
    let tools: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let Some(linker) = tools.get("EBPF_LINKER").filter(|linker| !linker.is_empty()) else {
        println!("cargo::error={} names no EBPF_LINKER; run `cargo xtask setup` again", tools_file.display());
        return;
    };

    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    let flags = [&format!("--cfg=bpf_target_arch=\"{arch}\""), "-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"].join("\x1f");
    let target_dir = out.join("bpf");
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo
        .current_dir(&manifest)
        .args(["build", "--package", "gateway-ebpf", "--bins", "--release", "--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        // What clippy and the outer build set for themselves must not reach this build.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC")
        .env_remove("CARGO_BUILD_TARGET");
    if let Some(source) = tools.get("EBPF_RUST_SRC").filter(|source| !source.is_empty()) {
        cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", source);
    }
    match cargo.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            for line in String::from_utf8_lossy(&output.stderr).lines() {
                println!("cargo::error={line}");
            }
            return;
        }
        Err(error) => {
            println!("cargo::error=cannot start cargo for the BPF object: {error}");
            return;
        }
    }
    let object = target_dir.join(TARGET).join("release/gateway-ebpf");
    if let Err(error) = fs::copy(&object, out.join("gateway.bpf.o")) {
        println!("cargo::error=cannot copy {}: {error}", object.display());
    }
    println!("cargo::rustc-env=GATEWAY_BENCH_OBJECT={}", target_dir.join(TARGET).join("release/bench").display());
}

/// Where `cargo xtask setup` puts things; the same rule as there.
fn tools_dir() -> PathBuf {
    if let Some(dir) = env::var_os("GATEWAY_TOOLS") {
        return PathBuf::from(dir);
    }
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".local/share");
    data.unwrap_or_else(home).join("gateway-build")
}
