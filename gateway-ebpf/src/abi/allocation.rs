//! The memory of a search for an external port; as [`super::Search`], only for the programs.

use super::{Endpoint, EndpointKey, Family, FlowKey};

/// An inclusive range of ports, host order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest; not below `first`.
    pub last: u16,
}

/// How a search stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// No free port so far.
    #[default]
    Searching,
    /// The port in `claimed` is this flow's.
    Found,
    /// The table of external endpoints has no room.
    Full,
}

/// A search under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation<F: Family> {
    /// Key of the port hash.
    pub secret: [u64; 2],
    /// What is hashed.
    pub seed: u64,
    /// Where the port must lie.
    pub range: PortRange,
    /// The internal port, host order.
    pub internal: u16,
    /// The external port must be odd when the internal one is (RFC 4787 REQ-4).
    pub keep_parity: bool,
    /// Only the flow's reply tuple must be unique, not the port.
    pub per_flow: bool,
    /// How it stands.
    pub outcome: Outcome,
    /// The external endpoint that is tried.
    pub claimed: EndpointKey<F>,
    /// Whose it becomes.
    pub endpoint: Endpoint<F>,
    /// The key of the reply direction, when `per_flow`.
    pub reply: FlowKey<F>,
}
