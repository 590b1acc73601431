//! The packet core, through the host world: what happens to packets, flow by flow.

mod checksum;
mod drops;
mod fast_path;
mod flow;
mod generation;
mod nat;
mod port_forward;
mod route;
mod talk;
mod v6;
mod zone;
