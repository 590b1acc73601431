//! The packet core: bytes and table look-ups in, a decision out.
//!
//! Pure and without `unsafe`: no clock, no I/O. It runs in `cargo test`, and, compiled for BPF, in the kernel. Two seams separate it from
//! the world: [`frame`] (bytes) and [`mod@env`] (every question about the world).
//!
//! Imports point one way: `abi, wire <- packet, table <- search <- {flow, nat, zone, route} <- pipeline <- hooks`.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod answer;
pub mod bench;
pub mod decision;
pub mod env;
pub mod fast_path;
pub mod flow;
pub mod frame;
pub mod nat;
pub mod packet;
pub mod pipeline;
pub mod rewrite;
pub mod route;
pub mod search;
pub mod table;
pub mod verifier;
pub mod wire;
pub mod zone;
