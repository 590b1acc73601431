//! The project's own commands: `cargo xtask setup|test|layers|lab|demo|bench|image|package`.
#![forbid(unsafe_code)]

mod bench;
mod debian;
mod demo;
mod image;
mod kernels;
mod lab;
mod layers;
mod package;
mod product;
mod progress;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what building and testing need: rust-src, bpf-linker, Debian packages.
    Setup(setup::Arguments),
    /// Build once and run every test of the workspace.
    Test(test::Arguments),
    /// Check that imports point one way and `unsafe` stays where it may be.
    Layers,
    /// Make, remove or enter a network of namespaces to try the gateway in.
    Lab(lab::Arguments),
    /// Drive real programs through the gateway, in tc and in XDP mode, and show what became of their packets.
    Demo,
    /// Measure the gateway beside what users would pick instead: packets, TCP, new flows, rules, memory.
    Bench(bench::Arguments),
    /// Build the appliance: a bootable disk, and the containerDisk for KubeVirt.
    Image(image::Arguments),
    /// Build the Debian package, and the tarball with a static program.
    Package(package::Arguments),
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Arguments::parse().command {
        Command::Setup(arguments) => setup::run(&arguments).map(done),
        Command::Test(arguments) => test::run(&arguments),
        Command::Layers => layers::run().map(done),
        Command::Lab(arguments) => lab::run(&arguments).map(done),
        Command::Demo => demo::run().map(done),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Image(arguments) => image::run(&arguments).map(done),
        Command::Package(arguments) => package::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
