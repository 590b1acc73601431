//! The memory of a rule search. Only the programs read and write it, but it is a map's value like the others: the kernel's stack of 512
//! bytes has no room for it, and the callback of `bpf_loop` finds it there.

use super::{SetBits, ZoneId};

/// The packet's side of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Zone it came from.
    pub from: ZoneId,
    /// Zone it goes to; 0 while that is not known.
    pub to: ZoneId,
    /// Protocol, ICMPv6 written as ICMP.
    pub protocol: u8,
    /// ICMP type.
    pub icmp_type: u8,
    /// Destination port, host order.
    pub port: u16,
    /// Sets the source is in.
    pub source: SetBits,
    /// Sets the destination is in.
    pub destination: SetBits,
}

/// A search under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// What is looked for.
    pub query: Query,
    /// Index of the list's first rule in the rule table.
    pub base: u32,
    /// Index of the rule that matched plus one; 0 none.
    pub found: u32,
}
