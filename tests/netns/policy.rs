//! The seed policy, as it stands and with changes.

use crate::bench::Mode;

/// A policy's text in the making.
#[derive(Clone, Debug)]
pub struct Policy(String);

impl Policy {
    /// The users' own policy.
    pub fn seed() -> Self {
        Self(include_str!("../policies/seed.toml").to_owned())
    }

    /// With `[datapath] mode`.
    pub fn mode(self, mode: Mode) -> Self {
        self.datapath(&format!("mode = \"{}\"", mode.word()))
    }

    /// With `[datapath]` and these lines in it.
    pub fn datapath(self, lines: &str) -> Self {
        assert!(!self.0.contains("[datapath]"), "one [datapath] table is enough");
        self.replace("version = 1\n", &format!("version = 1\n\n[datapath]\n{lines}\n"))
    }

    /// With `before` exchanged for `after`, once.
    pub fn replace(self, before: &str, after: &str) -> Self {
        assert!(self.0.contains(before), "no {before:?} in the policy:\n{}", self.0);
        Self(self.0.replacen(before, after, 1))
    }

    /// With a firewall rule in front of all others: `name` and the lines below it.
    pub fn first_rule(self, name: &str, lines: &str) -> Self {
        self.replace("[[firewall.rules]]", &format!("[[firewall.rules]]\nname = \"{name}\"\n{lines}\n\n[[firewall.rules]]"))
    }

    /// With these lines in the interface table of eth1, the overlay's leg.
    pub fn overlay_leg(self, lines: &str) -> Self {
        self.replace("[interfaces.eth1]\n", &format!("[interfaces.eth1]\n{lines}\n"))
    }

    /// With a further table at the end.
    pub fn and(self, table: &str) -> Self {
        Self(format!("{}\n{table}\n", self.0))
    }

    /// The whole.
    pub fn text(&self) -> &str {
        &self.0
    }
}
