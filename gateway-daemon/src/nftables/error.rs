//! What can go wrong with nft.

use crate::model::RuleName;

/// The gateway's table could not be changed or read. What was there before is still there: nft's transactions are all or nothing.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no nft program.
    #[error("cannot run nft: {source}; the gateway needs nftables installed (apt-get install nftables)")]
    NoNft {
        /// Why it did not run.
        source: std::io::Error,
    },
    /// nft refused.
    #[error("nft refused to {action} the table {table}{}: {message}", rule.as_ref().map_or_else(String::new, |rule| format!(" because of the rule \"{}\"", rule.0)))]
    Refused {
        /// "replace", "remove" or "list".
        action: &'static str,
        /// The table's name.
        table: String,
        /// nft's own words. Lines and columns in them are those of [`super::Ruleset::print`].
        message: String,
        /// The policy's rule that the refused line was made from; `None`: it is no rule's, or nft names no line.
        rule: Option<RuleName>,
    },
    /// nft answered something unreadable.
    #[error("cannot read nft's answer about the table {table}: {message}")]
    Answer {
        /// The table's name.
        table: String,
        /// What is wrong with it.
        message: String,
    },
}
