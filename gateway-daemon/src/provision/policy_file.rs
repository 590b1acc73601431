//! Which policy the daemon finds: the given one, the last good one, or one that forwards nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Problem, ProvisionError};
use super::place;
use crate::policy;

/// Where the daemon looks.
pub const POLICY: &str = "/etc/gateway/policy.toml";
/// The last good one; on the state disk, where there is one.
const LAST_GOOD: &str = "/var/lib/gateway/policy.toml";
/// A gateway without a policy forwards nothing, and can be asked why.
const NOTHING: &str = "# No source gave a policy: nothing is forwarded.\nversion = 1\n\n[firewall]\ndefault = \"drop\"\n";

/// Where the policy in place is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyState {
    /// As given by a source.
    Given,
    /// A source's has errors, or none gave one: the last good one.
    LastGood,
    /// There was none: nothing is forwarded.
    #[default]
    Nothing,
}

/// Puts a policy in place.
pub fn settle(root: &Path, given: Option<&str>, origin: Option<&str>, problems: &mut Vec<Problem>) -> PolicyState {
    let origin = origin.unwrap_or("policy");
    let mut tell = |error| problems.push(Problem { origin: origin.to_owned(), error });
    let kept = std::fs::read_to_string(place::below(root, LAST_GOOD)).ok().filter(|text| policy::load(LAST_GOOD, text).is_ok());
    let (state, text) = match (given.map(|text| (text, policy::load("policy", text))), &kept) {
        (Some((text, Ok(_))), _) => (PolicyState::Given, text),
        (Some((_, Err(report))), Some(kept)) => {
            tell(ProvisionError::Policy { findings: findings(&report), instead: "the last good one is" });
            (PolicyState::LastGood, kept.as_str())
        }
        (Some((_, Err(report))), None) => {
            tell(ProvisionError::Policy { findings: findings(&report), instead: "there is no earlier one, so nothing is forwarded" });
            (PolicyState::Nothing, NOTHING)
        }
        (None, Some(kept)) => (PolicyState::LastGood, kept.as_str()),
        (None, None) => (PolicyState::Nothing, NOTHING),
    };
    if state == PolicyState::Given
        && let Err(error) = place::write(root, LAST_GOOD, text.as_bytes(), 0o600)
    {
        tell(error);
    }
    if let Err(error) = place::write(root, POLICY, text.as_bytes(), 0o600) {
        tell(error);
    }
    state
}

fn findings(report: &policy::Report) -> String {
    report.errors().map(policy::Diagnostic::line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_without_a_policy_has_a_valid_one() {
        assert!(policy::load("nothing", NOTHING).is_ok());
    }
}
