//! The judgements: from what was seen to findings. One file per examination; none of them sends a packet.

mod adjtimex;
mod clock;
mod duplicate;
mod kernel;
mod leftovers;
mod links;
mod offloads;
mod path;
mod pod;
#[cfg(test)]
mod policy_remedies;
mod port_security;
mod queues;
mod sysctls;
#[cfg(test)]
pub mod tests;
mod timekeeping;
mod translation;

pub use clock::clock;
pub use duplicate::duplicate;
pub use kernel::kernel;
pub use leftovers::{is_running, leftovers};
pub use links::links;
pub use offloads::offloads;
pub use path::{Measured, narrow, path};
pub use pod::pod;
pub use port_security::port_security;
pub use queues::queues;
pub use sysctls::sysctls;

/// The binding of KubeVirt's `spec.template.spec.domain.devices`, with one more line in it.
fn virtual_machine_devices(line: &str) -> String {
    format!("spec:\n  template:\n    spec:\n      domain:\n        devices:\n          {line}\n")
}
