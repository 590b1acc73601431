//! What the tests and the lab share: namespaces of their own, a topology, waiting without sleeping, honest skips.
//!
//! Free of the daemon on purpose: xtask builds this before the BPF toolchain is there. The packet core is here as a pure library only.

pub mod appliance;
pub mod bench;
pub mod control;
pub mod figures;
pub mod frames;
pub mod gateway;
pub mod lab;
pub mod namespace;
pub mod process;
pub mod site;
pub mod skip;
pub mod wait;
pub mod world;

pub use gateway::Gateway;
pub use lab::Lab;
pub use namespace::Namespace;
pub use process::Process;
pub use skip::skip;
pub use wait::{tcp_listening, udp_bound, wait_until};
