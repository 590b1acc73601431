//! More than the datapath's tables hold.

/// A limit of the datapath; found and allowed counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum LimitError {
    /// Zones.
    #[error("{0} zones are more than the datapath's {1}")]
    #[diagnostic(code("too-many-zones"), help("put interfaces that are treated alike into one zone"))]
    Zones(usize, usize),
    /// List, entries, allowed.
    #[error("`{0}` makes {1} entries (one per rule and range of ports), more than the datapath's {2}")]
    #[diagnostic(code("too-many-rules"), help("join rules by sets of addresses and ranges of ports; `mode = \"nftables\"` takes more"))]
    Rules(&'static str, usize, usize),
    /// Address sets.
    #[error("the rules use {0} different sets and lists of addresses, more than the datapath's {1}")]
    #[diagnostic(
        code("too-many-sets"),
        help("join lists of addresses in `[sets]`, and name the same set in many rules; `mode = \"nftables\"` takes more")
    )]
    AddressSets(usize, usize),
    /// Family, prefixes, allowed.
    #[error("all sets and lists together have {1} {0} prefixes, more than the datapath's {2}")]
    #[diagnostic(code("too-many-prefixes"), help("join neighbouring prefixes into shorter ones; `mode = \"nftables\"` takes more"))]
    Prefixes(&'static str, usize, usize),
    /// Addresses of all pools.
    #[error("the pools have {0} addresses together, more than the datapath's {1}")]
    #[diagnostic(code("pool-too-large"), help("use fewer addresses: each carries tens of thousands of mappings"))]
    PoolAddresses(u64, u64),
    /// Rules of all lists in nftables mode, allowed.
    #[error("the policy has {0} rules, more than the {1} that nftables mode can tell apart")]
    #[diagnostic(code("too-many-rules"), help("join rules by sets of addresses and ranges of ports"))]
    NftablesRules(usize, usize),
    /// Addresses of all pools of several ranges in nftables mode, allowed.
    #[error("the pools of several ranges have {0} addresses together, more than the {1} of nftables mode")]
    #[diagnostic(code("pool-too-large"), help("let the addresses of a pool follow one another: one range may be of any length"))]
    NftablesPoolAddresses(u64, u64),
    /// Depth.
    #[error("sets that contain sets go more than {0} deep here")]
    #[diagnostic(code("set-depth"), help("name the inner sets directly"))]
    SetDepth(usize),
}
