//! The datapath library in a lab, without the daemon: what the daemon on this kernel would not show.

mod clsact;
mod expiry;
mod lent;
mod tables;
