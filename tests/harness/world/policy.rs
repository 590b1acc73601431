//! A compiled policy, as the daemon's plan would make it, and short ways to write its rules.

use std::net::Ipv4Addr;

use gateway_ebpf::abi::{
    Action, BankHeader, Interface, Ipv4, Protocol, Rule, RuleFlags, RuleId, RuleTarget, SetBits, SetId, TranslateKind, ZoneId,
};
use ipnet::IpNet;

/// What a policy file compiles to.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Interfaces in zones.
    pub interfaces: Vec<Interface>,
    /// Sets by number.
    pub sets: Vec<(SetId, Vec<IpNet>)>,
    /// Firewall rules, first match wins.
    pub firewall: Vec<Rule>,
    /// Source NAT rules.
    pub source_nat: Vec<Rule>,
    /// Destination NAT rules.
    pub destination_nat: Vec<Rule>,
    /// Pool addresses.
    pub pool: Vec<Ipv4>,
    /// What happens where no firewall rule matches.
    pub default: Action,
    /// Quota.
    pub flows_per_host: u32,
}

impl Policy {
    pub(super) fn header(&self) -> BankHeader {
        BankHeader::of(self.default, &self.firewall, &self.source_nat, &self.destination_nat)
    }

    /// Every prefix of every set, each with the sets of all prefixes around it: what one longest-prefix look-up must answer.
    #[must_use]
    pub fn members(&self) -> Vec<(IpNet, SetBits)> {
        let all: Vec<(SetId, IpNet)> = self.sets.iter().flat_map(|(set, prefixes)| prefixes.iter().map(|p| (*set, p.trunc()))).collect();
        let mut members: Vec<(IpNet, SetBits)> = Vec::new();
        for (_, prefix) in &all {
            if members.iter().any(|(known, _)| known == prefix) {
                continue;
            }
            let mut bits = SetBits::default();
            all.iter().filter(|(_, around)| around.contains(prefix)).for_each(|(set, _)| bits.insert(*set));
            members.push((*prefix, bits));
        }
        members
    }
}

/// Firewall: accepts every flow between two zones; zone 0 is any.
#[must_use]
pub fn accept(id: u16, from: ZoneId, to: ZoneId) -> Rule {
    Rule { id: RuleId(id), from, to, action: Action::ACCEPT, ..Default::default() }
}

/// Firewall: drops every flow between two zones.
#[must_use]
pub fn refuse(id: u16, from: ZoneId, to: ZoneId) -> Rule {
    Rule { action: Action::DROP, ..accept(id, from, to) }
}

/// Firewall: rejects every flow between two zones.
#[must_use]
pub fn reject(id: u16, from: ZoneId, to: ZoneId) -> Rule {
    Rule { action: Action::REJECT, ..accept(id, from, to) }
}

/// Source NAT: the egress interface's address, ports 1024 to 65535.
#[must_use]
pub fn masquerade(id: u16, from: ZoneId, to: ZoneId) -> Rule {
    let target = RuleTarget { port_first: 1024, port_last: 65_535, ..Default::default() };
    Rule { id: RuleId(id), from, to, translate: TranslateKind::MASQUERADE, target, ..Default::default() }
}

/// Source NAT: the first `len` addresses of the policy's pool.
#[must_use]
pub fn pooled(id: u16, from: ZoneId, to: ZoneId, len: u16) -> Rule {
    let target = RuleTarget { pool_len: len, ..masquerade(id, from, to).target };
    Rule { translate: TranslateKind::POOL, target, ..masquerade(id, from, to) }
}

/// Source NAT: no translation.
#[must_use]
pub fn exempt(id: u16, from: ZoneId, to: ZoneId) -> Rule {
    Rule { translate: TranslateKind::NONE, ..masquerade(id, from, to) }
}

/// Destination NAT: one port of the addresses in `set`, from a zone, to a server.
#[must_use]
pub fn forward(id: u16, from: ZoneId, protocol: Protocol, set: SetId, port: u16, server: (Ipv4Addr, u16)) -> Rule {
    let address = [Ipv4::from_octets(server.0.octets()).0, 0, 0, 0];
    Rule {
        id: RuleId(id),
        from,
        protocol: protocol.0,
        flags: RuleFlags(RuleFlags::PORTS),
        port_first: port,
        port_last: port,
        destination: set,
        target: RuleTarget { address, port_first: server.1, ..Default::default() },
        ..Default::default()
    }
}
