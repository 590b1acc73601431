//! The policy's text as an operator writes it -> [`Model`].
//!
//! The text is walked with the place of every key and value at hand, and a reader that finds something wrong says so and goes on: all errors
//! of a file are reported at once. A [`Model`] is handed out only when there is none.

mod address;
mod broken;
mod context;
mod datapath;
mod destination_nat;
mod diagnostic;
mod document;
pub mod error;
mod file;
mod findings;
mod firewall;
mod interface;
mod limits;
mod matching;
mod place;
mod report;
mod route;
mod scalar;
mod source;
mod source_nat;
mod table;
mod timeouts;
mod unreachable;
mod value;
mod zone;

pub use diagnostic::Diagnostic;
pub use error::PolicyError;
pub use file::{FileError, read_file};
pub use place::{place, place_of_rule};
pub use report::{Finding, FindingEnd, FindingSeverity, Report, render};
pub use source::Position;

use std::path::Path;

use toml::de::DeTable;

use crate::model::Model;
use findings::Findings;
use source::Source;

/// A valid policy.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it says.
    pub model: Model,
    /// What is legal but suspicious in it, in the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// A policy file that gives no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No text.
    #[error(transparent)]
    File(#[from] FileError),
    /// A text with errors.
    #[error(transparent)]
    Policy(#[from] Report),
}

/// Reads and validates the policy at `path`.
///
/// # Errors
///
/// The file gives no text, or the text is not a valid policy.
pub fn load_file(path: &Path) -> Result<Checked, LoadError> {
    let text = read_file(path)?;
    Ok(load(&path.display().to_string(), &text)?)
}

/// Validates a policy's text; `name` is what messages call it.
///
/// # Errors
///
/// All errors and warnings of the text, when there is at least one error.
pub fn load(name: &str, text: &str) -> Result<Checked, Report> {
    let source = Source::new(name, text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(Report::new(broken::broken(&source, text, &syntax)));
    }
    let (model, diagnostics) = document::document(root.get_ref(), Findings::new(&source, 0));
    if diagnostics.iter().all(Diagnostic::is_warning) {
        return Ok(Checked { model, warnings: diagnostics });
    }
    Err(Report::new(diagnostics))
}

#[cfg(test)]
mod tests;
