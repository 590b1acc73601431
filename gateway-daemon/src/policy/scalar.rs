//! The small languages inside strings: addresses, ports, durations, rates, names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::error::{PolicyError, UnsupportedError, ValueError};
use crate::model::{PoolRange, PortRange, Rate};

/// IFNAMSIZ (include/uapi/linux/if.h) without the terminating zero.
const INTERFACE_NAME_BYTES: usize = 15;
/// Names stand in tables, labels and messages: long enough for a sentence, short enough for a column.
const RULE_NAME_BYTES: usize = 127;
const NAME_BYTES: usize = 63;

/// An address or a prefix without host bits.
pub(super) fn prefix(text: &str) -> Result<IpNet, ValueError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text.parse().map_err(|_| ValueError::Prefix(text.to_owned()))?;
    if net.trunc() == net { Ok(net) } else { Err(ValueError::HostBits(net, net.trunc(), net.addr())) }
}

/// An interface's own address with its network's prefix length.
pub(super) fn interface_address(text: &str) -> Result<IpNet, ValueError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(ValueError::PrefixLength(address, if address.is_ipv4() { 32 } else { 128 }));
    }
    let net: IpNet = text.parse().map_err(|_| ValueError::InterfaceAddress(text.to_owned()))?;
    host(net.addr())?;
    // A /31 has two hosts and neither network nor broadcast address (RFC 3021).
    if let IpNet::V4(v4) = net
        && v4.prefix_len() < 31
    {
        if v4.addr() == v4.network() {
            return Err(ValueError::NetworkAddress(net));
        }
        if v4.addr() == v4.broadcast() {
            return Err(ValueError::NotAHost(net.addr()));
        }
    }
    Ok(net)
}

/// One address of a host.
pub(super) fn address(text: &str) -> Result<IpAddr, ValueError> {
    let address = text.parse().map_err(|_| ValueError::Address(text.to_owned()))?;
    host(address)
}

fn host(address: IpAddr) -> Result<IpAddr, ValueError> {
    let bad = match address {
        // 0.0.0.0/8 is "this network" (RFC 1122 section 3.2.1.3).
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_loopback() || v6.is_multicast(),
    };
    if bad { Err(ValueError::NotAHost(address)) } else { Ok(address) }
}

/// One IPv4 address of a host, for NAT.
pub(super) fn nat_address(text: &str) -> Result<IpAddr, PolicyError> {
    ipv4(address(text)?).map(IpAddr::V4)
}

fn ipv4(address: IpAddr) -> Result<Ipv4Addr, PolicyError> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(UnsupportedError::Ipv6Nat(address).into()),
    }
}

/// A port forward's server: address, and port if given.
pub(super) fn endpoint(text: &str) -> Result<(IpAddr, Option<u16>), PolicyError> {
    let (address, port) = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => (address, None),
        (_, Ok(socket)) if socket.port() != 0 => (socket.ip(), Some(socket.port())),
        _ => return Err(ValueError::Endpoint(text.to_owned()).into()),
    };
    Ok((ipv4(host(address)?)?.into(), port))
}

/// A part of a pool: address, `first-last`, or prefix.
pub(super) fn pool_range(text: &str) -> Result<PoolRange, PolicyError> {
    let bad = || ValueError::PoolRange(text.to_owned());
    let one = |part: &str| -> Result<Ipv4Addr, PolicyError> { ipv4(host(part.trim().parse().map_err(|_| bad())?)?) };
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (one(first)?, one(last)?);
        return if first <= last { Ok(PoolRange { first, last }) } else { Err(ValueError::PoolOrder(first, last).into()) };
    }
    if text.contains('/') {
        let net = prefix(text).map_err(|error| if matches!(error, ValueError::Prefix(_)) { bad() } else { error })?;
        ipv4(net.network())?;
        // A route leads the whole prefix to the gateway, so its first and last addresses are as good as the others.
        return Ok(PoolRange { first: ipv4(host(net.network())?)?, last: ipv4(host(net.broadcast())?)? });
    }
    let first = one(text)?;
    Ok(PoolRange { first, last: first })
}

/// `"443"` or `"8000-8010"`.
pub(super) fn ports(text: &str) -> Result<PortRange, ValueError> {
    let bad = || ValueError::Port(text.to_owned());
    let one = |part: &str| -> Result<u16, ValueError> {
        // `parse` would take a sign.
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        part.parse().ok().filter(|port| *port != 0).ok_or_else(bad)
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (one(first.trim())?, one(last.trim())?),
        None => (one(text)?, one(text)?),
    };
    if first <= last { Ok(PortRange { first, last }) } else { Err(ValueError::PortOrder(first, last)) }
}

/// `"2h4m"`.
pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    humantime::parse_duration(text).map_err(|error| ValueError::Duration(text.to_owned(), error.to_string()))
}

/// `"10/second"`.
pub(super) fn rate(text: &str) -> Result<Rate, ValueError> {
    let bad = || ValueError::Rate(text.to_owned());
    let (count, per) = text.split_once('/').ok_or_else(bad)?;
    let per_ms = match per.trim() {
        "second" => 1_000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        _ => return Err(bad()),
    };
    let count = count.trim();
    if !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let count = count.parse().ok().filter(|count| *count != 0).ok_or_else(bad)?;
    Ok(Rate { count, per_ms })
}

/// A zone's or set's name.
pub(super) fn name(kind: &'static str, text: &str) -> Result<String, ValueError> {
    let good = text.len() <= NAME_BYTES
        && text.starts_with(|c: char| c.is_alphanumeric())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if good { Ok(text.to_owned()) } else { Err(ValueError::Name(kind, text.to_owned())) }
}

/// A rule's name.
pub(super) fn rule_name(text: &str) -> Result<String, ValueError> {
    let good = !text.is_empty() && text.len() <= RULE_NAME_BYTES && text.trim() == text && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(ValueError::RuleName(text.to_owned())) }
}

/// An interface's name, by the kernel's rule (`dev_valid_name` in net/core/dev.c).
pub(super) fn interface_name(text: &str) -> Result<String, ValueError> {
    let good = !text.is_empty()
        && text.len() <= INTERFACE_NAME_BYTES
        && text != "."
        && text != ".."
        // The kernel takes neither blanks nor `/` and `:`; nft has no way to write the others.
        && !text.chars().any(|c| "/:@\"*\\".contains(c) || c.is_whitespace() || c.is_control());
    if good { Ok(text.to_owned()) } else { Err(ValueError::InterfaceName(text.to_owned())) }
}
