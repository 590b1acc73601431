//! Settings put in place: the host's name, keys, the password, files, the network. The policy is [`super::policy_file`]'s.

use std::path::Path;

use super::error::{Problem, ProvisionError};
use super::settings::{Settings, WriteFile};
use super::{networkd, place};

const HOSTNAME: &str = "/etc/hostname";
const KEYS: &str = "/root/.ssh/authorized_keys";
const SHADOW: &str = "/etc/shadow";

/// Puts all of them in place; each that fails is told, and the others hold.
pub fn apply(root: &Path, settings: &Settings, applied: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let mut outcome = |what: String, done: Result<(), ProvisionError>| match done {
        Ok(()) => applied.push(what),
        Err(error) => problems.push(Problem { origin: what, error }),
    };
    for file in &settings.files {
        outcome(format!("file {}", file.path), write_file(root, file));
    }
    if let Some(name) = &settings.hostname {
        outcome(format!("hostname {name}"), hostname(root, name));
    }
    if !settings.authorized_keys.is_empty() {
        let text = settings.authorized_keys.iter().map(|key| key.trim().replace(['\n', '\r'], " ") + "\n").collect::<String>();
        outcome(format!("{} ssh key(s) for root", settings.authorized_keys.len()), keys(root, &text));
    }
    if let Some(hash) = &settings.password_hash {
        outcome("password for root on the console".to_owned(), password(root, hash));
    }
    let Some(config) = &settings.network else { return };
    let mut wrong = Vec::new();
    for (name, text) in networkd::files(config, &mut wrong) {
        outcome(format!("network file {name}"), place::write(root, &format!("{}/{name}", networkd::DIRECTORY), text.as_bytes(), 0o644));
    }
    // Who describes the network describes all of it.
    outcome("network as described".to_owned(), place::remove(root, &format!("{}/{}", networkd::DIRECTORY, networkd::DEFAULT)));
    problems.extend(wrong.into_iter().map(|error| Problem { origin: "network-config".to_owned(), error }));
}

fn write_file(root: &Path, file: &WriteFile) -> Result<(), ProvisionError> {
    let mut content = Vec::new();
    if file.append {
        content = std::fs::read(place::below(root, &file.path)).unwrap_or_default();
        // Asked a second time, it must not grow.
        if content.ends_with(&file.content) {
            return Ok(());
        }
    }
    content.extend(&file.content);
    place::write(root, &file.path, &content, file.mode)
}

fn hostname(root: &Path, name: &str) -> Result<(), ProvisionError> {
    let is_label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.len() <= 63 && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 64 || !name.split('.').all(is_label) {
        let why = "a host's name has letters, digits and '-', up to 64 of them (RFC 1123, section 2.1)";
        return Err(ProvisionError::Value { what: "hostname", value: name.to_owned(), why });
    }
    place::write(root, HOSTNAME, format!("{name}\n").as_bytes(), 0o644)?;
    if root == Path::new("/") {
        let failed = |errno: rustix::io::Errno| ProvisionError::Hostname { name: name.to_owned(), source: errno.into() };
        rustix::system::sethostname(name.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

fn keys(root: &Path, text: &str) -> Result<(), ProvisionError> {
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
