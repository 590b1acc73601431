//! NoCloud: `meta-data`, `user-data` and `network-config` on a disk labelled `cidata` (cloud-init's documentation, "NoCloud").

use serde::Deserialize;

use super::files::Files;
use super::text;
use crate::provision::error::ProvisionError;
use crate::provision::settings::Settings;
use crate::provision::{network_config, user_data};

/// What of the metadata counts.
#[derive(Debug, Default, Deserialize)]
struct MetaData {
    #[serde(rename = "local-hostname")]
    local_hostname: Option<String>,
    hostname: Option<String>,
    #[serde(rename = "public-keys", default)]
    public_keys: Vec<String>,
}

/// Reads the three files.
pub fn read(files: &Files, problems: &mut Vec<ProvisionError>) -> Settings {
    let mut settings = user_data::read(text(files, "user-data"), problems);
    let meta: MetaData = match serde_saphyr::from_str::<Option<MetaData>>(text(files, "meta-data")) {
        Ok(meta) => meta.unwrap_or_default(),
        Err(error) => {
            problems.push(ProvisionError::Form { what: "meta-data", message: error.to_string() });
            MetaData::default()
        }
    };
    // KubeVirt always gives the VM's name as the host's.
    let lower = Settings { hostname: meta.local_hostname.or(meta.hostname), authorized_keys: meta.public_keys, ..Settings::default() };
    settings.fill_from(lower);
    settings.network = network_config::read(text(files, "network-config"), problems);
    settings
}
