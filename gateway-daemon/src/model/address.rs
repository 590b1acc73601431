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
}
