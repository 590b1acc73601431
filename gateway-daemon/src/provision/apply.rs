//! Settings put in place: the host's name, files, the network. Keys and the password are [`super::login`]'s, the policy is
//! [`super::policy_file`]'s.

use std::path::Path;

use super::error::{Problem, ProvisionError};
use super::settings::{Settings, WriteFile};
use super::{networkd, place};

const HOSTNAME: &str = "/etc/hostname";

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
    let Some(config) = &settings.network else { return };
    let mut wrong = Vec::new();
    let mut described = 0;
    for (name, text) in networkd::files(config, &mut wrong) {
        let written = place::write(root, &format!("{}/{name}", networkd::DIRECTORY), text.as_bytes(), 0o644);
        described += usize::from(written.is_ok() && name.ends_with(".network"));
        outcome(format!("network file {name}"), written);
    }
    // Who describes the network describes all of it. Where a link was refused, the first one stays reachable: it may have been that one, and
    // what is described comes before the default all the same.
    if described > 0 && described == config.ethernets.len() {
        outcome("network as described".to_owned(), place::remove(root, &format!("{}/{}", networkd::DIRECTORY, networkd::DEFAULT)));
    }
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
