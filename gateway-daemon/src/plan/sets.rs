//! Address sets as bits: every distinct list of a policy gets one, and every prefix carries the bits of all lists around it.

use std::collections::BTreeMap;

use gateway_ebpf::abi::{SetBits, SetId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{AddressMatch, Model};

/// The lists of one policy.
#[derive(Debug, Default)]
pub struct Sets {
    lists: Vec<Vec<IpNet>>,
}

impl Sets {
    /// The number of what a rule matches; equal lists share one. The policy's check keeps their number within the datapath's.
    pub fn number(&mut self, model: &Model, matches: &AddressMatch) -> SetId {
        if matches.is_any() {
            return SetId(0);
        }
        let named = matches.sets.iter().filter_map(|index| model.sets.get(index.0)).flat_map(|set| &set.members);
        self.number_of(named.chain(&matches.prefixes).copied().collect())
    }

    /// The number of a list of prefixes.
    pub fn number_of(&mut self, mut list: Vec<IpNet>) -> SetId {
        list = list.iter().map(IpNet::trunc).collect();
        list.sort_unstable();
        list.dedup();
        let position = self.lists.iter().position(|known| *known == list).unwrap_or_else(|| {
            self.lists.push(list);
            self.lists.len() - 1
        });
        SetId(position as u16 + 1)
    }

    /// The longest-prefix tables.
    pub fn membership(&self) -> (BTreeMap<Ipv4Net, SetBits>, BTreeMap<Ipv6Net, SetBits>) {
        let mut v4: BTreeMap<Ipv4Net, SetBits> = BTreeMap::new();
        let mut v6: BTreeMap<Ipv6Net, SetBits> = BTreeMap::new();
        for (set, list) in (1..).map(SetId).zip(&self.lists) {
            for net in list {
                match net {
                    IpNet::V4(net) => v4.entry(*net).or_default().insert(set),
                    IpNet::V6(net) => v6.entry(*net).or_default().insert(set),
                }
            }
        }
        inherit(&mut v4, |outer, inner| outer.contains(&inner.addr()) && outer.prefix_len() <= inner.prefix_len());
        inherit(&mut v6, |outer, inner| outer.contains(&inner.addr()) && outer.prefix_len() <= inner.prefix_len());
        (v4, v6)
    }
}

/// Hands every prefix the bits of those around it. The map's order puts a prefix before those inside it, so a stack of open ones is enough.
fn inherit<N: Copy + Ord>(prefixes: &mut BTreeMap<N, SetBits>, contains: impl Fn(&N, &N) -> bool) {
    let mut open: Vec<(N, SetBits)> = Vec::new();
    for (net, bits) in prefixes.iter_mut() {
        while open.last().is_some_and(|(outer, _)| !contains(outer, net)) {
            open.pop();
        }
        if let Some((_, outer)) = open.last() {
            *bits = bits.union(*outer);
        }
        open.push((*net, *bits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longest_prefix_says_what_a_walk_through_all_lists_says(
            lists in proptest::collection::vec(proptest::collection::vec((any::<u32>(), 0u8..=32), 1..8), 1..12),
            probe in any::<u32>(),
            near in any::<prop::sample::Index>(),
        ) {
            let mut sets = Sets::default();
            let nets: Vec<Vec<IpNet>> = lists
                .iter()
                .map(|list| list.iter().map(|(bits, len)| IpNet::V4(Ipv4Net::new((*bits).into(), *len).unwrap().trunc())).collect())
                .collect();
            let ids: Vec<SetId> = nets.iter().map(|list| sets.number_of(list.clone())).collect();
            let (v4, _) = sets.membership();
            // A random address hits little: one inside some prefix, too.
            let all: Vec<&IpNet> = nets.iter().flatten().collect();
            let IpNet::V4(inside) = near.get(&all) else { unreachable!() };
            for address in [std::net::Ipv4Addr::from(probe), inside.addr()] {
                let longest = v4.iter().filter(|(net, _)| net.contains(&address)).max_by_key(|(net, _)| net.prefix_len());
                let bits = longest.map(|(_, bits)| *bits).unwrap_or_default();
                for (list, id) in nets.iter().zip(&ids) {
                    let expected = list.iter().any(|net| net.contains(&std::net::IpAddr::V4(address)));
                    prop_assert_eq!(bits.contains(*id), expected);
                }
            }
        }
    }
}
