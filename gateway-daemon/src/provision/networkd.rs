//! From a network-config to files of systemd-networkd (systemd.network(5), systemd.link(5)).

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::error::ProvisionError;
use super::network_config::{Ethernet, NetworkConfig};

/// The directory of networkd's files.
pub const DIRECTORY: &str = "/etc/systemd/network";
/// What holds on the first link while nothing is said; see the image's recipe.
pub const DEFAULT: &str = "80-pods.network";

/// The files' names and texts. A link that cannot be told from others by what is written is left out; a route or domain that is none is left
/// out of its link. Both are told.
pub fn files(config: &NetworkConfig, problems: &mut Vec<ProvisionError>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (number, (id, link)) in config.ethernets.iter().enumerate() {
        if let Err(error) = check(id, link) {
            problems.push(error);
            continue;
        }
        let name = format!("{:02}-{id}", 10 + number);
        if let Some(wanted) = &link.set_name {
            files.push((format!("{name}.link"), format!("{}\n[Link]\nName={wanted}\n", matching(id, link, true))));
        }
        files.push((format!("{name}.network"), network(id, link, problems)));
    }
    files
}

/// Names and MACs come to stand in files and file names.
fn check(id: &str, link: &Ethernet) -> Result<(), ProvisionError> {
    let invalid = |what, value: &str, why| Err(ProvisionError::Value { what, value: value.to_owned(), why });
    let is_name = |name: &str| !name.is_empty() && name.len() <= 15 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if id.is_empty() || id.len() > 64 || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return invalid("network-config: the link", id, "it has letters, digits, '-' and '_'");
    }
    if let Some(name) = link.set_name.as_deref().filter(|name| !is_name(name)) {
        return invalid("network-config: set-name", name, "a link's name has 1 to 15 letters, digits, '-', '_' and '.'");
    }
    let Some(matches) = &link.matches else { return Ok(()) };
    let is_mac = |mac: &str| mac.len() == 17 && mac.split(':').all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok());
    if let Some(mac) = matches.macaddress.as_deref().filter(|mac| !is_mac(mac)) {
        return invalid("network-config: macaddress", mac, "a MAC is six pairs of hexadecimal digits with colons");
    }
    let patterns = [&matches.name, &matches.driver];
    if let Some(pattern) = patterns.into_iter().flatten().find(|pattern| !pattern.chars().all(|c| c.is_ascii_graphic())) {
        return invalid("network-config: match", pattern, "it has no spaces or line ends");
    }
    Ok(())
}

fn matching(id: &str, link: &Ethernet, before_naming: bool) -> String {
    let mut text = String::from("[Match]\n");
    let matches = link.matches.clone().unwrap_or_default();
    if let Some(mac) = &matches.macaddress {
        let _ = writeln!(text, "MACAddress={}", mac.to_lowercase());
    }
    if let Some(driver) = &matches.driver {
        let _ = writeln!(text, "Driver={driver}");
    }
    // What was matched by its old name has the new one by the time addresses are given.
    let name = if before_naming { matches.name.as_ref() } else { link.set_name.as_ref().or(matches.name.as_ref()) };
    let says_who = matches.macaddress.is_some() || matches.driver.is_some();
    match name {
        Some(name) if before_naming => text.push_str(&format!("OriginalName={name}\n")),
        Some(name) => text.push_str(&format!("Name={name}\n")),
        None if !says_who => text.push_str(&format!("{}={id}\n", if before_naming { "OriginalName" } else { "Name" })),
        None => {}
    }
    if matches.macaddress.is_some() {
        // VLANs and bridges above the link have its MAC too.
        text.push_str("Kind=!*\n");
    }
    text
}

fn network(id: &str, link: &Ethernet, problems: &mut Vec<ProvisionError>) -> String {
    let mut refuse = |what, value: &str, why| problems.push(ProvisionError::Value { what, value: value.to_owned(), why });
    let mut text = matching(id, link, false);
    text.push_str("\n[Link]\nRequiredForOnline=no\n");
    if let Some(mtu) = link.mtu {
        let _ = writeln!(text, "MTUBytes={mtu}");
    }
    let dhcp = match (link.dhcp4, link.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    let accept_ra = if link.accept_ra.unwrap_or(link.dhcp6) { "yes" } else { "no" };
    let _ = write!(text, "\n[Network]\nDHCP={dhcp}\nIPv6AcceptRA={accept_ra}\nLinkLocalAddressing=ipv6\nKeepConfiguration=static\n");
    for address in &link.addresses {
        let _ = writeln!(text, "Address={address}");
    }
    for gateway in [link.gateway4, link.gateway6].into_iter().flatten() {
        let _ = writeln!(text, "Gateway={gateway}");
    }
    for server in &link.nameservers.addresses {
        let _ = writeln!(text, "DNS={server}");
    }
    if !link.nameservers.search.is_empty() {
        let (domains, others): (Vec<&str>, Vec<&str>) =
            link.nameservers.search.iter().map(String::as_str).partition(|domain| is_domain(domain));
        let _ = writeln!(text, "Domains={}", domains.join(" "));
        for other in others {
            refuse("network-config: search", other, "a domain has letters, digits, '.', '-' and '_'; the others hold");
        }
    }
    text.push_str("\n[DHCPv4]\nClientIdentifier=mac\nUseHostname=no\nSendRelease=no\nUseMTU=");
    // What is written outranks what a server says.
    text.push_str(if link.mtu.is_some() { "no\n" } else { "yes\n" });
    for route in &link.routes {
        let to = if route.to == "default" { default_of(route.via) } else { route.to.as_str() };
        let Some(prefix) = to.parse::<IpNet>().ok().or_else(|| to.parse::<IpAddr>().ok().map(IpNet::from)) else {
            refuse("network-config: the route to", to, "a destination is a prefix, an address or `default`; the other routes hold");
            continue;
        };
        if route.via.is_some_and(|via| via.is_ipv4() != matches!(prefix, IpNet::V4(_))) {
            refuse("network-config: the route to", to, "`via` is an address of the destination's own family; the other routes hold");
            continue;
        }
        let _ = write!(text, "\n[Route]\nDestination={to}\n");
        match route.via {
            Some(via) => writeln!(text, "Gateway={via}"),
            None => writeln!(text, "Scope=link"),
        }
        .ok();
        if let Some(metric) = route.metric {
            let _ = writeln!(text, "Metric={metric}");
        }
    }
    text
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_~".contains(c))
}

const fn default_of(via: Option<IpAddr>) -> &'static str {
    match via {
        Some(IpAddr::V6(_)) => "::/0",
        _ => "0.0.0.0/0",
    }
}
