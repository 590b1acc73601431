//! Runs nft(8). The crate `nftables` could, but it lets nft's error messages go to our own standard error instead of giving them to us.

use std::process::{Output, Stdio};

use ::nftables::schema::Nftables;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::GuardError;

/// Carries out `commands` in one transaction.
pub(super) async fn run(action: &'static str, table: &str, commands: &Nftables<'_>) -> Result<(), GuardError> {
    let json = serde_json::to_vec(commands).map_err(|error| GuardError::Refused {
        action,
        table: table.to_owned(),
        message: error.to_string(),
    })?;
    let output = nft(&["-j", "-f", "-"], &json).await?;
    if output.status.success() { Ok(()) } else { Err(refused(action, table, &output)) }
}

/// The table as nft lists it in JSON; `None` when there is no such table.
pub(super) async fn list(table: &str) -> Result<Option<Vec<u8>>, GuardError> {
    let output = nft(&["-j", "list", "table", "inet", table], &[]).await?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    if String::from_utf8_lossy(&output.stderr).contains("No such file or directory") {
        return Ok(None);
    }
    Err(refused("list", table, &output))
}

fn refused(action: &'static str, table: &str, output: &Output) -> GuardError {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    GuardError::Refused { action, table: table.to_owned(), message: String::from_utf8_lossy(said).trim().to_owned() }
}

/// Started from the calling thread, and so in its network namespace. Killed when the future is dropped.
async fn nft(arguments: &[&str], input: &[u8]) -> Result<Output, GuardError> {
    let mut command = Command::new("nft");
    // Messages are looked at, so they must be in one language.
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| GuardError::NoNft { source })?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft reads everything before it writes. When it ended early instead, its exit status and message say why.
        if let Err(error) = stdin.write_all(input).await {
            tracing::debug!(%error, "nft did not read its input to the end");
        }
    }
    child.wait_with_output().await.map_err(|source| GuardError::NoNft { source })
}
