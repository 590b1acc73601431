//! The policy as a file that is read at the start and again on every reload.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::DaemonError;
use crate::model::{Model, RuleName};
use crate::policy::{self, LoadError, Position};

/// The policy in force.
pub struct PolicyFile {
    /// Where it came from.
    pub path: PathBuf,
    /// What it says.
    pub model: Model,
    /// What is legal but suspicious, one line each.
    pub warnings: Vec<String>,
    /// When it was read, in seconds since 1970.
    pub loaded_at: u64,
}

impl PolicyFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, or has errors.
    pub fn load(path: &Path) -> Result<Self, DaemonError> {
        let checked = policy::load_file(path).map_err(|error| match error {
            LoadError::File(error) => DaemonError::PolicyFile(error),
            LoadError::Policy(report) => DaemonError::Policy { report: report.render(std::io::stderr().is_terminal(), 100) },
        })?;
        Ok(Self::of(path, checked))
    }

    /// Reads and checks the file again; errors come as log lines with file, line and column.
    ///
    /// # Errors
    /// All that is wrong, one line each.
    pub fn reload(path: &Path) -> Result<Self, Vec<String>> {
        match policy::load_file(path) {
            Ok(checked) => Ok(Self::of(path, checked)),
            Err(LoadError::File(error)) => Err(vec![error.to_string()]),
            Err(LoadError::Policy(report)) => Err(report.errors().map(policy::Diagnostic::line).collect()),
        }
    }

    /// `file:line:column` of a key, or the file alone where the policy leaves the key out.
    pub fn place(&self, table: &str, key: &str) -> String {
        self.at(|text| policy::place(text, table, key))
    }

    /// `file:line:column` of the rule of that name.
    pub fn place_of_rule(&self, rule: &RuleName) -> String {
        self.at(|text| policy::place_of_rule(text, rule))
    }

    fn at(&self, find: impl FnOnce(&str) -> Option<Position>) -> String {
        let position = policy::read_file(&self.path).ok().and_then(|text| find(&text));
        match position {
            Some(position) => format!("{}:{}:{}", self.path.display(), position.line, position.column),
            None => self.path.display().to_string(),
        }
    }

    fn of(path: &Path, checked: policy::Checked) -> Self {
        let warnings: Vec<String> = checked.warnings.iter().map(policy::Diagnostic::line).collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let loaded_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { path: path.to_owned(), model: checked.model, warnings, loaded_at }
    }
}
