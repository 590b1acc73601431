//! What the datapath reports as it happens: rules with `log = true`. Everything else is counters.

use super::{Abi, RuleId};

/// What happened.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventKind(pub u8);

impl EventKind {
    /// A rule accepted a new flow.
    pub const ACCEPTED: Self = Self(1);
    /// A rule dropped or rejected a packet.
    pub const REFUSED: Self = Self(2);
}

/// One report; 48 bytes. Addresses are [`super::Address::words`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// IP protocol.
    pub protocol: u8,
    /// The rule that said so.
    pub rule: RuleId,
    /// 4 or 6.
    pub family: u8,
    /// Always zero.
    pub zero: [u8; 3],
    /// The real client.
    pub source: [u32; 4],
    /// The real server.
    pub destination: [u32; 4],
    /// Source port, host order.
    pub source_port: u16,
    /// Destination port, host order.
    pub destination_port: u16,
    /// Interface it came from.
    pub ifindex: u32,
}

impl Abi for Event {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size() {
        assert_eq!(size_of::<Event>(), 48);
    }
}
