//! Established flows: look-up, trust, and the steps of their life.

mod state;
mod store;

pub use state::{Step, step};
pub use store::{Pair, promote, remove_both, store_half_open};

use crate::abi::{Config, Family, Flow, FlowFlags};

/// Whether an entry was decided under the policy and the routes of now, and knows its next hop.
#[inline(always)]
#[must_use]
pub fn is_current<F: Family>(flow: &Flow<F>, config: &Config) -> bool {
    flow.decided == config.generation()
}

/// Whether a frame can leave at once.
#[inline(always)]
#[must_use]
pub fn has_next_hop<F: Family>(flow: &Flow<F>) -> bool {
    flow.flags.has(FlowFlags::NEXT_HOP)
}
