//! The Debian package and the tarball, in a Debian system that boots systemd in a container whose network namespace is a lab's gateway.
//!
//! `cargo xtask package --test` and `cargo xtask test --full` build what is tested here.

mod bench;
mod container;
mod install;
mod manual;
mod sandbox;
mod tarball;
mod units;
mod upgrade;
