//! The server and the client together, over a socket of their own.

pub mod daemon;
pub mod sample;
mod socket;
