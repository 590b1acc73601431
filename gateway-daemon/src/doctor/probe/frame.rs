//! Frames that probe, and what is heard in answer.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, Ipv6FlowLabel, Ipv6Header, LinkSlice, NetSlice,
    PacketBuilder, SlicedPacket, TransportSlice,
};

use crate::inventory::Mac;

/// Everybody on the link.
pub const BROADCAST: Mac = Mac([0xff; 6]);

/// A frame that says something to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody says that he has an address: an ARP reply, or a request that comes from it.
    Has {
        /// The address.
        address: Ipv4Addr,
        /// Where.
        mac: Mac,
        /// Whom the frame is for.
        to: Mac,
        /// For which address it was asked, as the asker gave it.
        asker: Ipv4Addr,
    },
    /// Somebody asks who has an address.
    Asks {
        /// The address.
        address: Ipv4Addr,
        /// The asker's.
        asker: Ipv4Addr,
        /// The asker's MAC.
        mac: Mac,
    },
    /// Somebody says that he has an IPv6 address.
    Advertises {
        /// The address.
        address: Ipv6Addr,
        /// Where.
        mac: Mac,
    },
    /// An echo request was answered.
    Echo {
        /// By whom.
        from: Ipv4Addr,
        /// To which address.
        to: Ipv4Addr,
        /// With which identifier.
        id: u16,
    },
}

/// Reads a frame; `None` where it is about something else.
#[must_use]
pub fn read(frame: &[u8]) -> Option<Heard> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(LinkSlice::Ethernet2(ethernet)) = &packet.link else { return None };
    match (&packet.net, &packet.transport) {
        (Some(NetSlice::Arp(arp)), _) => {
            let arp = arp.to_packet().try_eth_ipv4().ok()?;
            let (sender, target) = (arp.sender_ipv4_addr(), arp.target_ipv4_addr());
            let mac = Mac(arp.sender_mac);
            if arp.operation == ArpOperation::REQUEST && sender != target {
                return Some(Heard::Asks { address: target, asker: sender, mac });
            }
            Some(Heard::Has { address: sender, mac, to: Mac(ethernet.destination()), asker: target })
        }
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => match icmp.icmp_type() {
            Icmpv4Type::EchoReply(echo) => {
                Some(Heard::Echo { from: ip.header().source_addr(), to: ip.header().destination_addr(), id: echo.id })
            }
            _ => None,
        },
        (Some(NetSlice::Ipv6(_)), Some(TransportSlice::Icmpv6(icmp))) => match icmp.icmp_type() {
            Icmpv6Type::NeighborAdvertisement(_) => {
                let target: [u8; 16] = icmp.payload().get(..16)?.try_into().ok()?;
                Some(Heard::Advertises { address: target.into(), mac: Mac(ethernet.source()) })
            }
            _ => None,
        },
        _ => None,
    }
}

/// An ARP request by somebody at `mac` with `sender` for `target`. With an unspecified sender it is the probe of RFC 5227 section 2.1,
/// which nobody remembers.
#[must_use]
pub fn arp_request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::REQUEST, BROADCAST, (mac, sender), (Mac([0; 6]), target))
}

/// An ARP reply to `asker`, saying that `address` is at `mac`.
#[must_use]
pub fn arp_reply(mac: Mac, address: Ipv4Addr, asker: (Mac, Ipv4Addr)) -> Vec<u8> {
    arp(ArpOperation::REPLY, asker.0, (mac, address), asker)
}

fn arp(operation: ArpOperation, to: Mac, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let packet = ArpEthIpv4Packet {
        operation,
        sender_mac: sender.0.0,
        sender_ipv4: sender.1.octets(),
        target_mac: target.0.0,
        target_ipv4: target.1.octets(),
    };
    let mut frame = Vec::with_capacity(60);
    // Writing into a vector cannot fail.
    let _ = PacketBuilder::ethernet2(sender.0.0, to.0).arp(packet.to_arp_packet()).write(&mut frame);
    frame
}

/// The question of duplicate address detection (RFC 4862 section 5.4.2): whoever has the address tells all nodes.
#[must_use]
pub fn neighbour_probe(mac: Mac, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let ip = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 0,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: 255,
        source: Ipv6Addr::UNSPECIFIED.octets(),
        // The solicited-node multicast address (RFC 4291 section 2.7.1).
        destination: [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c],
    };
    let mut frame = Vec::with_capacity(78);
    let builder = PacketBuilder::ethernet2(mac.0, [0x33, 0x33, 0xff, a, b, c]).ip(IpHeaders::Ipv6(ip, Default::default()));
    let _ = builder.icmpv6(Icmpv6Type::NeighborSolicitation).write(&mut frame, &target.octets());
    frame
}

/// An echo request, `from` and `to` as MAC and address.
#[must_use]
pub fn echo_request(from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr), id: u16, sequence: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(98);
    let builder = PacketBuilder::ethernet2(from.0.0, to.0.0).ipv4(from.1.octets(), to.1.octets(), 64);
    let _ = builder.icmpv4_echo_request(id, sequence).write(&mut frame, b"gateway doctor: may this packet pass? (harmless)");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn v4(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_asked_and_answered_is_read_back() {
        let (own, peer) = (v4("10.0.0.1"), v4("10.0.0.2"));
        assert_eq!(read(&arp_request(OWN, own, peer)), Some(Heard::Asks { address: peer, asker: own, mac: OWN }));
        assert_eq!(read(&arp_reply(OWN, own, (PEER, peer))), Some(Heard::Has { address: own, mac: OWN, to: PEER, asker: peer }));
        // An announcement claims the address; a probe claims nothing.
        assert_eq!(read(&arp_request(OWN, own, own)), Some(Heard::Has { address: own, mac: OWN, to: BROADCAST, asker: own }));
        let probe = read(&arp_request(OWN, Ipv4Addr::UNSPECIFIED, own));
        assert_eq!(probe, Some(Heard::Asks { address: own, asker: Ipv4Addr::UNSPECIFIED, mac: OWN }));
        assert_eq!(read(&echo_request((OWN, own), (PEER, peer), 7, 1)), None, "only answers are of interest");
    }

    #[test]
    fn an_advertisement_is_read_and_a_solicitation_is_the_one_of_detection() {
        let address: Ipv6Addr = "fd00::1234:5678".parse().unwrap();
        let advertisement = crate::announce::unsolicited_advertisement(PEER, address, false);
        assert_eq!(read(&advertisement), Some(Heard::Advertises { address, mac: PEER }));
        let probe = neighbour_probe(OWN, address);
        assert_eq!(probe[..6], [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
        let packet = SlicedPacket::from_ethernet(&probe).unwrap();
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) = (&packet.net, &packet.transport) else { panic!("{packet:?}") };
        assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()) && ip.header().hop_limit() == 255);
        assert_eq!(ip.header().source_addr(), Ipv6Addr::UNSPECIFIED);
    }

    #[test]
    fn damaged_frames_are_not_heard() {
        let frame = arp_request(OWN, v4("10.0.0.1"), v4("10.0.0.2"));
        for length in 0..frame.len() {
            assert_eq!(read(&frame[..length]), None, "{length}");
        }
    }
}
