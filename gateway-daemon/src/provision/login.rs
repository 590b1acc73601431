//! Who may log in: root's keys for ssh, and root's password on the console. What a source opened is closed again once none says it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Problem, ProvisionError};
use super::place;
use super::settings::Settings;

const KEYS: &str = "/root/.ssh/authorized_keys";
const SHADOW: &str = "/etc/shadow";
/// shadow(5): no password fits.
const LOCKED: &str = "*";

/// What sources have opened. Kept in the report: what somebody else set is not ours to take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Keys for ssh.
    pub keys: bool,
    /// A password on the console.
    pub password: bool,
}

/// Opens what the settings say, and closes what was open `before` and is not said any more; gives what is open now.
pub fn settle(root: &Path, settings: &Settings, before: Login, applied: &mut Vec<String>, problems: &mut Vec<Problem>) -> Login {
    // Whoever has to mend the mistake must not be locked out by it.
    let unread = problems.iter().any(|problem| problem.error.hides_login());
    if unread && (before.keys || before.password) {
        applied.push("root's login as before, since a source could not be read".to_owned());
    }
    let by_file = settings.files.iter().any(|file| file.path == KEYS);
    let mut outcome = |what: String, done: Result<(), ProvisionError>, (good, bad): (bool, bool)| match done {
        Ok(()) => {
            applied.push(what);
            good
        }
        Err(error) => {
            problems.push(Problem { origin: what, error });
            bad
        }
    };
    let keys = match settings.authorized_keys.as_slice() {
        [] if before.keys && !by_file && !unread => {
            outcome("no ssh key for root any more".to_owned(), place::remove(root, KEYS), (false, true))
        }
        [] => before.keys && !by_file,
        given => outcome(format!("{} ssh key(s) for root", given.len()), keys(root, given), (true, before.keys)),
    };
    let password = match &settings.password_hash {
        None if before.password && !unread => outcome("no password for root any more".to_owned(), password(root, LOCKED), (false, true)),
        None => before.password,
        Some(hash) => outcome("password for root on the console".to_owned(), password(root, hash), (true, before.password)),
    };
    Login { keys, password }
}

fn keys(root: &Path, given: &[String]) -> Result<(), ProvisionError> {
    let text: String = given.iter().map(|key| key.trim().replace(['\n', '\r'], " ") + "\n").collect();
    let directory = place::below(root, "/root/.ssh");
    let failed = |source| ProvisionError::Write { path: directory.clone(), source };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&directory, private).map_err(failed)?;
    place::write(root, KEYS, text.as_bytes(), 0o600)
}

/// Replaces the second field of root's line in shadow(5).
fn password(root: &Path, hash: &str) -> Result<(), ProvisionError> {
    let path = place::below(root, SHADOW);
    let text = std::fs::read_to_string(&path).map_err(|source| ProvisionError::Read { path: SHADOW.to_owned(), source })?;
    let line = |line: &str| match line.strip_prefix("root:").and_then(|rest| rest.split_once(':')) {
        Some((_, rest)) => format!("root:{hash}:{rest}\n"),
        None => format!("{line}\n"),
    };
    place::write(root, SHADOW, text.lines().map(line).collect::<String>().as_bytes(), 0o640)
}
