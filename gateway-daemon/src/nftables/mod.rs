//! nftables beside the eBPF datapath: the guard of the kernel's own forward and input path.

mod error;
pub mod guard;
mod input;
mod program;
mod ruleset;
pub mod survey;

pub use error::GuardError;
