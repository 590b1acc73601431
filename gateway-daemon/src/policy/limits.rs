//! What the datapath's tables hold, and how many rules nftables can tell apart.

use std::collections::HashSet;
use std::ops::Range;

use gateway_ebpf::abi::SETS_LEN;
use ipnet::IpNet;

use super::address::Sets;
use super::error::LimitError;
use super::findings::Findings;
use crate::model::{AddressMatch, DatapathMode, Firewall, Nat, PoolRange, SourceNat, Translate, ZoneName};

/// Entries of a rule list: the scan for a first packet is bounded by it.
const RULES: usize = 1024;
/// Prefixes in the trie of each family.
const PREFIXES: usize = 16_384;
/// Addresses in the pool table.
const POOL_ADDRESSES: u64 = 1024;

/// Rules of all lists in nftables mode: their numbers are 16 bits of a connection mark, and reloads need some that are free.
const NFTABLES_RULES: usize = 60_000;
/// Addresses of pools of several ranges in nftables mode, where each is an element of a map.
const NFTABLES_POOL_ADDRESSES: u64 = 65_536;

/// Reports each limit at the header of the list that goes beyond it.
pub(super) fn limits(mode: DatapathMode, nat: &Nat, firewall: &Firewall, sets: &Sets, places: &Places, findings: &mut Findings) {
    if mode == DatapathMode::Nftables {
        nftables_rules(nat, firewall, places, findings);
        // A pool of one range is said in a word, however long.
        let several = |addresses: &&[PoolRange]| addresses.len() > 1;
        pools(nat, several, NFTABLES_POOL_ADDRESSES, LimitError::NftablesPoolAddresses, places, findings);
        return;
    }
    // One entry per rule and range of ports: a rule without ports is one.
    let entries = |ports: usize| ports.max(1);
    let counted = [
        ("nat.source", nat.source.iter().map(|r| entries(r.ports.len())).sum(), &places.source_nat),
        ("nat.destination", nat.destination.len(), &places.destination_nat),
        ("firewall.rules", firewall.rules.iter().map(|r| entries(r.ports.len())).sum(), &places.firewall),
    ];
    for (list, count, place) in counted {
        if count > RULES {
            findings.add(place.clone(), LimitError::Rules(list, count, RULES));
        }
    }
    pools(nat, |_| true, POOL_ADDRESSES, LimitError::PoolAddresses, places, findings);
    address_sets(nat, firewall, sets, places, findings);
}

/// Headers of the lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub source_nat: Range<usize>,
    pub destination_nat: Range<usize>,
    pub firewall: Range<usize>,
    pub sets: Range<usize>,
}

fn nftables_rules(nat: &Nat, firewall: &Firewall, places: &Places, findings: &mut Findings) {
    let lists = [
        (nat.source.len(), &places.source_nat),
        (nat.destination.len(), &places.destination_nat),
        (firewall.rules.len(), &places.firewall),
    ];
    let total = lists.iter().map(|(count, _)| count).sum();
    if total > NFTABLES_RULES {
        // The longest list is where joining rules helps.
        let place = lists.into_iter().max_by_key(|(count, _)| *count).map(|(_, place)| place.clone()).unwrap_or_default();
        findings.add(place, LimitError::NftablesRules(total, NFTABLES_RULES));
    }
}

fn pools(
    nat: &Nat,
    counts: impl Fn(&&[PoolRange]) -> bool,
    most: u64,
    error: impl Fn(u64, u64) -> LimitError,
    places: &Places,
    findings: &mut Findings,
) {
    let addresses = |rule: &'_ SourceNat| match &rule.translate {
        Translate::Pool { addresses, .. } if counts(&addresses.as_slice()) => {
            addresses.iter().map(|range| u64::from(u32::from(range.last) - u32::from(range.first)) + 1).sum()
        }
        _ => 0,
    };
    let total: u64 = nat.source.iter().map(addresses).sum();
    if total > most {
        findings.add(places.source_nat.clone(), error(total, most));
    }
}

/// Counts what the plan numbers: each distinct list of prefixes that a rule of the datapath matches, and the addresses that forwards are for.
fn address_sets(nat: &Nat, firewall: &Firewall, sets: &Sets, places: &Places, findings: &mut Findings) {
    let mut matches: Vec<&AddressMatch> = Vec::new();
    // Rules to `self` are the guard table's.
    for rule in firewall.rules.iter().filter(|rule| rule.to.as_ref().is_none_or(|to| to.0 != ZoneName::SELF)) {
        matches.extend([&rule.source, &rule.destination]);
    }
    for rule in &nat.source {
        matches.extend([&rule.source, &rule.destination]);
    }
    matches.extend(nat.destination.iter().map(|rule| &rule.source));
    let mut lists: HashSet<Vec<IpNet>> = matches.iter().filter(|m| !m.is_any()).map(|m| m.members(sets.list())).collect();
    lists.extend(nat.destination.iter().filter_map(|rule| rule.address).map(|address| vec![IpNet::from(address)]));
    // The addresses of a zone's interfaces come and go: at worst no other list equals them.
    let zones: HashSet<&ZoneName> = nat.destination.iter().filter(|rule| rule.address.is_none()).map(|rule| &rule.from).collect();

    // Where there are no named sets, the lists that count stand in rules.
    let place = if places.sets.is_empty() { &places.firewall } else { &places.sets };
    let count = lists.len() + zones.len();
    if count > SETS_LEN {
        findings.add(place.clone(), LimitError::AddressSets(count, SETS_LEN));
    }
    // Sets that no rule uses count too, so that using one is never what breaks a policy.
    let prefixes: HashSet<IpNet> =
        sets.list().iter().flat_map(|set| &set.members).map(IpNet::trunc).chain(lists.into_iter().flatten()).collect();
    let ipv4 = prefixes.iter().filter(|net| net.addr().is_ipv4()).count();
    let ipv6 = prefixes.len() - ipv4;
    for (family, count) in [("IPv4", ipv4), ("IPv6", ipv6)] {
        if count > PREFIXES {
            findings.add(place.clone(), LimitError::Prefixes(family, count, PREFIXES));
        }
    }
}
