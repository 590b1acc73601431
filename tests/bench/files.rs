//! The files of a run: its results, read again for a comparison, and its page.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::figure::Results;

/// Results of this format or an older one that says the same.
///
/// # Errors
/// When there are none in the file.
pub fn read(file: &Path) -> Result<Results> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{} holds no JSON", file.display()))?;
    let (format, known) = (&value["format"], Results::OLDEST..=Results::FORMAT);
    let is_known = format.as_u64().is_some_and(|format| known.contains(&(format as u32)));
    ensure!(is_known, "{} has the format {format}; this program knows {} to {}", file.display(), known.start(), known.end());
    serde_json::from_value(value).with_context(|| format!("{} holds no results of this bench", file.display()))
}

/// That the file can be written at the end, asked before an hour is spent. It is left as it is.
///
/// # Errors
/// When it cannot.
pub fn ensure_writable(file: &Path) -> Result<()> {
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let outcome = if file.exists() { OpenOptions::new().append(true).open(file) } else { tempfile::tempfile_in(directory) };
    outcome.map(drop).with_context(|| format!("cannot write {}; nothing was measured", file.display()))
}

/// Writes it, and says so.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("written: {}", file.display());
    Ok(())
}
