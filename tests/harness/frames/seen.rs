//! What a frame says, read by etherparse.

use std::net::IpAddr;

use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};

use super::{Path, hex};

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its addresses, ports and TTL.
    pub path: Path,
    /// The transport checksum as it stands.
    pub checksum: u16,
    /// What etherparse computes for the transport checksum.
    pub expected_checksum: u16,
    /// The IPv4 header checksum is right; true for IPv6.
    pub header_checksum_ok: bool,
    /// The transport payload.
    pub payload: Vec<u8>,
}

impl Seen {
    /// Reads a TCP, UDP or echo frame.
    ///
    /// # Panics
    /// When it is none: the gateway has sent something that nobody can read.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let sliced = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("unreadable frame {}: {error}", hex(frame)));
        let Some(LinkSlice::Ethernet2(link)) = &sliced.link else { panic!("not Ethernet: {}", hex(frame)) };
        let (source, destination, ttl, header_checksum_ok): (IpAddr, IpAddr, u8, bool) = match &sliced.net {
            Some(NetSlice::Ipv4(net)) => {
                let header = net.header();
                let ok = header.to_header().calc_header_checksum() == header.header_checksum();
                (header.source_addr().into(), header.destination_addr().into(), header.ttl(), ok)
            }
            Some(NetSlice::Ipv6(net)) => {
                let header = net.header();
                (header.source_addr().into(), header.destination_addr().into(), header.hop_limit(), true)
            }
            _ => panic!("not IP: {}", hex(frame)),
        };
        let transport = sliced.transport.as_ref().unwrap_or_else(|| panic!("no transport: {}", hex(frame)));
        let (source_port, destination_port, checksum, payload) = fields(transport);
        let expected_checksum = expected(transport, source, destination);
        Self {
            path: Path {
                source_mac: link.source(),
                destination_mac: link.destination(),
                source,
                destination,
                source_port,
                destination_port,
                ttl,
            },
            checksum,
            expected_checksum,
            header_checksum_ok,
            payload,
        }
    }

    /// [`Seen::of`], with every checksum right.
    ///
    /// # Panics
    /// When one is wrong.
    #[must_use]
    pub fn sound(frame: &[u8]) -> Self {
        let seen = Self::of(frame);
        assert!(seen.header_checksum_ok, "the IPv4 header checksum is wrong: {}", hex(frame));
        assert_eq!(seen.checksum, seen.expected_checksum, "the transport checksum is wrong: {}", hex(frame));
        seen
    }
}

fn fields(transport: &TransportSlice<'_>) -> (u16, u16, u16, Vec<u8>) {
    match transport {
        TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port(), tcp.checksum(), tcp.payload().to_vec()),
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port(), udp.checksum(), udp.payload().to_vec()),
        TransportSlice::Icmpv4(icmp) => {
            let [a, b, ..] = icmp.bytes5to8();
            let id = u16::from_be_bytes([a, b]);
            let (source, destination) = if icmp.type_u8() == 8 { (id, 0) } else { (0, id) };
            (source, destination, icmp.checksum(), icmp.payload().to_vec())
        }
        TransportSlice::Icmpv6(icmp) => {
            let [a, b, ..] = icmp.bytes5to8();
            let id = u16::from_be_bytes([a, b]);
            let (source, destination) = if icmp.type_u8() == 128 { (id, 0) } else { (0, id) };
            (source, destination, icmp.checksum(), icmp.payload().to_vec())
        }
    }
}

fn expected(transport: &TransportSlice<'_>, source: IpAddr, destination: IpAddr) -> u16 {
    let sum = match (transport, source, destination) {
        (TransportSlice::Tcp(tcp), IpAddr::V4(s), IpAddr::V4(d)) => tcp.calc_checksum_ipv4(s.octets(), d.octets()).ok(),
        (TransportSlice::Tcp(tcp), IpAddr::V6(s), IpAddr::V6(d)) => tcp.calc_checksum_ipv6(s.octets(), d.octets()).ok(),
        (TransportSlice::Udp(udp), IpAddr::V4(s), IpAddr::V4(d)) => {
            udp.to_header().calc_checksum_ipv4_raw(s.octets(), d.octets(), udp.payload()).ok()
        }
        (TransportSlice::Udp(udp), IpAddr::V6(s), IpAddr::V6(d)) => {
            udp.to_header().calc_checksum_ipv6_raw(s.octets(), d.octets(), udp.payload()).ok()
        }
        (TransportSlice::Icmpv4(icmp), _, _) => Some(icmp.icmp_type().calc_checksum(icmp.payload())),
        (TransportSlice::Icmpv6(icmp), IpAddr::V6(s), IpAddr::V6(d)) => {
            icmp.icmp_type().calc_checksum(s.octets(), d.octets(), icmp.payload()).ok()
        }
        _ => None,
    };
    sum.expect("a transport checksum can be computed")
}
