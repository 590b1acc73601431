//! Builds one program of the workspace with optimisation, and says where it is.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};

use crate::shell::{cargo, interruption};

/// Builds the program that `target` names in cargo's words (`["--bin", "gateway"]`) of `package`.
///
/// # Errors
/// When it does not build, or on Ctrl-C.
pub fn build(package: &str, target: [&str; 2]) -> Result<PathBuf> {
    build_by(cargo(), package, target)
}

/// As [`build`], with no library to be found at run time: for the target `musl`, or where there is none by glibc's static libraries.
///
/// # Errors
/// As [`build`].
pub fn build_static(package: &str, target: [&str; 2], musl: Option<&str>) -> Result<PathBuf> {
    let mut command = cargo();
    let gnu = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    if musl.is_none() {
        // For the target alone: build scripts and macros stay as they are, and so does what has been built for the host.
        let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", gnu.to_uppercase().replace('-', "_"));
        command.env(variable, "-Ctarget-feature=+crt-static");
    }
    command.env("CARGO_BUILD_TARGET", musl.unwrap_or(&gnu));
    build_by(command, package, target)
}

fn build_by(mut command: Command, package: &str, target: [&str; 2]) -> Result<PathBuf> {
    let [_, name] = target;
    let mut child = command
        .args(["build", "--release", "-p", package])
        .args(target)
        .args(["--message-format", "json-render-diagnostics"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let output = BufReader::new(child.stdout.take().context("cargo has no output")?);
    // Only cargo knows where its target directory is.
    let program = output.lines().map_while(Result::ok).filter_map(|line| executable(&line, name)).last();
    ensure!(!interruption().load(Ordering::Relaxed), "interrupted");
    ensure!(child.wait()?.success(), "{name} does not build");
    program.with_context(|| format!("cargo built no program named {name}"))
}

fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == name).then_some(())?;
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let built = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"gateway"},"executable":"/t/release/gateway"}"#;
        assert_eq!(executable(built, "gateway"), Some("/t/release/gateway".into()));
        assert_eq!(executable(built, "bench"), None);
        assert_eq!(executable(r#"{"reason":"compiler-artifact","target":{"name":"gateway"},"executable":null}"#, "gateway"), None);
        assert_eq!(executable("no json", "gateway"), None);
    }
}
