//! Address sets as bits: every distinct list of a policy gets one, and every prefix carries the bits of all lists around it.

use std::collections::BTreeMap;

use gateway_ebpf::abi::{SETS_LEN, SetBits, SetId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::{self, AddressMatch, Model, RuleName};

/// The lists of one policy.
#[derive(Debug, Default)]
pub struct Sets {
    lists: Vec<Vec<IpNet>>,
    left_out: Vec<RuleName>,
}

impl Sets {
    /// The number of what a rule matches; equal lists share one. `None`: all numbers are given.
    pub fn number(&mut self, model: &Model, matches: &AddressMatch) -> Option<SetId> {
        if matches.is_any() {
            return Some(SetId(0));
        }
        self.number_of(matches.members(&model.sets))
    }

    /// The number of a list of prefixes, as [`Sets::number`].
    pub fn number_of(&mut self, list: Vec<IpNet>) -> Option<SetId> {
        let list = model::distinct(list);
        let known = self.lists.iter().position(|known| *known == list);
        let position = match known {
            Some(position) => position,
            // A number beyond the last would mean another set's bit.
            None if self.lists.len() >= SETS_LEN => return None,
            None => {
                self.lists.push(list);
                self.lists.len() - 1
            }
        };
        u16::try_from(position + 1).ok().map(SetId)
    }

    /// Notes that a rule is not compiled, because its addresses got no number. The policy's check keeps this from happening.
    pub fn leave_out(&mut self, rule: &RuleName) {
        self.left_out.push(rule.clone());
    }

    /// The rules that are not compiled.
    pub fn into_left_out(self) -> Vec<RuleName> {
        self.left_out
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

    #[test]
    fn a_list_too_many_gets_no_number_rather_than_another_ones() {
        let mut sets = Sets::default();
        let list = |n: usize| vec![IpNet::from(std::net::IpAddr::V4((n as u32).into()))];
        for n in 1..=SETS_LEN {
            assert_eq!(sets.number_of(list(n)), Some(SetId(n as u16)));
        }
        assert_eq!(sets.number_of(list(SETS_LEN + 1)), None);
        assert_eq!(sets.number_of(list(1)), Some(SetId(1)), "known lists keep theirs");
    }

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
            let ids: Vec<SetId> = nets.iter().map(|list| sets.number_of(list.clone()).unwrap()).collect();
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
