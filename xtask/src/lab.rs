//! `cargo xtask lab`: the topology of [`gateway_tests::lab`], kept until it is taken down.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use gateway_tests::Namespace;
use gateway_tests::lab::{GATEWAY_PODS, Lab, ONPREM, ROOMS, SERVER, VM1, VM2, names};

/// What `lab` is asked for.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// What the namespaces' names begin with; another name makes another lab.
    #[arg(long, global = true, default_value = "gwlab", value_name = "NAME")]
    prefix: String,
}

#[derive(Subcommand)]
enum Action {
    /// Make the lab's namespaces and links.
    Up,
    /// Remove what `up` made, even when it crashed half-way, and end what runs in there.
    Down,
    /// Open a shell in one of its namespaces.
    Shell {
        /// gateway, pods, onprem, switch, vm1 or vm2
        #[arg(default_value = "gateway", value_parser = ROOMS)]
        name: String,
    },
}

/// Does what was asked for.
///
/// # Errors
/// When not root, when the lab is up already (or is not), or when the kernel refuses.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "making namespaces needs root");
    match &arguments.action {
        Action::Up => up(&arguments.prefix),
        Action::Down => down(&arguments.prefix),
        Action::Shell { name } => shell(&arguments.prefix, name),
    }
}

fn up(prefix: &str) -> Result<()> {
    let state = state_file(prefix);
    if state.exists() {
        bail!("a lab is up, or crashed ({}); `cargo xtask lab down` removes it", state.display());
    }
    for name in names(prefix) {
        ensure!(!Namespace::existing(&name).exists(), "the namespace {name} exists and was not made by this command; it is left alone");
    }
    // Before the first namespace: after a crash it still says what may be removed.
    std::fs::write(&state, names(prefix).join("\n")).with_context(|| format!("cannot write {}", state.display()))?;
    match Lab::up(prefix) {
        Ok(lab) => lab.keep(),
        Err(error) => {
            let _ = std::fs::remove_file(&state);
            return Err(error.context("cannot build the lab"));
        }
    }
    println!(
        "The lab is up:\n\n  \
         vm1 {VM1} ─┐ overlay, MTU 1400                          ┌─ pods {SERVER}: server, and router to\n  \
         vm2 {VM2} ─┴─────────── eth1 gateway eth0 ──────────────┘  onprem {ONPREM}\n                               {GATEWAY_PODS}\n\n\
         cargo xtask lab shell gateway    then: gateway run --policy tests/policies/seed.toml\n\
         cargo xtask lab shell vm1        then: ping {SERVER}\n\
         cargo xtask lab down             removes it"
    );
    Ok(())
}

fn down(prefix: &str) -> Result<()> {
    let state = state_file(prefix);
    let Ok(listed) = std::fs::read_to_string(&state) else {
        println!("no lab is up");
        return Ok(());
    };
    for name in listed.lines() {
        let namespace = Namespace::existing(name);
        if namespace.exists() {
            namespace.remove()?;
            println!("removed {name}");
        }
    }
    std::fs::remove_file(&state).with_context(|| format!("cannot remove {}", state.display()))
}

fn shell(prefix: &str, room: &str) -> Result<()> {
    let namespace = Namespace::existing(&format!("{prefix}-{room}"));
    ensure!(state_file(prefix).exists() && namespace.exists(), "no lab is up; `cargo xtask lab up` makes one");
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let mut command: Command = namespace.command(&shell);
    command.env("PS1", format!("{room}# ")).env("debian_chroot", room);
    // The shell's own exit status says nothing about the lab.
    command.status().with_context(|| format!("cannot run {shell}"))?;
    Ok(())
}

/// Below /run: like the namespaces, it is gone after a reboot.
fn state_file(prefix: &str) -> PathBuf {
    PathBuf::from("/run").join(format!("{prefix}.namespaces"))
}
