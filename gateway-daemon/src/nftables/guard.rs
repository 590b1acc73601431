//! The guard table: what the kernel's own stack may do with packets of zone interfaces beside the eBPF datapath.
//!
//! With the eBPF datapath attached, no forwarded packet reaches the kernel's forward hook: it is redirected before. With the datapath
//! detached, every packet would, unfiltered and untranslated; so the guard drops there whatever comes from or goes to a zone interface.
//! The errors that the kernel sends for punted packets (hop limit, MTU) are sent before that hook.
//!
//! The gateway's own traffic is filtered only once a rule names `self` as `to`, by the same input chain as in nftables mode.

use ::nftables::types::{NfChainType, NfHook};

use super::counted::Counted;
use super::expression::{count, drop, equals, meta, named};
use super::matching::{FROM, TO};
use super::names::ZONE_INTERFACES;
use super::ruleset::{Hook, Ruleset};
use super::sets::Sets;
use super::{NftError, input};
use crate::model::Model;

pub use super::ruleset::table_name;

const CHAIN: &str = "forward";

/// Where the kernel's path of forwarded packets is watched: before the usual filter chains (0) and after connection tracking (-200), so
/// that other people's accept rules come too late to matter.
pub(super) const HOOK: Hook = Hook { kind: NfChainType::Filter, hook: NfHook::Forward, priority: -150 };

/// The guard of an instance.
#[must_use]
pub fn render(instance: &str, model: &Model) -> Ruleset {
    let mut ruleset = Ruleset::new(instance);
    let mut sets = Sets::new(model, &mut ruleset);
    ruleset.chain(CHAIN, HOOK);
    for (key, counted) in [(FROM, Counted::ForwardedFrom), (TO, Counted::ForwardedTo)] {
        let counted = count(&ruleset.counter(counted));
        ruleset.rule(CHAIN, vec![equals(meta(key), named(ZONE_INTERFACES)), counted, drop()], None);
    }
    input::render(&mut ruleset, &mut sets, model);
    ruleset
}

/// Puts the guard in the place of the instance's table. Must be called where tokio's process driver runs; nft is started from the calling
/// thread, and so in its network namespace.
///
/// Returns what was put there.
///
/// # Errors
/// When nft is missing or refuses; the table is then as it was before.
pub async fn apply(instance: &str, model: &Model) -> Result<Ruleset, NftError> {
    let guard = render(instance, model);
    guard.apply(&[]).await?;
    Ok(guard)
}

/// Removes the instance's table, whatever is in it; no table is no error.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn remove(instance: &str) -> Result<(), NftError> {
    super::remove(instance).await
}
