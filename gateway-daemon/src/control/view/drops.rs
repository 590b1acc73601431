//! `gateway drops`: why packets were not forwarded, and by which rule.

use gateway_ebpf::abi::Reason;
use serde::{Deserialize, Serialize};

use crate::control::explain;
use crate::control::label::labelled;

/// Everything that `gateway drops` shows. Counters begin at the daemon's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropsView {
    /// By reason; reasons that were never used may be left out.
    pub reasons: Vec<ReasonView>,
    /// Firewall rules that refuse, the default included.
    pub rules: Vec<RuleView>,
    /// Firewall rules that accept, the default included.
    pub accepted: Vec<RuleView>,
}

labelled! {
    /// What becomes of a packet that the datapath does not forward.
    ReasonKind {
        /// It is discarded.
        Drop = "drop";
        /// The kernel finishes it, to answer with an ICMP error.
        Punt = "punt";
        /// It is not the datapath's: the kernel's own stack gets it.
        Pass = "pass";
    }
}

/// The counter of one reason. Labels are unique within a kind, not across kinds: "no-route" is a drop and a punt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonView {
    /// The reason's label.
    pub reason: String,
    /// Packets; a GSO packet counts once.
    pub packets: u64,
    /// What became of them.
    pub kind: ReasonKind,
    /// The reason as a sentence.
    pub explanation: String,
}

impl ReasonView {
    /// A counter of the datapath with its name and meaning.
    #[must_use]
    pub fn new(reason: Reason, packets: u64) -> Self {
        let (kind, label) = match reason {
            Reason::Drop(reason) => (ReasonKind::Drop, reason.label()),
            Reason::Punt(reason) => (ReasonKind::Punt, reason.label()),
            Reason::Pass(reason) => (ReasonKind::Pass, reason.label()),
        };
        Self { reason: label.to_owned(), packets, kind, explanation: explain(reason).to_owned() }
    }
}

labelled! {
    /// What a firewall rule does.
    RuleAction {
        /// Lets the flow through.
        Accept = "accept";
        /// Discards silently.
        Drop = "drop";
        /// Discards and says so (TCP reset, or ICMP unreachable).
        Reject = "reject";
    }
}

/// The counter of one firewall rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// The rule's name.
    pub rule: String,
    /// What it does.
    pub action: RuleAction,
    /// Packets that it decided: a flow's first packet, not those that follow on an accepted flow.
    pub packets: u64,
}
