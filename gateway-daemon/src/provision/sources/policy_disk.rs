//! A ConfigMap or a Secret as a disk: one file per setting, named as the key in the ConfigMap.

use super::files::Files;
use super::text;
use crate::provision::error::ProvisionError;
use crate::provision::settings::Settings;
use crate::provision::{network_config, user_data};

/// Reads the files that are there.
pub fn read(files: &Files, problems: &mut Vec<ProvisionError>) -> Settings {
    let line = |path| Some(text(files, path).trim().to_owned()).filter(|text| !text.is_empty());
    let keys = text(files, "authorized_keys").lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Settings {
        hostname: line("hostname"),
        authorized_keys: keys.map(str::to_owned).collect(),
        password_hash: line("password-hash").and_then(|hash| user_data::hash(hash, problems)),
        files: Vec::new(),
        network: network_config::read(text(files, "network-config"), problems),
        policy: files.has("policy.toml").then(|| text(files, "policy.toml").to_owned()),
    }
}
