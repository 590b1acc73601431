//! What the tests and the lab share: namespaces of their own, a topology, waiting without sleeping, honest skips.
//!
//! Free of the daemon and the packet core on purpose: xtask builds this before the BPF toolchain is there.

pub mod lab;
pub mod namespace;
pub mod process;
pub mod skip;
pub mod wait;

pub use lab::Lab;
pub use namespace::Namespace;
pub use process::Process;
pub use skip::skip;
pub use wait::{tcp_listening, udp_bound, wait_until};
