//! Zone pair policy: which rule of a list matches, and what the firewall says of a new flow.

mod judge;
mod search;

pub use judge::{Judgement, Subject, judge};
pub use search::{Query, Search, find};
