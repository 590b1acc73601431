//! What was found, done and wrong; kept for `gateway status`.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ProvisionError;
use super::login::Login;
use super::place;
use super::policy_file::PolicyState;

/// Where the report is kept until the next boot.
pub const REPORT: &str = "/run/gateway-provision.json";

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The sources found, the highest rank first.
    pub sources: Vec<String>,
    /// What was set, in words.
    pub applied: Vec<String>,
    /// Where the policy in place is from.
    pub policy: PolicyState,
    /// What of root's login a source has opened.
    #[serde(default)]
    pub login: Login,
    /// What was wrong.
    pub problems: Vec<String>,
}

impl Report {
    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, root: &Path) -> Result<(), ProvisionError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        place::write(root, REPORT, &text, 0o600)
    }

    /// The last one, if this machine was provisioned.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(place::below(root, REPORT)).ok()?).ok()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sources.is_empty() {
            writeln!(f, "provision: no source found (a disk labelled cidata, config-2, gateway-policy or gateway-secret)")?;
        }
        for source in &self.sources {
            writeln!(f, "provision: found {source}")?;
        }
        for applied in &self.applied {
            writeln!(f, "provision: {applied}")?;
        }
        match self.policy {
            PolicyState::Given => writeln!(f, "provision: policy in place")?,
            PolicyState::LastGood => writeln!(f, "provision: the last good policy is in place")?,
            PolicyState::Nothing => writeln!(f, "provision: no policy; nothing is forwarded")?,
        }
        for problem in &self.problems {
            writeln!(f, "provision: error: {problem}")?;
        }
        Ok(())
    }
}
