//! The kernel's routing side: what is there ([`Observer`]) and what the gateway changes there ([`apply`]); and its connection
//! tracking ([`conntrack`]) and its rulesets ([`rulesets`]).
//!
//! [`Observer`] fills [`crate::inventory::Inventory`] over rtnetlink(7) and keeps it current; every function of [`apply`] is
//! idempotent and writes down in [`apply::Applied`] what it changed, so that a stop, or the start after a crash, undoes exactly that.

pub mod apply;
mod connection;
pub mod conntrack;
mod error;
mod gateways;
mod hardware;
mod lookup;
mod neighbours;
mod observer;
mod parse;
pub mod rulesets;
mod state;
mod xdp_features;

pub use error::NetlinkError;
pub use gateways::{default_gateways, gateways};
pub use hardware::{Channels, Feature, Hardware, Queues, hardware};
pub use lookup::egress;
pub use neighbours::neighbours;
pub use observer::Observer;
