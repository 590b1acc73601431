//! Frames that probe, and what is heard in answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::icmpv6::NeighborAdvertisementHeader;
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, Ipv6FlowLabel, Ipv6Header, LinkSlice, NetSlice,
    PacketBuilder, SlicedPacket, TransportSlice,
};

use crate::inventory::Mac;

/// Everybody on the link.
pub const BROADCAST: Mac = Mac([0xff; 6]);
/// All IPv6 nodes on the link (RFC 2464 section 7, RFC 4291 section 2.7.1).
pub const ALL_NODES: (Mac, Ipv6Addr) = (Mac([0x33, 0x33, 0, 0, 0, 1]), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
/// Link-layer addresses of the asker and of who is asked for, 8 bytes long each (RFC 4861 section 4.6.1).
const SOURCE_LINK_LAYER: [u8; 2] = [1, 1];
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];
const ECHO: &[u8] = b"gateway doctor: may this packet pass? (harmless)";

/// A frame that says something to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody says that he has an address: an ARP reply, a request that asks for its own sender, a neighbour advertisement.
    Has {
        /// The address.
        address: IpAddr,
        /// Where.
        mac: Mac,
        /// Whom the frame is for.
        to: Mac,
        /// For which address it was asked, as the asker gave it; unspecified where all are told.
        asker: IpAddr,
    },
    /// Somebody asks who has an address.
    Asks {
        /// The address.
        address: IpAddr,
        /// The asker's.
        asker: IpAddr,
        /// The asker's MAC.
        mac: Mac,
    },
    /// An echo request was answered.
    Echo {
        /// By whom.
        from: IpAddr,
        /// To which address.
        to: IpAddr,
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
                return Some(Heard::Asks { address: target.into(), asker: sender.into(), mac });
            }
            Some(Heard::Has { address: sender.into(), mac, to: Mac(ethernet.destination()), asker: target.into() })
        }
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => match icmp.icmp_type() {
            Icmpv4Type::EchoReply(echo) => {
                Some(Heard::Echo { from: ip.header().source_addr().into(), to: ip.header().destination_addr().into(), id: echo.id })
            }
            _ => None,
        },
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
            let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
            let mac = Mac(ethernet.source());
            let target = || Some(IpAddr::from(<[u8; 16]>::try_from(icmp.payload().get(..16)?).ok()?));
            match icmp.icmp_type() {
                Icmpv6Type::NeighborSolicitation => Some(Heard::Asks { address: target()?, asker: source.into(), mac }),
                Icmpv6Type::NeighborAdvertisement(_) => {
                    let asker = if destination.is_multicast() { Ipv6Addr::UNSPECIFIED } else { destination };
                    Some(Heard::Has { address: target()?, mac, to: Mac(ethernet.destination()), asker: asker.into() })
                }
                Icmpv6Type::EchoReply(echo) => Some(Heard::Echo { from: source.into(), to: destination.into(), id: echo.id }),
                _ => None,
            }
        }
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

/// Answers `asker`, by its family's protocol, that `address` is at `mac`; `None` where nobody is to be answered.
#[must_use]
pub fn reply(mac: Mac, address: IpAddr, asker: (Mac, IpAddr)) -> Option<Vec<u8>> {
    match (address, asker.1) {
        (IpAddr::V4(address), IpAddr::V4(by)) => Some(arp_reply(mac, address, (asker.0, by))),
        (IpAddr::V6(address), IpAddr::V6(by)) if !by.is_unspecified() => Some(advertisement(mac, address, (asker.0, by))),
        _ => None,
    }
}

/// Whom solicitations for an address are sent to (RFC 4291 section 2.7.1).
#[must_use]
pub fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A neighbour solicitation by somebody at `mac` with `sender` for `target` (RFC 4861 section 4.3). With an unspecified sender it is the
/// question of duplicate address detection (RFC 4862 section 5.4.2): whoever has the address tells all nodes, and nobody remembers the asker.
#[must_use]
pub fn solicitation(mac: Mac, sender: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., a, b, c] = target.octets();
    let mut payload = target.octets().to_vec();
    if !sender.is_unspecified() {
        payload.extend(SOURCE_LINK_LAYER);
        payload.extend(mac.0);
    }
    let to = (Mac([0x33, 0x33, 0xff, a, b, c]), solicited_node(target));
    discovery((mac, sender), to, Icmpv6Type::NeighborSolicitation, &payload)
}

/// A neighbour advertisement to `asker`, saying that `address` is at `mac` (RFC 4861 section 4.4).
#[must_use]
pub fn advertisement(mac: Mac, address: Ipv6Addr, asker: (Mac, Ipv6Addr)) -> Vec<u8> {
    let header = NeighborAdvertisementHeader { router: false, solicited: true, r#override: true };
    let payload = [&address.octets()[..], &TARGET_LINK_LAYER, &mac.0].concat();
    discovery((mac, address), asker, Icmpv6Type::NeighborAdvertisement(header), &payload)
}

fn discovery(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), kind: Icmpv6Type, payload: &[u8]) -> Vec<u8> {
    let ip = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 0,
        next_header: IpNumber::IPV6_ICMP,
        // What has crossed a router is dropped (RFC 4861 section 7.1).
        hop_limit: 255,
        source: from.1.octets(),
        destination: to.1.octets(),
    };
    let mut frame = Vec::with_capacity(86);
    let builder = PacketBuilder::ethernet2(from.0.0, to.0.0).ip(IpHeaders::Ipv6(ip, Default::default()));
    let _ = builder.icmpv6(kind).write(&mut frame, payload);
    frame
}

/// An echo request, `from` and `to` as MAC and address.
#[must_use]
pub fn echo_request(from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr), id: u16, sequence: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(98);
    let builder = PacketBuilder::ethernet2(from.0.0, to.0.0).ipv4(from.1.octets(), to.1.octets(), 64);
    let _ = builder.icmpv4_echo_request(id, sequence).write(&mut frame, ECHO);
    frame
}

/// The same of IPv6.
#[must_use]
pub fn echo_request_v6(from: (Mac, Ipv6Addr), to: (Mac, Ipv6Addr), id: u16, sequence: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(118);
    let builder = PacketBuilder::ethernet2(from.0.0, to.0.0).ipv6(from.1.octets(), to.1.octets(), 64);
    let _ = builder.icmpv6_echo_request(id, sequence).write(&mut frame, ECHO);
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
        let asks = |address: Ipv4Addr, asker: Ipv4Addr| Some(Heard::Asks { address: address.into(), asker: asker.into(), mac: OWN });
        let has = |to, asker: Ipv4Addr| Some(Heard::Has { address: own.into(), mac: OWN, to, asker: asker.into() });
        assert_eq!(read(&arp_request(OWN, own, peer)), asks(peer, own));
        assert_eq!(read(&arp_reply(OWN, own, (PEER, peer))), has(PEER, peer));
        // An announcement claims the address; a probe claims nothing.
        assert_eq!(read(&arp_request(OWN, own, own)), has(BROADCAST, own));
        assert_eq!(read(&arp_request(OWN, Ipv4Addr::UNSPECIFIED, own)), asks(own, Ipv4Addr::UNSPECIFIED));
        assert_eq!(read(&echo_request((OWN, own), (PEER, peer), 7, 1)), None, "only answers are of interest");
    }

    #[test]
    fn neighbour_discovery_is_read_back_and_can_be_believed() {
        let [own, peer]: [Ipv6Addr; 2] = ["fd00::1234:5678", "fd00::2"].map(|text| text.parse().unwrap());
        let nobody = Ipv6Addr::UNSPECIFIED;
        let asks = |asker: Ipv6Addr| Some(Heard::Asks { address: own.into(), asker: asker.into(), mac: PEER });
        let has = |to, asker: Ipv6Addr| Some(Heard::Has { address: own.into(), mac: OWN, to, asker: asker.into() });
        let told = crate::announce::unsolicited_advertisement(OWN, own, false);
        let (probe, question) = (solicitation(PEER, nobody, own), solicitation(PEER, peer, own));
        let answer = advertisement(OWN, own, (PEER, peer));
        assert_eq!((read(&probe), read(&question)), (asks(nobody), asks(peer)));
        assert_eq!((read(&answer), read(&told)), (has(PEER, peer), has(ALL_NODES.0, nobody)));
        assert_eq!(probe[..6], [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
        // An option there is only where it is allowed (RFC 4861 section 7.1.1).
        assert_eq!((probe.len(), question.len(), answer.len()), (78, 86, 86));
        for frame in [probe, question, answer, echo_request_v6((OWN, own), (PEER, peer), 7, 1)] {
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) = (&packet.net, &packet.transport) else {
                panic!("{packet:?}")
            };
            assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()), "{packet:?}");
            assert_eq!(ip.header().hop_limit() == 255, !matches!(icmp.icmp_type(), Icmpv6Type::EchoRequest(_)));
        }
    }

    #[test]
    fn damaged_frames_are_not_heard() {
        let frame = arp_request(OWN, v4("10.0.0.1"), v4("10.0.0.2"));
        for length in 0..frame.len() {
            assert_eq!(read(&frame[..length]), None, "{length}");
        }
    }
}
