//! The few words that every decision starts from, and how the two banks of policy tables are laid out.

use super::{Abi, Action, Bank, Generation, Rule, RuleFlags};

/// Rules per list and bank.
pub const LIST_LEN: u32 = 1024;
/// Entries of the rule table: three lists in two banks.
pub const RULES_LEN: u32 = LIST_LEN * 3 * 2;
/// Pool addresses per bank.
pub const POOL_LEN: u32 = 1024;

/// Which list of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleList {
    /// `[[firewall.rules]]`
    Firewall = 0,
    /// `[[nat.source]]`
    SourceNat = 1,
    /// `[[nat.destination]]`
    DestinationNat = 2,
}

/// Where rule `position` of a list stands in the rule table.
#[inline(always)]
#[must_use]
pub const fn rule_index(bank: Bank, list: RuleList, position: u32) -> u32 {
    (bank.0 * 3 + list as u32) * LIST_LEN + position
}

/// The one configuration entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The current policy. A flow decided under another is decided again at its next packet.
    pub policy: Generation,
    /// The current state of links, addresses, routes and neighbours. Likewise.
    pub routing: Generation,
    /// Key of the port hash (RFC 6056 section 3.3.3): without it external ports could be guessed (RFC 6888 REQ-15).
    pub secret: [u64; 2],
    /// Flows that one internal host may hold.
    pub flows_per_host: u32,
    /// Always zero.
    pub zero: u32,
}

impl Config {
    /// What flows are decided under. Both parts only ever grow, so a sum that comes again has seen no change of either.
    #[inline(always)]
    #[must_use]
    pub const fn generation(&self) -> Generation {
        Generation(self.policy.0.wrapping_add(self.routing.0))
    }
}

/// What a bank of policy tables holds.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BankHeader {
    /// How many rules each list has, by [`RuleList`].
    pub lists: [u32; 3],
    /// What happens where no firewall rule matches.
    pub default: Action,
    /// Not 0: a source NAT rule opens its mappings to any remote ([`super::RuleFlags::OPEN_FILTERING`]). Where none does, no packet has to be
    /// held against the mappings.
    pub open: u8,
    /// Always zero.
    pub zero: [u8; 2],
}

impl BankHeader {
    /// Of these lists.
    #[must_use]
    pub fn of(default: Action, firewall: &[Rule], source_nat: &[Rule], destination_nat: &[Rule]) -> Self {
        let open = source_nat.iter().any(|rule| rule.flags.has(RuleFlags::OPEN_FILTERING));
        Self { lists: [firewall, source_nat, destination_nat].map(|rules| rules.len() as u32), default, open: open as u8, zero: [0; 2] }
    }

    /// The length of a list.
    #[inline(always)]
    #[must_use]
    pub const fn len(&self, list: RuleList) -> u32 {
        match list {
            RuleList::Firewall => self.lists[0],
            RuleList::SourceNat => self.lists[1],
            RuleList::DestinationNat => self.lists[2],
        }
    }
}

impl Abi for Config {}
impl Abi for BankHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_of::<Config>(), 32);
        assert_eq!(size_of::<BankHeader>(), 16);
    }
}
