//! What `cargo xtask bench` can be asked for: parts, ways of forwarding, packets.
//!
//! Here and not beside the bench, because both need it: xtask refuses a wrong word before it builds anything, and the bench measures by it.

pub mod choice;
pub mod subject;
pub mod workload;
