//! The connection mark of a forwarded flow: who let it through, between which zones.
//!
//! ```text
//!   31      24 23      16 15                0
//!  +----------+----------+------------------+
//!  | to-zone  | from-zone| firewall rule    |    rule 0: not accepted (yet), 0xffff: accepted by the default
//!  +----------+----------+------------------+
//! ```
//!
//! A flow is judged once, by its first packet; while nobody has answered, connection tracking calls its other packets new as well, and the
//! mark is what tells them apart.

use gateway_ebpf::abi::{RuleId, ZoneId};

/// The bits of the rule.
pub const RULE_BITS: u32 = 0xffff;
/// In the place of a rule: the default accepted the flow.
const DEFAULT: u16 = 0xffff;

/// The mark of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mark(pub u32);

/// Who accepted a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcceptedBy {
    /// A firewall rule.
    Rule(RuleId),
    /// `[firewall] default`.
    Default,
}

impl Mark {
    /// The bits that say who accepted.
    #[must_use]
    pub const fn accepted(by: AcceptedBy) -> Self {
        Self(match by {
            AcceptedBy::Rule(rule) => rule.0 as u32,
            AcceptedBy::Default => DEFAULT as u32,
        })
    }

    /// The bits that say between which zones.
    #[must_use]
    pub const fn zones(from: ZoneId, to: ZoneId) -> Self {
        Self((from.0 as u32) << 16 | (to.0 as u32) << 24)
    }

    /// Both together.
    #[must_use]
    pub const fn new(by: AcceptedBy, from: ZoneId, to: ZoneId) -> Self {
        Self(Self::accepted(by).0 | Self::zones(from, to).0)
    }

    /// Who accepted the flow; `None`: nobody, so it is not one of the gateway's.
    #[must_use]
    pub const fn by(self) -> Option<AcceptedBy> {
        match (self.0 & RULE_BITS) as u16 {
            0 => None,
            DEFAULT => Some(AcceptedBy::Default),
            rule => Some(AcceptedBy::Rule(RuleId(rule))),
        }
    }

    /// The zone it came from.
    #[must_use]
    pub const fn from(self) -> ZoneId {
        ZoneId((self.0 >> 16 & 0xff) as u8)
    }

    /// The zone it goes to.
    #[must_use]
    pub const fn to(self) -> ZoneId {
        ZoneId((self.0 >> 24) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_was_put_in() {
        for by in [AcceptedBy::Rule(RuleId(1)), AcceptedBy::Rule(RuleId(65_534)), AcceptedBy::Default] {
            let mark = Mark::new(by, ZoneId(3), ZoneId(254));
            assert_eq!((mark.by(), mark.from(), mark.to()), (Some(by), ZoneId(3), ZoneId(254)));
        }
        assert_eq!(Mark::new(AcceptedBy::Rule(RuleId(5)), ZoneId(1), ZoneId(2)), Mark(0x0201_0005));
        assert_eq!(Mark::zones(ZoneId(1), ZoneId(2)).by(), None, "judged, but not accepted");
    }
}
