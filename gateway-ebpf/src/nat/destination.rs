//! Destination NAT: port forwards, and inbound packets to a mapping that is open to any remote.

use crate::abi::{Address, Bank, BankHeader, EndpointKey, Family, FlowKey, Port, RuleFlags, RuleId, RuleList};
use crate::env::Env;
use crate::search::find;

/// Where a packet really goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<F: Family> {
    /// The server's address.
    pub address: F::Address,
    /// The server's port.
    pub port: Port,
    /// The NAT rule; 0 when nothing is translated.
    pub rule: RuleId,
    /// The rule of the open mapping that it goes to (endpoint-independent filtering); 0 when it goes to none.
    pub admitted: RuleId,
}

/// Translates the destination of the original direction. The query in [`Env::search`] must describe the packet as it arrived.
#[inline(always)]
pub fn translate_destination<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    bank: Bank,
    header: &BankHeader,
    key: &FlowKey<F>,
) -> Destination<F> {
    let unchanged = Destination { address: key.destination, port: key.destination_port, rule: RuleId(0), admitted: RuleId(0) };
    if !F::TRANSLATES {
        return unchanged;
    }
    if let Some(rule) = find(env, bank, RuleList::DestinationNat, header.len(RuleList::DestinationNat)) {
        let address = F::Address::from_words(rule.target.address);
        let port = if rule.flags.has(RuleFlags::KEEP_PORT) {
            key.destination_port
        } else {
            let step = key.destination_port.number().wrapping_sub(rule.port_first);
            Port::new(rule.target.port_first.wrapping_add(step))
        };
        return Destination { address, port, rule: rule.id, admitted: RuleId(0) };
    }
    if header.open == 0 {
        return unchanged;
    }
    let endpoint =
        env.endpoint(&EndpointKey { address: key.destination, port: key.destination_port, protocol: key.link().protocol(), zero: 0 });
    match endpoint {
        Some(endpoint) if endpoint.open != 0 => {
            Destination { address: endpoint.internal, port: endpoint.port, rule: endpoint.rule, admitted: endpoint.rule }
        }
        _ => unchanged,
    }
}
