//! What can go wrong with nft.

/// The guard table could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// There is no nft program.
    #[error("cannot run nft: {source}; the guard needs nftables installed (apt-get install nftables)")]
    NoNft {
        /// Why it did not run.
        source: std::io::Error,
    },
    /// nft refused.
    #[error("nft refused to {action} the table {table}: {message}")]
    Refused {
        /// "replace", "remove" or "list".
        action: &'static str,
        /// The table's name.
        table: String,
        /// nft's own words.
        message: String,
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
