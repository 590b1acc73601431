//! The gateway's daemon: policy -> model -> plan -> datapath.
//!
//! Imports point one way: `policy -> model -> plan -> datapath`, and only `daemon` and `cli` see all of them.

pub mod cli;
pub mod control;
pub mod datapath;
pub mod instance;
pub mod inventory;
pub mod model;
