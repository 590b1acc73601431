//! What the policy of now says of an established flow.
//!
//! The kernel's connection tracking asks the rules about a flow's first packet only, so after a reload somebody has to ask again and
//! end what would not be let through, or not be translated so, any more. The rules of the answer are those of our own datapath
//! (`still_allowed` in gateway-ebpf/src/pipeline/hit.rs), with two differences: a pool's address is whichever the kernel's hash has
//! picked, so every address of the pool is right; and there are no open mappings, which nftables does not have.
//!
//! [`Standing`] is made once per policy and asked once per flow: it looks an address up once, not once per rule.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use crate::inventory::Inventory;
use crate::model::{
    self, Action, AddressMatch, DestinationNat, FirewallRule, Model, PortRange, ProtocolMatch, RuleName, SourceNat, Translate, ZoneName,
};

/// An established flow, as connection tracking has it. Both ports of an ICMP query are its identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// What it carries; `None` for another protocol than the policy has names for.
    pub protocol: Option<ProtocolMatch>,
    /// Of ICMP, the type of its first packet.
    pub icmp_type: Option<u8>,
    /// Who opened it.
    pub source: SocketAddr,
    /// Whom its first packet was sent to.
    pub destination: SocketAddr,
    /// The real server: the destination after destination NAT.
    pub translated_destination: SocketAddr,
    /// The source after source NAT.
    pub translated_source: SocketAddr,
    /// The zone it came from.
    pub from: &'a ZoneName,
    /// The zone it leaves to now.
    pub to: &'a ZoneName,
    /// The primary IPv4 address of the interface it leaves by now, for masquerade.
    pub egress_address: Option<Ipv4Addr>,
}

/// The policy's word on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling<'m> {
    /// It goes on.
    Accept {
        /// The firewall rule that accepts it; `None` for the default.
        rule: Option<&'m RuleName>,
        /// The rule of its destination NAT.
        destination_nat: Option<&'m RuleName>,
        /// The rule of its source NAT; `None` also under `translate = "none"`.
        source_nat: Option<&'m RuleName>,
    },
    /// It must end.
    End(Cause<'m>),
}

/// Why a flow must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'m> {
    /// An interface of it is in no zone any more.
    NoZone,
    /// Its first packet would go to another server.
    Destination,
    /// The firewall refuses it, by this rule or by the default.
    Refused(Option<&'m RuleName>),
    /// It would leave with another address.
    Source,
}

/// A policy, ready to be asked about many flows.
#[derive(Debug)]
pub struct Standing<'m> {
    zones: HashMap<&'m str, Zone>,
    lists: Lists,
    destination: Vec<(Match<'m>, &'m DestinationNat)>,
    firewall: Vec<(Match<'m>, &'m FirewallRule)>,
    source: Vec<(Match<'m>, &'m SourceNat)>,
    default: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Zone(usize);

/// A zone that does not exist: a rule that named it would match nothing, not everything.
const NOWHERE: Zone = Zone(usize::MAX);

/// What every kind of rule asks of a flow. `None` and no ports ask for nothing.
#[derive(Debug)]
struct Match<'m> {
    from: Option<Zone>,
    to: Option<Zone>,
    protocol: Option<ProtocolMatch>,
    icmp_type: Option<u8>,
    ports: &'m [PortRange],
    source: Option<List>,
    destination: Option<List>,
}

/// What rules are matched against.
struct Query<'q> {
    from: Zone,
    to: Option<Zone>,
    protocol: Option<ProtocolMatch>,
    icmp_type: Option<u8>,
    port: u16,
    source: &'q Members,
    destination: &'q Members,
}

impl Match<'_> {
    fn holds(&self, query: &Query) -> bool {
        self.from.is_none_or(|zone| zone == query.from)
            && self.to.is_none_or(|zone| Some(zone) == query.to)
            && self.protocol.is_none_or(|protocol| Some(protocol) == query.protocol)
            && self.icmp_type.is_none_or(|kind| query.protocol == Some(ProtocolMatch::Icmp) && Some(kind) == query.icmp_type)
            && (self.ports.is_empty() || has_ports(query.protocol) && self.ports.iter().any(|range| contains(range, query.port)))
            && self.source.is_none_or(|list| query.source.contains(list))
            && self.destination.is_none_or(|list| query.destination.contains(list))
    }
}

fn has_ports(protocol: Option<ProtocolMatch>) -> bool {
    matches!(protocol, Some(ProtocolMatch::Tcp | ProtocolMatch::Udp))
}

fn contains(range: &PortRange, port: u16) -> bool {
    (range.first..=range.last).contains(&port)
}

fn first<'m, R>(rules: &[(Match<'m>, &'m R)], query: &Query) -> Option<&'m R> {
    rules.iter().find(|(matches, _)| matches.holds(query)).map(|(_, rule)| *rule)
}

impl<'m> Standing<'m> {
    /// Prepares `model`; `inventory` gives the addresses of port forwards that name none.
    #[must_use]
    pub fn new(model: &'m Model, inventory: &Inventory) -> Self {
        let own = std::iter::once(ZoneName::SELF);
        let names = own.chain(model.zones.iter().map(|zone| zone.name.0.as_str()));
        let zones: HashMap<&str, Zone> = names.zip((0..).map(Zone)).collect();
        let known = |name: &ZoneName| zones.get(name.0.as_str()).copied().unwrap_or(NOWHERE);
        let zone = |name: &Option<ZoneName>| name.as_ref().map(known);
        let mut numbers = Numbers::default();
        let destination = model.nat.destination.iter().filter_map(|rule| {
            let addresses = rule.address.map_or_else(|| zone_addresses(model, inventory, &rule.from), |address| vec![address.into()]);
            // Without an address no packet can be meant.
            let matches = (!addresses.is_empty()).then(|| Match {
                from: Some(known(&rule.from)),
                to: None,
                protocol: Some(rule.protocol),
                icmp_type: None,
                ports: std::slice::from_ref(&rule.ports),
                source: numbers.of(model, &rule.source),
                destination: Some(numbers.of_list(addresses)),
            });
            Some((matches?, rule))
        });
        let destination = destination.collect();
        let firewall = model.firewall.rules.iter().map(|rule| {
            let matches = Match {
                from: zone(&rule.from),
                to: zone(&rule.to),
                protocol: rule.protocol,
                icmp_type: rule.icmp_type,
                ports: &rule.ports,
                source: numbers.of(model, &rule.source),
                destination: numbers.of(model, &rule.destination),
            };
            (matches, rule)
        });
        let firewall = firewall.collect();
        let source = model.nat.source.iter().map(|rule| {
            let matches = Match {
                from: zone(&rule.from),
                to: zone(&rule.to),
                protocol: rule.protocol,
                icmp_type: None,
                ports: &rule.ports,
                source: numbers.of(model, &rule.source),
                destination: numbers.of(model, &rule.destination),
            };
            (matches, rule)
        });
        let source = source.collect();
        Self { zones, lists: Lists::new(numbers), destination, firewall, source, default: model.firewall.default }
    }

    /// What the policy says of `flow`.
    #[must_use]
    pub fn ask(&self, flow: &Flow) -> Ruling<'m> {
        let zone = |name: &ZoneName| self.zones.get(name.0.as_str()).copied();
        let (Some(from), Some(to)) = (zone(flow.from), zone(flow.to)) else { return Ruling::End(Cause::NoZone) };
        // IPv6 is never translated.
        let translates = flow.source.is_ipv4();
        let source = self.lists.members(flow.source.ip());
        let mut query = Query {
            from,
            to: None,
            protocol: flow.protocol,
            icmp_type: flow.icmp_type,
            port: flow.destination.port(),
            source: &source,
            destination: &self.lists.members(flow.destination.ip()),
        };
        let forward = if translates { first(&self.destination, &query) } else { None };
        let server = forward.map_or(flow.destination, |rule| server(rule, flow.destination));
        // Source NAT may change an identifier, and so the destination's port, which is the same number.
        let ports_agree = !has_ports(flow.protocol) || server.port() == flow.translated_destination.port();
        if server.ip() != flow.translated_destination.ip() || !ports_agree {
            return Ruling::End(Cause::Destination);
        }

        let real = self.lists.members(server.ip());
        query = Query { to: Some(to), port: server.port(), destination: &real, ..query };
        let rule = first(&self.firewall, &query);
        let name = rule.map(|rule| &rule.name);
        if rule.map_or(self.default, |rule| rule.action) != Action::Accept {
            return Ruling::End(Cause::Refused(name));
        }

        let translation = if translates { first(&self.source, &query) } else { None };
        if !leaves_as_wanted(translation, flow) {
            return Ruling::End(Cause::Source);
        }
        let translating = translation.filter(|rule| rule.translate != Translate::None);
        Ruling::Accept { rule: name, destination_nat: forward.map(|rule| &rule.name), source_nat: translating.map(|rule| &rule.name) }
    }
}

/// Where a port forward leads.
fn server(rule: &DestinationNat, public: SocketAddr) -> SocketAddr {
    let step = public.port().wrapping_sub(rule.ports.first);
    SocketAddr::new(rule.to, rule.to_port.map_or(public.port(), |first| first.wrapping_add(step)))
}

/// Only the address is looked at: the kernel may have changed the port of a flow that has no translation, to tell it from another.
fn leaves_as_wanted(rule: Option<&SourceNat>, flow: &Flow) -> bool {
    let now = flow.translated_source.ip();
    match rule.map(|rule| &rule.translate) {
        None | Some(Translate::None) => now == flow.source.ip(),
        Some(Translate::Masquerade) => flow.egress_address.is_some_and(|address| now == IpAddr::V4(address)),
        Some(Translate::Pool { addresses, .. }) => match now {
            IpAddr::V4(now) => addresses.iter().any(|range| (range.first..=range.last).contains(&now)),
            IpAddr::V6(_) => false,
        },
    }
}

fn zone_addresses(model: &Model, inventory: &Inventory, zone: &ZoneName) -> Vec<IpNet> {
    let interfaces = model.zones.iter().filter(|known| known.name == *zone).flat_map(|zone| &zone.interfaces);
    let addresses = interfaces.filter_map(|name| inventory.link(name)).flat_map(|link| &link.addresses);
    addresses.map(IpNet::addr).filter(IpAddr::is_ipv4).map(IpNet::from).collect()
}

/// The number of a list of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List(usize);

/// Distinct lists, numbered.
#[derive(Debug, Default)]
struct Numbers(BTreeMap<Vec<IpNet>, List>);

impl Numbers {
    /// `None` where every address matches.
    fn of(&mut self, model: &Model, matches: &AddressMatch) -> Option<List> {
        (!matches.is_any()).then(|| self.of_list(matches.members(&model.sets)))
    }

    fn of_list(&mut self, list: Vec<IpNet>) -> List {
        let next = List(self.0.len());
        *self.0.entry(model::distinct(list)).or_insert(next)
    }
}

/// The prefixes of all lists, each with the lists that it is written in.
#[derive(Debug)]
struct Lists {
    count: usize,
    v4: PrefixMap<Ipv4Net, Vec<List>>,
    v6: PrefixMap<Ipv6Net, Vec<List>>,
}

impl Lists {
    fn new(numbers: Numbers) -> Self {
        let mut lists = Self { count: numbers.0.len(), v4: PrefixMap::new(), v6: PrefixMap::new() };
        for (prefixes, list) in numbers.0 {
            for prefix in prefixes {
                match prefix {
                    IpNet::V4(prefix) => lists.v4.entry(prefix).or_default().push(list),
                    IpNet::V6(prefix) => lists.v6.entry(prefix).or_default().push(list),
                }
            }
        }
        lists
    }

    /// The lists around an address.
    fn members(&self, address: IpAddr) -> Members {
        let mut members = Members(vec![0; self.count.div_ceil(64)]);
        match address {
            IpAddr::V4(address) => self.v4.cover(&address.into()).for_each(|(_, lists)| members.insert(lists)),
            IpAddr::V6(address) => self.v6.cover(&address.into()).for_each(|(_, lists)| members.insert(lists)),
        }
        members
    }
}

/// One bit per list.
struct Members(Vec<u64>);

impl Members {
    fn insert(&mut self, lists: &[List]) {
        for list in lists {
            if let Some(word) = self.0.get_mut(list.0 / 64) {
                *word |= 1 << (list.0 % 64);
            }
        }
    }

    fn contains(&self, list: List) -> bool {
        self.0.get(list.0 / 64).is_some_and(|word| word & (1 << (list.0 % 64)) != 0)
    }
}
