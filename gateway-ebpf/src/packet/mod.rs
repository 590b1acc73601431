//! A packet as the stages see it: parsed once, immutable.

mod parse;
mod tuple;

pub use parse::{ipv4, ipv6};
pub use tuple::{Headers, Kind, Packet};
