//! Compiled rules: one form for the firewall and both NAT lists, matched in order, first match wins.

use super::{Abi, Bank, Family, RuleId, V4, V6, ZoneId};

/// How many sets one policy may have; an address's membership is a bit each.
pub const SETS_LEN: usize = 256;

/// A set's number plus one; 0 matches every address.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetId(pub u16);

/// Which sets an address is in: the value of the longest-prefix table, where every prefix carries the sets of all prefixes around it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetBits(pub [u64; SETS_LEN / 64]);

impl SetBits {
    /// True when the address is in `set`, or `set` is "any".
    #[inline(always)]
    #[must_use]
    pub fn contains(&self, set: SetId) -> bool {
        if set.0 == 0 {
            return true;
        }
        let bit = set.0 - 1;
        // A mask in place of a bounds check: the verifier wants no panic path.
        let word = self.0[((bit >> 6) & 3) as usize];
        (word >> (bit & 63)) & 1 == 1
    }

    /// Becomes a copy of `other`, or empty.
    #[inline(always)]
    pub fn copy_from(&mut self, other: Option<&Self>) {
        match other {
            Some(other) => *self = *other,
            None => *self = Self([0; SETS_LEN / 64]),
        }
    }

    /// Adds the address to `set`.
    pub fn insert(&mut self, set: SetId) {
        if let Some(bit) = set.0.checked_sub(1) {
            self.0[usize::from((bit >> 6) & 3)] |= 1 << (bit & 63);
        }
    }

    /// Everything in either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
        self
    }
}

/// The data part of a longest-prefix key: the bank is matched exactly, by 32 bits in front of the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SetKey<F: Family> {
    /// Which copy of the policy.
    pub bank: Bank,
    /// The address.
    pub address: F::Address,
}

/// What a firewall rule does.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Action(pub u8);

impl Action {
    /// Discard silently.
    pub const DROP: Self = Self(0);
    /// Let the flow pass.
    pub const ACCEPT: Self = Self(1);
    /// Discard and answer.
    pub const REJECT: Self = Self(2);
}

/// Bits of [`Rule::flags`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleFlags(pub u8);

impl RuleFlags {
    /// `port_first..=port_last` must contain the destination port.
    pub const PORTS: u8 = 1;
    /// `icmp_type` must be equal.
    pub const ICMP_TYPE: u8 = 2;
    /// Report each new flow.
    pub const LOG: u8 = 4;
    /// `rate_*` limits how many flows the rule accepts.
    pub const RATE: u8 = 8;
    /// Source NAT: one mapping per flow (RFC 4787 address and port-dependent mapping).
    pub const MAPPING_PER_FLOW: u8 = 16;
    /// Source NAT: any remote may use a mapping (endpoint-independent filtering).
    pub const OPEN_FILTERING: u8 = 32;
    /// Destination NAT: the port stays as it is.
    pub const KEEP_PORT: u8 = 64;

    /// True when the bit is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// What a source NAT rule translates to.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TranslateKind(pub u8);

impl TranslateKind {
    /// Exempt.
    pub const NONE: Self = Self(0);
    /// The egress interface's address.
    pub const MASQUERADE: Self = Self(1);
    /// An address of the pool.
    pub const POOL: Self = Self(2);
}

/// The NAT part of a rule.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTarget {
    /// Destination NAT: the server's address, as [`super::Address::words`].
    pub address: [u32; 4],
    /// Destination NAT: the port that `port_first` becomes. Source NAT: the lowest external port.
    pub port_first: u16,
    /// Source NAT: the highest external port.
    pub port_last: u16,
    /// Source NAT: the pool's first entry in the pool table's bank.
    pub pool_first: u16,
    /// Source NAT: how many addresses the pool has.
    pub pool_len: u16,
}

/// One compiled rule; 48 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Zone the packet came from; 0 any.
    pub from: ZoneId,
    /// Zone it leaves to; 0 any.
    pub to: ZoneId,
    /// IP protocol; 0 any. 1 stands for ICMP and ICMPv6 alike.
    pub protocol: u8,
    /// See [`RuleFlags`].
    pub flags: RuleFlags,
    /// Lowest destination port.
    pub port_first: u16,
    /// Highest destination port.
    pub port_last: u16,
    /// Where the source must be.
    pub source: SetId,
    /// Where the destination must be.
    pub destination: SetId,
    /// The rule's number.
    pub id: RuleId,
    /// Firewall: what to do.
    pub action: Action,
    /// ICMP type.
    pub icmp_type: u8,
    /// Source NAT: what to translate to.
    pub translate: TranslateKind,
    /// Always zero.
    pub zero: u8,
    /// Rate: how many flows may come at once.
    pub rate_burst: u16,
    /// NAT.
    pub target: RuleTarget,
    /// Rate: nanoseconds per flow, at most 2^32 - 1 (4.3 s).
    pub rate_interval_ns: u32,
}

impl Abi for SetBits {}
impl Abi for Rule {}
impl Abi for SetKey<V4> {}
impl Abi for SetKey<V6> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_no_padding() {
        assert_eq!(size_of::<Rule>(), 48);
        assert_eq!(size_of::<SetKey<V4>>(), 8);
        assert_eq!(size_of::<SetKey<V6>>(), 20);
    }

    #[test]
    fn set_bits_hold_every_set() {
        for n in 1..=SETS_LEN as u16 {
            let mut bits = SetBits::default();
            bits.insert(SetId(n));
            for m in 1..=SETS_LEN as u16 {
                assert_eq!(bits.contains(SetId(m)), n == m);
            }
            assert!(bits.contains(SetId(0)));
        }
    }
}
