//! The wanted content of every table, from the model and what is observed. Pure: the same two inputs give the same plan.

mod firewall;
mod interface;
mod nat;
mod numbers;
mod sets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use gateway_ebpf::abi::{self, Action, Rule, SetBits};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use interface::{ModeReason, PlannedInterface, WaitReason, Waiting};
pub use nat::{LOCAL_PORTS, MASQUERADE_PORTS};
pub use numbers::Numbers;

use crate::inventory::{IfIndex, Inventory};
use crate::model::{self, Model, RuleName};
use sets::Sets;

/// The policy tables of one bank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyTables {
    /// `[[firewall.rules]]` that concern forwarded traffic.
    pub firewall: Vec<Rule>,
    /// `[[nat.source]]`.
    pub source_nat: Vec<Rule>,
    /// `[[nat.destination]]`.
    pub destination_nat: Vec<Rule>,
    /// What happens where no firewall rule matches.
    pub default: Action,
    /// Set membership of every IPv4 prefix.
    pub sets_v4: BTreeMap<Ipv4Net, SetBits>,
    /// Set membership of every IPv6 prefix.
    pub sets_v6: BTreeMap<Ipv6Net, SetBits>,
    /// Addresses of all pools, one after the other.
    pub pool: Vec<Ipv4Addr>,
}

/// Everything that the datapath should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The policy.
    pub policy: PolicyTables,
    /// Interfaces that carry traffic.
    pub interfaces: BTreeMap<IfIndex, PlannedInterface>,
    /// Interfaces that the policy names and that cannot carry traffic now.
    pub waiting: Vec<Waiting>,
    /// The gateway's own IPv4 addresses, on whatever link.
    pub own_v4: BTreeSet<Ipv4Addr>,
    /// The gateway's own IPv6 addresses.
    pub own_v6: BTreeSet<Ipv6Addr>,
    /// Flows that one internal host may hold.
    pub flows_per_host: u32,
    /// Rules that are not in the tables, because the datapath has no number left for their addresses.
    pub left_out: Vec<RuleName>,
    /// Changes whenever links, addresses, routes or neighbours did.
    pub routing_changes: u64,
}

/// The plan for this policy and this machine.
#[must_use]
pub fn plan(model: &Model, inventory: &Inventory, numbers: &Numbers) -> Plan {
    let (interfaces, waiting) = interface::plan(model, inventory, numbers);
    let mut sets = Sets::default();
    let mut pool = Vec::new();
    let policy = PolicyTables {
        firewall: firewall::compile(model, numbers, &mut sets),
        source_nat: nat::compile_source(model, numbers, &mut sets, &mut pool),
        destination_nat: nat::compile_destination(model, inventory, numbers, &mut sets),
        default: firewall::action(model.firewall.default),
        pool,
        ..Default::default()
    };
    let (sets_v4, sets_v6) = sets.membership();
    let (own_v4, own_v6) = own_addresses(inventory);
    Plan {
        policy: PolicyTables { sets_v4, sets_v6, ..policy },
        interfaces,
        waiting,
        own_v4,
        own_v6,
        flows_per_host: model.flows_per_host,
        left_out: sets.into_left_out(),
        routing_changes: inventory.routing_changes,
    }
}

/// Only what interfaces carry traffic, and why: for a datapath that has no tables of ours.
#[must_use]
pub fn interfaces(model: &Model, inventory: &Inventory, numbers: &Numbers) -> Plan {
    let (interfaces, waiting) = interface::plan(model, inventory, numbers);
    Plan { interfaces, waiting, routing_changes: inventory.routing_changes, ..Default::default() }
}

/// What the kernel takes as its own: its addresses, the broadcast address of each IPv4 prefix (RFC 919), and the subnet-router anycast
/// address of each IPv6 prefix (RFC 4291 section 2.6.1).
fn own_addresses(inventory: &Inventory) -> (BTreeSet<Ipv4Addr>, BTreeSet<Ipv6Addr>) {
    let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
    for net in inventory.links.values().flat_map(|link| &link.addresses) {
        match net {
            IpNet::V4(net) => {
                v4.insert(net.addr());
                // Point-to-point prefixes have none (RFC 3021).
                if net.prefix_len() < 31 {
                    v4.insert(net.broadcast());
                }
            }
            IpNet::V6(net) => {
                v6.insert(net.addr());
                if net.prefix_len() < 127 {
                    v6.insert(net.network());
                }
            }
        }
    }
    (v4, v6)
}

/// A protocol as rules carry it: 1 stands for both ICMPs.
fn protocol(protocol: Option<model::ProtocolMatch>) -> u8 {
    match protocol {
        None => 0,
        Some(model::ProtocolMatch::Tcp) => abi::Protocol::TCP.0,
        Some(model::ProtocolMatch::Udp) => abi::Protocol::UDP.0,
        Some(model::ProtocolMatch::Icmp) => abi::Protocol::ICMP.0,
    }
}

/// One copy of `rule` per port range, or one without ports.
fn expand_ports(rule: Rule, ports: &[model::PortRange]) -> Vec<Rule> {
    if ports.is_empty() {
        return vec![rule];
    }
    let with = |range: &model::PortRange| Rule {
        flags: abi::RuleFlags(rule.flags.0 | abi::RuleFlags::PORTS),
        port_first: range.first,
        port_last: range.last,
        ..rule
    };
    ports.iter().map(with).collect()
}

#[cfg(test)]
mod tests;
