//! The ruleset into the kernel, and out of it.

use super::counted::Count;
use super::ruleset::{Ruleset, table_name};
use super::{NftError, program, refusal};

impl Ruleset {
    /// Replaces the instance's table, in one transaction: the old ruleset is in force until the new one is. Counters go on from `start`,
    /// which is what the old one had counted. Must be called where tokio's process driver runs; nft is started from the calling thread,
    /// and so in its network namespace.
    ///
    /// # Errors
    /// When nft is missing or refuses; the table is then as it was before.
    pub async fn apply(&self, start: &[Count]) -> Result<(), NftError> {
        let printed = self.print_with(start);
        program::run(&printed.text).await?.map_err(|message| NftError::Refused {
            action: "replace",
            table: self.table_name().to_owned(),
            rule: refusal::rule(&message, &printed),
            message,
        })
    }
}

/// Removes the instance's table; no table is no error.
///
/// # Errors
/// When nft is missing or refuses.
pub async fn remove(instance: &str) -> Result<(), NftError> {
    let table = table_name(instance);
    // Added first, so that the deletion never fails.
    let text = format!("table inet {table}\ndelete table inet {table}\n");
    program::run(&text).await?.map_err(|message| NftError::Refused { action: "remove", table, message, rule: None })
}
