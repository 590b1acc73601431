//! The two families of addresses, so that each probe is written once: ARP asks and answers for the one, neighbour discovery for the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use ipnet::IpNet;

use super::frame;
use crate::inventory::{IfIndex, Mac};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Asked for by ARP.
    V4,
    /// Asked for by neighbour discovery.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An address of one family, with the frames that ask for it.
pub(super) trait Address: Copy + Ord + fmt::Display + Into<IpAddr> {
    const FAMILY: Family;
    /// Whom nobody remembers.
    const NOBODY: Self;
    /// The protocol that asks.
    const ASKING: &'static str;
    /// Why a leg without a usable one is not tried.
    const NONE: &'static str;

    /// `None`: of the other family, or of no use, as link-local ones, which port security always lets through.
    fn of(address: IpAddr) -> Option<Self>;

    /// Of the network, but neither its own nor its broadcast address; `chance` chooses. `None`: there is no room for foreigners.
    fn within(net: &IpNet, chance: u128) -> Option<Self>;

    /// Asks for the MAC of `target`.
    fn request(mac: Mac, sender: Self, target: Self) -> Vec<u8>;

    /// The MAC to which a request by `sender` at `mac` is answered.
    fn answered_to(mac: Mac, sender: Self) -> Mac;

    /// A ping, `from` and `to` as MAC and address.
    fn ping(from: (Mac, Self), to: (Mac, Self), id: u16, sequence: u16) -> Vec<u8>;

    /// Has switches deliver questions for `address` here, as long as what this gives is kept.
    fn subscribe(link: IfIndex, address: Self) -> Option<UdpSocket>;
}

impl Address for Ipv4Addr {
    const FAMILY: Family = Family::V4;
    const NOBODY: Self = Self::UNSPECIFIED;
    const ASKING: &'static str = "ARP";
    const NONE: &'static str = "it has no IPv4 address";

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn within(net: &IpNet, chance: u128) -> Option<Self> {
        let IpNet::V4(net) = net else { return None };
        let hosts = (1u128 << (32 - net.prefix_len())).checked_sub(2).filter(|_| net.prefix_len() <= 29)?;
        let host = u32::try_from(chance % hosts).ok()?;
        Some(Self::from(u32::from(net.network()) + 1 + host))
    }

    fn request(mac: Mac, sender: Self, target: Self) -> Vec<u8> {
        frame::arp_request(mac, sender, target)
    }

    fn answered_to(mac: Mac, _: Self) -> Mac {
        mac
    }

    fn ping(from: (Mac, Self), to: (Mac, Self), id: u16, sequence: u16) -> Vec<u8> {
        frame::echo_request(from, to, id, sequence)
    }

    /// Broadcasts arrive everywhere.
    fn subscribe(_: IfIndex, _: Self) -> Option<UdpSocket> {
        None
    }
}

impl Address for Ipv6Addr {
    const FAMILY: Family = Family::V6;
    const NOBODY: Self = Self::UNSPECIFIED;
    const ASKING: &'static str = "neighbour discovery";
    const NONE: &'static str = "it has no IPv6 address, or a link-local one only";

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V6(address) if !address.is_unicast_link_local() => Some(address),
            _ => None,
        }
    }

    fn within(net: &IpNet, chance: u128) -> Option<Self> {
        let IpNet::V6(net) = net else { return None };
        let hosts = u128::MAX.checked_shr(net.prefix_len().into()).filter(|_| net.prefix_len() <= 120)?;
        Self::of(Self::from(u128::from(net.network()) | (chance & hosts)).into())
    }

    fn request(mac: Mac, sender: Self, target: Self) -> Vec<u8> {
        frame::solicitation(mac, sender, target)
    }

    /// RFC 4861 section 7.2.4: who asks from the unspecified address is answered together with all nodes.
    fn answered_to(mac: Mac, sender: Self) -> Mac {
        if sender == Self::NOBODY { frame::ALL_NODES.0 } else { mac }
    }

    fn ping(from: (Mac, Self), to: (Mac, Self), id: u16, sequence: u16) -> Vec<u8> {
        frame::echo_request_v6(from, to, id, sequence)
    }

    /// Bridges that listen to MLD deliver solicitations to members of the group only: the kernel reports one for us.
    fn subscribe(link: IfIndex, address: Self) -> Option<UdpSocket> {
        let socket = UdpSocket::bind((Self::UNSPECIFIED, 0)).ok()?;
        socket.join_multicast_v6(&frame::solicited_node(address), link.0).ok()?;
        Some(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreigners_are_of_the_network_and_none_of_its_ends() {
        let net: IpNet = "10.0.0.8/29".parse().unwrap();
        let all: Vec<String> = (0..7).map(|chance| Ipv4Addr::within(&net, chance).unwrap().to_string()).collect();
        assert_eq!((all[0].as_str(), all[5].as_str(), all[6].as_str()), ("10.0.0.9", "10.0.0.14", "10.0.0.9"));
        let v6 = |net: &str| Ipv6Addr::within(&net.parse().unwrap(), u128::MAX);
        assert_eq!(v6("fd00:1:2:3::5/64"), Some("fd00:1:2:3:ffff:ffff:ffff:ffff".parse().unwrap()));
        assert_eq!((v6("fe80::1/64"), v6("fd00::1/128"), v6("10.0.0.0/8")), (None, None, None));
        assert_eq!(Ipv4Addr::within(&"10.0.0.8/31".parse().unwrap(), 1), None);
    }
}
