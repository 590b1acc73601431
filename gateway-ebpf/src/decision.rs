//! What the core decides; the hook carries it out. A decision is `Result<Forward, Reason>`: a packet is rewritten and sent, or left
//! untouched and dropped, punted to the kernel's forwarding path, or passed to the local stack.

use crate::abi::{Address, Family, Flow, FlowFlags, FlowKey, IfIndex, Mac, Port};
use crate::wire::checksum;

/// How a packet leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forward<F: Family> {
    /// Source address.
    pub source: F::Address,
    /// Destination address.
    pub destination: F::Address,
    /// Source port.
    pub source_port: Port,
    /// Destination port.
    pub destination_port: Port,
    /// RFC 1624 difference of both addresses.
    pub address_delta: u16,
    /// False: addresses and ports are those of the packet.
    pub translated: bool,
    /// Egress interface.
    pub egress: IfIndex,
    /// Both MACs are known. If not, the kernel must resolve `gateway` first and holds the packet meanwhile. Two members and not an enum
    /// with data: the verifier refuses to read the unused half of one.
    pub resolved: bool,
    /// The next station's MAC.
    pub next_mac: Mac,
    /// The egress interface's MAC.
    pub own_mac: Mac,
    /// The next station's address.
    pub gateway: F::Address,
}

impl<F: Family> Forward<F> {
    /// By a flow's cached rewrite and next hop, for a packet of this key. `own_mac` is the egress interface's; `gateway` matters only
    /// while the flow's next hop is not known.
    #[inline(always)]
    #[must_use]
    pub fn by(flow: &Flow<F>, key: &FlowKey<F>, own_mac: Mac, gateway: F::Address) -> Self {
        let translated = flow.flags.has(FlowFlags::TRANSLATED);
        let address_delta = if translated {
            let new = checksum::sum(flow.source.words()) + checksum::sum(flow.destination.words());
            checksum::replacement(new, key.source.words(), key.destination.words())
        } else {
            0
        };
        Self {
            source: flow.source,
            destination: flow.destination,
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            address_delta,
            translated,
            egress: flow.egress,
            resolved: flow.flags.has(FlowFlags::NEXT_HOP),
            next_mac: flow.next_mac,
            own_mac,
            gateway,
        }
    }
}
