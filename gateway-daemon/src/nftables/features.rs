//! What this kernel's nf_tables can do.

use super::{NftError, program};

/// What a ruleset may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Flowtables: packets of established flows skip the rules (CONFIG_NF_FLOW_TABLE_INET).
    pub flowtable: bool,
    /// Forwarding of IPv6 is on for every interface only because the gateway needs it (before Linux 6.17): what is not between zone
    /// interfaces must stay as unforwarded as it was.
    pub ipv6_everywhere: bool,
}

impl Features {
    /// Asks the kernel, which changes nothing: each feature is tried in a transaction that is not committed.
    ///
    /// # Errors
    /// When there is no nft.
    pub async fn probe() -> Result<Self, NftError> {
        const FLOWTABLE: &str = "table inet gateway_probe {
            flowtable probe { hook ingress priority 0; devices = { lo }; counter; }
            chain probe { type filter hook forward priority 0; meta l4proto tcp flow add @probe; }
        }";
        Ok(Self { flowtable: program::check(FLOWTABLE).await?.is_ok(), ipv6_everywhere: false })
    }
}
