//! Source and destination NAT of a flow's first packet.

mod allocate;
mod destination;
mod mapping;
pub mod siphash;
mod source;

pub use allocate::attempt;
pub use destination::{Destination, translate_destination};
pub use mapping::undo;
pub use source::{Claim, Source, claim, expected_source, select};
