//! A case: a policy and traffic, a change and more traffic; and what a run of it has seen.

use crate::change::Change;
use crate::policy::Policy;
use crate::traffic::Step;

/// A policy with traffic, and a change of it with traffic thereafter.
#[derive(Clone, Debug)]
pub struct Case {
    /// The policy to begin with.
    pub policy: Policy,
    /// Traffic under it.
    pub steps: Vec<Step>,
    /// What is changed then, while the conversations are open.
    pub change: Change,
    /// Traffic after the change: of the same conversations, and new.
    pub after: Vec<Step>,
}

/// As it can be written into [`crate::cases`].
impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "policy: {:?}", self.policy)?;
        for (name, steps) in [("steps", &self.steps), ("after", &self.after)] {
            writeln!(f, "{name}:")?;
            steps.iter().try_for_each(|step| writeln!(f, "    {step:?},"))?;
        }
        writeln!(f, "change: {:?}", self.change)
    }
}

/// What a run has seen, for showing that it has seen something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Packets sent, in each lane.
    pub packets: u64,
    /// Of these, forwarded.
    pub forwarded: u64,
    /// Dropped.
    pub dropped: u64,
    /// Forwarded with another source.
    pub source_nat: u64,
    /// Forwarded with another destination.
    pub destination_nat: u64,
    /// Replies that came back to their origin.
    pub restored: u64,
    /// Of conversations that were open when the policy changed: packets that were dropped then.
    pub cut: u64,
    /// Conversations whose senders were told that they are refused.
    pub answered: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.forwarded += other.forwarded;
        self.dropped += other.dropped;
        self.source_nat += other.source_nat;
        self.destination_nat += other.destination_nat;
        self.restored += other.restored;
        self.cut += other.cut;
        self.answered += other.answered;
    }
}
