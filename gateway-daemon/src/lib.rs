//! The gateway's daemon: policy -> model -> plan -> datapath.
//!
//! Imports point one way: `policy -> model -> plan -> datapath`, and only `daemon` and `cli` see all of them.

pub mod announce;
pub mod answers;
pub mod cli;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod instance;
pub mod inventory;
pub mod model;
pub mod netlink;
pub mod nftables;
pub mod plan;
pub mod policy;
pub mod provision;
pub mod sysctl;
