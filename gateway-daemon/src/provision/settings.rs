//! What sources may say, in our own words.

use super::network_config::NetworkConfig;

/// The settings of one source, or of all together. Nothing said is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The host's name.
    pub hostname: Option<String>,
    /// Keys that may log in as root by ssh, one line each.
    pub authorized_keys: Vec<String>,
    /// Root's password on the console, as a crypt(5) hash.
    pub password_hash: Option<String>,
    /// Files to write.
    pub files: Vec<WriteFile>,
    /// Links, addresses, routes.
    pub network: Option<NetworkConfig>,
    /// The policy's text.
    pub policy: Option<String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFile {
    /// Absolute, without `..`.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Its mode.
    pub mode: u32,
    /// At the end of what is there, instead of in its place.
    pub append: bool,
}

impl Settings {
    /// Takes over what is not set yet. Files of a lower rank come first, so that those of a higher rank win.
    pub fn fill_from(&mut self, lower: Self) {
        let Self { hostname, authorized_keys, password_hash, mut files, network, policy } = lower;
        self.hostname = self.hostname.take().or(hostname);
        if self.authorized_keys.is_empty() {
            self.authorized_keys = authorized_keys;
        }
        self.password_hash = self.password_hash.take().or(password_hash);
        files.append(&mut self.files);
        self.files = files;
        self.network = self.network.take().or(network);
        self.policy = self.policy.take().or(policy);
    }
}
