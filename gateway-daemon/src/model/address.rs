//! Sets of addresses, and how rules refer to them.

use ipnet::IpNet;

/// A named set: addresses and prefixes of either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// Its name, without the `@`.
    pub name: String,
    /// Its members, host addresses as /32 and /128.
    pub members: Vec<IpNet>,
}

/// Index into [`super::Model::sets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetIndex(pub usize);

/// A rule's `source` or `destination`: matches when any named set or any inline prefix contains the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMatch {
    /// `"@name"` references.
    pub sets: Vec<SetIndex>,
    /// Prefixes written in the rule itself.
    pub prefixes: Vec<IpNet>,
}

impl AddressMatch {
    /// True when the rule did not give the key, so that every address of either family matches.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.sets.is_empty() && self.prefixes.is_empty()
    }

    /// Every prefix that it stands for, in the one form of [`distinct`]: two matches with equal members share a number in the datapath.
    #[must_use]
    pub fn members(&self, sets: &[AddressSet]) -> Vec<IpNet> {
        let named = self.sets.iter().filter_map(|index| sets.get(index.0)).flat_map(|set| &set.members);
        distinct(named.chain(&self.prefixes).copied())
    }
}

/// Prefixes without host bits, sorted, each once.
#[must_use]
pub fn distinct(prefixes: impl IntoIterator<Item = IpNet>) -> Vec<IpNet> {
    let mut list: Vec<IpNet> = prefixes.into_iter().map(|net| net.trunc()).collect();
    list.sort_unstable();
    list.dedup();
    list
}
