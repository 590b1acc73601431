//! The contract between the daemon and the live commands: requests and answers over a root-only Unix socket.
//!
//! [`view`] is the data, [`protocol`] the messages, [`ControlServer`] the daemon's end and [`Client`] the commands' end. Nothing here knows
//! the daemon's state: each request goes to the daemon's loop as a [`ControlRequest`], so the loop stays the only owner.

mod client;
mod explain;
mod filter;
mod label;
pub mod protocol;
mod server;
#[cfg(test)]
pub(crate) mod tests;
pub mod view;

pub use client::{Client, ControlError, ask};
pub use explain::explain;
pub use filter::FlowFilter;
pub use protocol::{Refusal, RefusalKind, Request, Response};
pub use server::{ControlRequest, ControlServer, ServerError};
