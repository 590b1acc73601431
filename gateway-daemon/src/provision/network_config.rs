//! network-config version 2, as cloud-init and netplan have it: the part that a gateway's legs need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::error::ProvisionError;

/// What messages call it.
pub const WHAT: &str = "network-config";

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct NetworkConfig {
    version: u32,
    /// Links, by a name that is the kernel's own only where `match` is missing.
    #[serde(default)]
    pub ethernets: BTreeMap<String, Ethernet>,
    #[serde(flatten)]
    rest: BTreeMap<String, Unread>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ethernet {
    /// Which link it is.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// What it shall be called.
    pub set_name: Option<String>,
    /// Ask for an IPv4 address.
    #[serde(default)]
    pub dhcp4: bool,
    /// Ask for an IPv6 address.
    #[serde(default)]
    pub dhcp6: bool,
    /// Listen to routers; by default when DHCP for IPv6 is on.
    pub accept_ra: Option<bool>,
    /// Addresses with prefix lengths.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// The IPv4 default route.
    pub gateway4: Option<IpAddr>,
    /// The IPv6 default route.
    pub gateway6: Option<IpAddr>,
    /// Routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Name servers.
    #[serde(default)]
    pub nameservers: Nameservers,
    /// Bytes.
    pub mtu: Option<u32>,
    #[serde(flatten)]
    rest: BTreeMap<String, Unread>,
}

/// How a link is recognised.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// By its MAC.
    pub macaddress: Option<String>,
    /// By its name.
    pub name: Option<String>,
    /// By its driver.
    pub driver: Option<String>,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Route {
    /// A prefix, an address, or `default`.
    pub to: String,
    /// The next hop; without one the destination is on the link.
    pub via: Option<IpAddr>,
    /// Lower is preferred.
    pub metric: Option<u32>,
}

/// Name servers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Nameservers {
    /// Their addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Domains to search.
    #[serde(default)]
    pub search: Vec<String>,
}

/// The document may stand below a key `network`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Wrapped { network: NetworkConfig },
    Plain(NetworkConfig),
}

/// A value that is not looked at.
#[derive(Clone, Debug, PartialEq)]
struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Keys that change nothing here.
const MEANINGLESS: [&str; 4] = ["renderer", "optional", "dhcp-identifier", "wakeonlan"];

/// Reads a network-config; `None` when there is none, or none that can be understood.
pub fn read(text: &str, problems: &mut Vec<ProvisionError>) -> Option<NetworkConfig> {
    if text.trim().is_empty() {
        return None;
    }
    let config = match serde_saphyr::from_str::<Document>(text) {
        Ok(Document::Wrapped { network: config } | Document::Plain(config)) => config,
        // An untagged value's own message says only that nothing fits; the plain form's says where.
        Err(_) => match serde_saphyr::from_str::<NetworkConfig>(text) {
            Ok(config) => config,
            Err(error) => {
                problems.push(ProvisionError::Form { what: WHAT, message: error.to_string() });
                return None;
            }
        },
    };
    if config.version != 2 {
        let message = format!("its version is {}; write it as version 2, with `ethernets:`", config.version);
        problems.push(ProvisionError::Form { what: WHAT, message });
        return None;
    }
    let own = config.rest.keys();
    let links = config.ethernets.values().flat_map(|link| link.rest.keys());
    let unread = own.chain(links).filter(|key| !MEANINGLESS.contains(&key.as_str()));
    problems.extend(unread.map(|key| ProvisionError::Ignored {
        what: WHAT,
        key: key.clone(),
        hint: "; links are described by `ethernets:`",
    }));
    Some(config)
}
