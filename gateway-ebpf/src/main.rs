//! The BPF object: maps and hooks around the packet core. Anywhere but on BPF, an empty main.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(not(target_arch = "bpf"))]
fn main() {}
