//! Zones and addresses as rules refer to them: short ones stand in the rule, long ones are sets that rules share.

use std::collections::HashMap;
use std::net::IpAddr;

use ::nftables::expr::MetaKey;
use ::nftables::schema::SetType;
use ipnet::IpNet;

use super::expression::{Expr, Stmt, equals, field, meta, named, one_of, prefix, string};
use super::names::ZONE_INTERFACES;
use super::ruleset::Ruleset;
use crate::inventory::Inventory;
use crate::model::{AddressMatch, InterfaceName, Model, RuleName, SetIndex, Zone, ZoneName};

/// So many addresses stand in the rule itself; more become a set.
const INLINE: usize = 8;

/// An address family, as nft's keywords have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    fn has(self, net: &IpNet) -> bool {
        matches!((self, net), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }

    fn set_type(self) -> SetType {
        match self {
            Self::V4 => SetType::Ipv4Addr,
            Self::V6 => SetType::Ipv6Addr,
        }
    }

    /// Of its header's fields.
    fn header(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// Of `meta nfproto`.
    pub fn nfproto(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    /// Of its ICMP, as a header and as `meta l4proto`. nft knows this name by itself; others it looks up in /etc/protocols, which small
    /// systems do not have.
    pub fn icmp(self) -> &'static str {
        match self {
            Self::V4 => "icmp",
            Self::V6 => "icmpv6",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

/// The addresses of a rule, whatever the rule.
type Wanted = (Vec<SetIndex>, Vec<IpNet>, Family);

/// What has become of the policy's zones and sets so far.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    model: &'a Model,
    zones: HashMap<&'a ZoneName, Expr>,
    addresses: HashMap<Wanted, Option<Expr>>,
    own: HashMap<&'a ZoneName, Expr>,
}

impl<'a> Sets<'a> {
    /// With the set of all zone interfaces.
    pub fn new(model: &'a Model, ruleset: &mut Ruleset) -> Self {
        let all = model.zones.iter().flat_map(|zone| &zone.interfaces).map(interface).collect();
        ruleset.set(ZONE_INTERFACES, SetType::Ifname, all, None, None);
        Self { model, zones: HashMap::new(), addresses: HashMap::new(), own: HashMap::new() }
    }

    /// `key` is an interface of the zone; without a zone, of any.
    pub fn zone(&mut self, ruleset: &mut Ruleset, key: MetaKey, name: Option<&'a ZoneName>) -> Stmt {
        let zone = name.and_then(|name| self.model.zones.iter().find(|zone| zone.name == *name));
        let interfaces = match zone {
            Some(zone) => self.zones.entry(&zone.name).or_insert_with(|| zone_interfaces(ruleset, zone)).clone(),
            None => named(ZONE_INTERFACES),
        };
        equals(meta(key), interfaces)
    }

    /// What `matched` says of the addresses in a header's field; `None`: no address of this family matches.
    pub fn addresses(
        &mut self,
        ruleset: &mut Ruleset,
        matched: &AddressMatch,
        (family, side): (Family, &'static str),
        rule: &RuleName,
    ) -> Option<Stmt> {
        let wanted = (matched.sets.clone(), matched.prefixes.clone(), family);
        let model = self.model;
        let known = self.addresses.entry(wanted).or_insert_with(|| list(ruleset, model, matched, family, rule));
        known.clone().map(|list| equals(field(family.header(), side), list))
    }

    /// An address of the zone's interfaces, as they are now: a set, so that only it changes when they do.
    pub fn own_addresses(&mut self, ruleset: &mut Ruleset, inventory: &Inventory, name: &'a ZoneName) -> Stmt {
        let model = self.model;
        let set = self.own.entry(name).or_insert_with(|| {
            let interfaces = model.zones.iter().filter(|zone| zone.name == *name).flat_map(|zone| &zone.interfaces);
            let links: Vec<_> = interfaces.map(|name| inventory.link(name)).collect();
            let addresses = links.iter().flatten().flat_map(|link| &link.addresses).map(IpNet::addr).filter(IpAddr::is_ipv4);
            let addresses = crate::model::distinct(addresses.map(IpNet::from));
            let comment = links.contains(&None).then_some("follows the interfaces while the gateway runs; not all are here");
            let set = ruleset.name("addresses", &name.0);
            ruleset.set(&set, SetType::Ipv4Addr, addresses.into_iter().map(prefix).collect(), comment, None);
            named(&set)
        });
        equals(field(Family::V4.header(), "daddr"), set.clone())
    }
}

pub(super) fn interface(name: &InterfaceName) -> Expr {
    string(&name.0)
}

fn zone_interfaces(ruleset: &mut Ruleset, zone: &Zone) -> Expr {
    match zone.interfaces.as_slice() {
        [only] => interface(only),
        several => {
            let set = ruleset.name("zone", &zone.name.0);
            ruleset.set(&set, SetType::Ifname, several.iter().map(interface).collect(), None, None);
            named(&set)
        }
    }
}

/// A policy's set is one set for all rules, and so is a list that several rules repeat.
fn list(ruleset: &mut Ruleset, model: &Model, matched: &AddressMatch, family: Family, rule: &RuleName) -> Option<Expr> {
    let members: Vec<IpNet> = matched.members(&model.sets).into_iter().filter(|net| family.has(net)).collect();
    if members.is_empty() {
        return None;
    }
    // nft refuses overlapping intervals.
    let joined = IpNet::aggregate(&members);
    let name = match (matched.sets.as_slice(), matched.prefixes.as_slice()) {
        ([index], []) => model.sets.get(index.0).map(|set| set.name.as_str()),
        _ if joined.len() <= INLINE => return Some(one_of(joined.into_iter().map(prefix))),
        _ => None,
    };
    let set = match name {
        Some(set) => ruleset.name("set", &format!("{set}_{}", family.suffix())),
        None => ruleset.name("list", &format!("{}_{}", rule.0, family.suffix())),
    };
    // A set of the policy is nobody's in particular.
    ruleset.prefixes(&set, family.set_type(), joined, name.is_none().then_some(rule));
    Some(named(&set))
}
