//! The kernel's command line, where nothing else can be given: `gateway.policy=` and `gateway.ssh_key=` in base64, `gateway.hostname=`.

use crate::provision::error::ProvisionError;
use crate::provision::settings::Settings;
use crate::provision::user_data::decode;

/// Reads the words that are ours.
pub fn read(line: &str, problems: &mut Vec<ProvisionError>) -> Settings {
    let mut settings = Settings::default();
    for word in line.split_whitespace() {
        let Some((key, value)) = word.strip_prefix("gateway.").and_then(|word| word.split_once('=')) else { continue };
        let mut decoded = |what| {
            let text = decode(value).and_then(|bytes| String::from_utf8(bytes).ok());
            if text.is_none() {
                let shown = value.chars().take(40).collect();
                problems.push(ProvisionError::Value { what, value: shown, why: "it is base64 of UTF-8 text" });
            }
            text
        };
        match key {
            "policy" => settings.policy = decoded("gateway.policy="),
            "ssh_key" => settings.authorized_keys.extend(decoded("gateway.ssh_key=")),
            "hostname" => settings.hostname = Some(value.to_owned()),
            other => {
                let hint = "; known are gateway.policy=, gateway.ssh_key= and gateway.hostname=";
                problems.push(ProvisionError::Ignored { what: "kernel command line", key: format!("gateway.{other}="), hint });
            }
        }
    }
    settings
}
