//! ConfigDrive: `openstack/latest/` on a disk labelled `config-2` (OpenStack Nova, "Config drives").

use std::collections::BTreeMap;

use serde::Deserialize;

use super::files::Files;
use super::text;
use crate::provision::error::ProvisionError;
use crate::provision::settings::Settings;
use crate::provision::{network_config, user_data};

/// What of the metadata counts.
#[derive(Debug, Default, Deserialize)]
struct MetaData {
    hostname: Option<String>,
    local_hostname: Option<String>,
    #[serde(default)]
    public_keys: BTreeMap<String, String>,
}

/// Reads the three files.
pub fn read(files: &Files, problems: &mut Vec<ProvisionError>) -> Settings {
    let mut settings = user_data::read(text(files, "openstack/latest/user_data"), problems);
    let meta = match text(files, "openstack/latest/meta_data.json") {
        "" => MetaData::default(),
        json => serde_json::from_str(json).unwrap_or_else(|error| {
            problems.push(ProvisionError::Form { what: "meta_data.json", message: error.to_string() });
            MetaData::default()
        }),
    };
    let keys = meta.public_keys.into_values().flat_map(|keys| keys.lines().map(str::to_owned).collect::<Vec<_>>());
    settings.fill_from(Settings {
        hostname: meta.local_hostname.or(meta.hostname),
        authorized_keys: keys.collect(),
        ..Settings::default()
    });
    let network = text(files, "openstack/latest/network_data.json");
    // OpenStack's own form describes its networks, not ours; KubeVirt hands through what the user wrote, which may well be version 2.
    if is_openstack(network) {
        let message = "it has OpenStack's form; write `networkData` as network-config version 2".to_owned();
        problems.push(ProvisionError::Form { what: "network_data.json", message });
    } else {
        settings.network = network_config::read(network, problems);
    }
    settings
}

fn is_openstack(text: &str) -> bool {
    let parsed: Result<BTreeMap<String, serde_json::Value>, _> = serde_json::from_str(text);
    parsed.is_ok_and(|document| document.contains_key("links") || document.contains_key("networks"))
}
