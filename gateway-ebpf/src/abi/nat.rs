//! Mappings: internal endpoint <-> external endpoint (RFC 4787 section 4). How they lie in their tables: [`crate::table::MappingEntry`].
//!
//! Without padding: what stands on a program's stack is given to global functions whole, and Linux 6.1's verifier refuses a byte of it that
//! nobody has written.

use super::{Family, Port, Protocol, RuleId, Tick};

/// An internal endpoint under one NAT rule and one external address.
///
/// The external address is part of the key: with two egress interfaces one rule has two mappings, and an address change leaves no
/// mapping that means another address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MappingKey<F: Family> {
    /// Internal address.
    pub internal: F::Address,
    /// External address.
    pub external: F::Address,
    /// Internal port, or ICMP query identifier.
    pub internal_port: Port,
    /// The NAT rule.
    pub rule: RuleId,
    /// Protocol.
    pub protocol: Protocol,
    /// Always zero.
    pub zero: [u8; 3],
}

/// The external port of an internal endpoint.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// External port, or ICMP query identifier.
    pub external_port: Port,
    /// Always zero.
    pub zero: u16,
    /// When it was made.
    pub created: Tick,
    /// When a flow was last opened through it; flows keep it alive after that.
    pub last_used: Tick,
}

/// An external endpoint: being in the table is what claims the port (RFC 4787 REQ-3, no overloading).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointKey<F: Family> {
    /// External address.
    pub address: F::Address,
    /// External port.
    pub port: Port,
    /// Protocol.
    pub protocol: Protocol,
    /// Always zero.
    pub zero: u8,
}

/// Whose an external endpoint is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint<F: Family> {
    /// Internal address.
    pub internal: F::Address,
    /// Internal port.
    pub port: Port,
    /// The NAT rule.
    pub rule: RuleId,
    /// 1: any remote may send to it (RFC 4787 section 5, endpoint-independent filtering).
    pub open: u32,
}

#[cfg(test)]
mod tests {
    use super::super::V4;
    use super::*;

    #[test]
    fn entries_have_no_padding() {
        assert_eq!(size_of::<MappingKey<V4>>(), 16);
        assert_eq!(size_of::<Mapping>(), 12);
        assert_eq!(size_of::<EndpointKey<V4>>(), 8);
        assert_eq!(size_of::<Endpoint<V4>>(), 12);
    }
}
