//! Zone pair policy: what the firewall says of a new flow.

mod judge;

pub use judge::{Judgement, Subject, judge};
