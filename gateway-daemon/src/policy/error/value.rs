//! Values of the right type that say nothing sensible.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Suggestion;

/// A value that cannot be understood or is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ValueError {
    /// The text.
    #[error("`{0}` is not an IP address")]
    #[diagnostic(code("address"), help("write one address without prefix length, such as `10.0.0.1`"))]
    Address(String),
    /// The text.
    #[error("`{0}` is neither an address nor a prefix")]
    #[diagnostic(
        code("prefix"),
        help("write an address (`10.0.0.1`, `2001:db8::1`), a prefix (`10.0.0.0/8`, `2001:db8::/32`) or a set (`@name`)")
    )]
    Prefix(String),
    /// The text.
    #[error("`{0}` is not an interface address")]
    #[diagnostic(code("interface-address"), help("write address and prefix length, such as `10.0.0.1/24`"))]
    InterfaceAddress(String),
    /// The address, its family's host length.
    #[error("`{0}` has no prefix length")]
    #[diagnostic(code("prefix-length"), help("write `{0}/24` (the network's own length), or `{0}/{1}` for a single address"))]
    PrefixLength(IpAddr, u8),
    /// The prefix as written, the prefix without host bits, the address.
    #[error("`{0}` has bits set beyond its prefix length")]
    #[diagnostic(code("host-bits"), help("write `{1}` for the whole prefix, or `{2}` for the one address"))]
    HostBits(IpNet, IpNet, IpAddr),
    /// The address.
    #[error("`{0}` cannot be a host's address: it is unspecified, loopback, multicast or broadcast")]
    #[diagnostic(code("not-a-host"), help("write a unicast address"))]
    NotAHost(IpAddr),
    /// The address.
    #[error("`{0}` is the address of the network itself, not of a host in it")]
    #[diagnostic(code("network-address"), help("write the gateway's own address in that network"))]
    NetworkAddress(IpNet),
    /// The text.
    #[error("`{0}` is neither a port nor a range of ports")]
    #[diagnostic(code("port"), help("write a port from 1 to 65535, such as `443`, or a range such as `\"8000-8010\"`"))]
    Port(String),
    /// First and last as written.
    #[error("the range of ports `{0}-{1}` ends before it starts")]
    #[diagnostic(code("port-order"), help("write `\"{1}-{0}\"`"))]
    PortOrder(u16, u16),
    /// The first port.
    #[error("a pool's ports start at 1024 or above, not at {0}")]
    #[diagnostic(
        code("pool-ports"),
        help("write for example `\"1024-65535\"`: ports below 1024 are kept for internal ports below 1024 (RFC 4787 REQ-3)")
    )]
    PoolPorts(u16),
    /// The text, the parser's reason.
    #[error("`{0}` is not a duration: {1}")]
    #[diagnostic(code("duration"), help("write for example `\"90s\"`, `\"5m\"` or `\"2h4m\"`"))]
    Duration(String, String),
    /// Key, the text, the least, the most.
    #[error("`{0} = \"{1}\"` is out of range")]
    #[diagnostic(code("duration-range"), help("write a duration from {2} to {3}"))]
    DurationRange(&'static str, String, &'static str, &'static str),
    /// The text.
    #[error("`{0}` is not a rate")]
    #[diagnostic(code("rate"), help("write new flows per time, such as `\"10/second\"`, `\"100/minute\"` or `\"1000/hour\"`"))]
    Rate(String),
    /// The text.
    #[error("`{0}` is not a server's address")]
    #[diagnostic(code("endpoint"), help("write `\"10.0.0.1:3389\"`, or `\"10.0.0.1\"` to keep the port"))]
    Endpoint(String),
    /// The text.
    #[error("`{0}` is not an address or range of addresses")]
    #[diagnostic(code("pool-range"), help("write `\"203.0.113.10\"`, `\"203.0.113.10-203.0.113.13\"` or `\"203.0.113.8/29\"`"))]
    PoolRange(String),
    /// First and last as written.
    #[error("the range of addresses `{0}-{1}` ends before it starts")]
    #[diagnostic(code("pool-order"), help("write `\"{1}-{0}\"`"))]
    PoolOrder(Ipv4Addr, Ipv4Addr),
    /// Key, the text, what is allowed.
    #[error("`{1}` is not a value of `{0}`")]
    #[diagnostic(code("choice"), help("{2}"))]
    Choice(String, String, Suggestion),
    /// The name for ICMP that was written.
    #[error("`{0}` is not a protocol of its own here")]
    #[diagnostic(code("icmp-name"), help("write `\"icmp\"`: it means ICMP on IPv4 and ICMPv6 on IPv6"))]
    IcmpName(String),
    /// Key, the number as written, the least, the most.
    #[error("`{0} = {1}` is out of range")]
    #[diagnostic(code("range"), help("write a number from {2} to {3}"))]
    Range(String, String, u64, u64),
    /// What it names, the name.
    #[error("`{1}` cannot name a {0}")]
    #[diagnostic(code("name"), help("use 1 to 63 letters, digits, `-`, `_` and `.`, starting with a letter or digit"))]
    Name(&'static str, String),
    /// The name.
    #[error("`{0}` cannot name a rule")]
    #[diagnostic(code("rule-name"), help("use 1 to 127 bytes, none of them a control character, and no blank at either end"))]
    RuleName(String),
    /// The name.
    #[error("`{0}` cannot be the name of an interface")]
    #[diagnostic(
        code("interface-name"),
        help("write the kernel's name as `ip link` shows it: 1 to 15 bytes without blanks and none of `/ : @ \" * \\`")
    )]
    InterfaceName(String),
}
