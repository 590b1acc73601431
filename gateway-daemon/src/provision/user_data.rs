//! User data: the part of cloud-config that makes sense for a gateway, and a section of its own, `gateway:`, with the policy.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;

use super::error::ProvisionError;
use super::policy_file::POLICY;
use super::settings::{Settings, WriteFile};

/// What messages call it.
const WHAT: &str = "user-data";

/// A cloud-config, as written.
#[derive(Debug, Default, Deserialize)]
struct CloudConfig {
    hostname: Option<String>,
    fqdn: Option<String>,
    #[serde(default)]
    ssh_authorized_keys: Vec<String>,
    /// For the default user, which is root here.
    password: Option<String>,
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    write_files: Vec<File>,
    gateway: Option<Section>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde::de::IgnoredAny>,
}

/// A user: a mapping, or the word `default`, which adds nothing here.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum User {
    Named(Box<NamedUser>),
    Word(String),
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    ssh_authorized_keys: Vec<String>,
    #[serde(alias = "passwd")]
    hashed_passwd: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    #[serde(default)]
    content: String,
    encoding: Option<String>,
    /// As it is written, quoted or not: whether YAML takes 0644 for octal depends on its version.
    permissions: Option<String>,
    #[serde(default)]
    append: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    policy: Option<String>,
}

/// Reads user data; what is wrong in it goes to `problems`, and the rest holds.
pub fn read(text: &str, problems: &mut Vec<ProvisionError>) -> Settings {
    if text.trim().is_empty() {
        return Settings::default();
    }
    let first = text.lines().next().unwrap_or_default().trim();
    if first != "#cloud-config" {
        problems.push(ProvisionError::UserDataKind(first.chars().take(40).collect()));
        return Settings::default();
    }
    let config: CloudConfig = match serde_saphyr::from_str::<Option<CloudConfig>>(text) {
        Ok(config) => config.unwrap_or_default(),
        Err(error) => {
            problems.push(ProvisionError::Form { what: WHAT, message: error.to_string() });
            return Settings::default();
        }
    };
    settings(config, problems)
}

fn settings(config: CloudConfig, problems: &mut Vec<ProvisionError>) -> Settings {
    let mut settings =
        Settings { hostname: config.hostname.or(config.fqdn), authorized_keys: config.ssh_authorized_keys, ..Settings::default() };
    settings.password_hash = config.password.and_then(|password| hash(password, problems));
    for user in config.users {
        match user {
            User::Named(user) if user.name == "root" => {
                settings.authorized_keys.extend(user.ssh_authorized_keys);
                settings.password_hash = user.hashed_passwd.and_then(|password| hash(password, problems)).or(settings.password_hash);
            }
            User::Word(word) if word == "default" => {}
            User::Named(user) => problems.push(ignored(format!("users: {}", user.name), ONLY_ROOT)),
            User::Word(word) => problems.push(ignored(format!("users: {word}"), ONLY_ROOT)),
        }
    }
    for file in config.write_files {
        match write_file(file) {
            Ok(file) if file.path == POLICY => match String::from_utf8(file.content) {
                Ok(text) => settings.policy = Some(text),
                Err(_) => problems.push(ProvisionError::Value { what: "write_files", value: POLICY.into(), why: "a policy is UTF-8 text" }),
            },
            Ok(file) => settings.files.push(file),
            Err(error) => problems.push(error),
        }
    }
    // The section of our own says it more plainly than a file does.
    settings.policy = config.gateway.and_then(|section| section.policy).or(settings.policy);
    problems.extend(config.rest.into_keys().filter(|key| !MEANINGLESS.contains(&key.as_str())).map(|key| ignored(key, READ)));
    settings
}

/// Keys that ask for what is the case anyway.
const MEANINGLESS: [&str; 6] = ["chpasswd", "ssh_pwauth", "disable_root", "preserve_hostname", "manage_etc_hosts", "growpart"];

/// What does something.
const READ: &str = "; the gateway reads hostname, fqdn, ssh_authorized_keys, password, users, write_files and gateway";

const ONLY_ROOT: &str = "; root is the only one who logs in";

fn ignored(key: String, hint: &'static str) -> ProvisionError {
    ProvisionError::Ignored { what: WHAT, key, hint }
}

/// A crypt(5) hash: `$id$…`. A password in clear text is refused, since user data is read by many.
pub fn hash(password: String, problems: &mut Vec<ProvisionError>) -> Option<String> {
    let is_hash = password.starts_with('$') && password.matches('$').count() >= 3 && password.len() >= 20;
    let is_line = password.chars().all(|c| c.is_ascii_graphic() && c != ':');
    if is_hash && is_line {
        return Some(password);
    }
    problems.push(ProvisionError::PlainPassword);
    None
}

fn write_file(file: File) -> Result<WriteFile, ProvisionError> {
    let invalid = |value: &str, why| ProvisionError::Value { what: "write_files", value: value.to_owned(), why };
    if !file.path.starts_with('/') || file.path.split('/').any(|part| part == "..") || file.path.ends_with('/') {
        return Err(invalid(&file.path, "the path of a file is absolute and without `..`"));
    }
    let content = match file.encoding.as_deref() {
        None | Some("text/plain") => file.content.into_bytes(),
        Some("b64" | "base64") => decode(&file.content).ok_or_else(|| invalid(&file.path, "its content is not base64"))?,
        Some(other) => return Err(invalid(other, "the encoding is text/plain or base64")),
    };
    let mode = file.permissions.map_or(Some(0o644), |text| u32::from_str_radix(text.trim_start_matches("0o"), 8).ok());
    let mode = mode.filter(|mode| *mode <= 0o7777).ok_or_else(|| invalid(&file.path, "permissions are octal, such as '0644'"))?;
    Ok(WriteFile { path: file.path, content, mode, append: file.append })
}

/// Base64, with or without line ends.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let joined: String = text.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(joined).ok()
}
