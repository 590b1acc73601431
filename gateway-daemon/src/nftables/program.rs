//! Runs nft(8). The crate `nftables` could, but it lets nft's error messages go to our own standard error instead of giving them to us.

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::NftError;

/// Carries out a text of commands in one transaction; the inner error is what nft says against it.
pub(super) async fn run(text: &str) -> Result<Result<(), String>, NftError> {
    verdict(nft(&["-f", "-"], text.as_bytes()).await?)
}

/// As [`run`], but nothing is changed: the kernel says whether it would take it.
pub(super) async fn check(text: &str) -> Result<Result<(), String>, NftError> {
    verdict(nft(&["-c", "-f", "-"], text.as_bytes()).await?)
}

/// The table's counters as nft lists them in JSON; `None` when there is no such table.
pub(super) async fn counters(table: &str) -> Result<Option<Vec<u8>>, NftError> {
    list(table, &["-j", "list", "counters", "table", "inet", table]).await
}

/// The table as nft lists it in JSON, without the elements of its sets; `None` when there is no such table.
pub(super) async fn outline(table: &str) -> Result<Option<Vec<u8>>, NftError> {
    list(table, &["-j", "-t", "list", "table", "inet", table]).await
}

async fn list(table: &str, arguments: &[&str]) -> Result<Option<Vec<u8>>, NftError> {
    let output = nft(arguments, &[]).await?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let message = said(&output);
    if message.contains("No such file or directory") {
        return Ok(None);
    }
    Err(NftError::Refused { action: "list", table: table.to_owned(), message, rule: None })
}

fn verdict(output: Output) -> Result<Result<(), String>, NftError> {
    Ok(if output.status.success() { Ok(()) } else { Err(said(&output)) })
}

fn said(output: &Output) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    String::from_utf8_lossy(said).trim().to_owned()
}

/// Started from the calling thread, and so in its network namespace. Killed when the future is dropped.
async fn nft(arguments: &[&str], input: &[u8]) -> Result<Output, NftError> {
    let mut command = Command::new("nft");
    // Messages are looked at, so they must be in one language.
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| NftError::NoNft { source })?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft reads everything before it writes. When it ended early instead, its exit status and message say why.
        if let Err(error) = stdin.write_all(input).await {
            tracing::debug!(%error, "nft did not read its input to the end");
        }
    }
    child.wait_with_output().await.map_err(|source| NftError::NoNft { source })
}
