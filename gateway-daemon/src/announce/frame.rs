//! The frames themselves.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::icmpv6::NeighborAdvertisementHeader;
use etherparse::{ArpEthIpv4Packet, ArpOperation, Icmpv6Type, IpNumber, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

use crate::inventory::Mac;

/// Everybody on the link.
const BROADCAST: [u8; 6] = [0xff; 6];
/// ff02::1, all nodes (RFC 4291 section 2.7.1), and its Ethernet address (RFC 2464 section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
/// A receiver drops neighbour discovery that has crossed a router (RFC 4861 section 7.1.2).
const HOP_LIMIT: u8 = 255;
/// "Target link-layer address", 8 bytes long (RFC 4861 section 4.6.1).
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];

/// An ARP announcement (RFC 5227 section 3): an Ethernet frame of 42 bytes, which the driver pads.
#[must_use]
pub fn gratuitous_arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let packet = ArpEthIpv4Packet {
        operation: ArpOperation::REQUEST,
        sender_mac: mac.0,
        sender_ipv4: address.octets(),
        // "ignored", and zero by RFC 5227 section 1.1; our own MAC here would be the form of a reply.
        target_mac: [0; 6],
        target_ipv4: address.octets(),
    };
    let mut frame = Vec::with_capacity(42);
    written(PacketBuilder::ethernet2(mac.0, BROADCAST).arp(packet.to_arp_packet()).write(&mut frame));
    frame
}

/// An unsolicited neighbour advertisement (RFC 4861 sections 4.4 and 7.2.6), as a whole Ethernet frame.
#[must_use]
pub fn unsolicited_advertisement(mac: Mac, address: Ipv6Addr, router: bool) -> Vec<u8> {
    let header = NeighborAdvertisementHeader { router, solicited: false, r#override: true };
    let mut payload = Vec::with_capacity(24);
    payload.extend(address.octets());
    payload.extend(TARGET_LINK_LAYER);
    payload.extend(mac.0);
    let ip = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 0,
        next_header: IpNumber::IPV6_ICMP,
        hop_limit: HOP_LIMIT,
        source: address.octets(),
        destination: ALL_NODES.octets(),
    };
    let builder = PacketBuilder::ethernet2(mac.0, ALL_NODES_MAC).ip(etherparse::IpHeaders::Ipv6(ip, Default::default()));
    let mut frame = Vec::with_capacity(86);
    written(builder.icmpv6(Icmpv6Type::NeighborAdvertisement(header)).write(&mut frame, &payload));
    frame
}

/// Writing some dozen bytes into a vector cannot fail; should it, an empty frame is refused by the kernel with a message.
fn written<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::error!("a frame could not be built: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Icmpv6Slice, NetSlice, SlicedPacket, TransportSlice};

    const MAC: Mac = Mac([2, 0, 0, 0, 0x77, 1]);

    #[test]
    fn an_arp_announcement_is_the_request_of_rfc_5227() {
        let frame = gratuitous_arp(MAC, "10.227.128.15".parse().unwrap());
        assert_eq!(
            frame,
            [
                &[0xff; 6][..],
                &MAC.0,
                &[8, 6],
                // Ethernet, IPv4, lengths, request
                &[0, 1, 8, 0, 6, 4, 0, 1],
                &MAC.0,
                &[10, 227, 128, 15],
                &[0; 6],
                &[10, 227, 128, 15],
            ]
            .concat()
        );
    }

    #[test]
    fn an_unsolicited_advertisement_overrides_and_tells_the_truth_about_routing() {
        let address: Ipv6Addr = "fd00:227::15".parse().unwrap();
        for router in [true, false] {
            let frame = unsolicited_advertisement(MAC, address, router);
            assert_eq!(frame[..14], [&ALL_NODES_MAC[..], &MAC.0, &[0x86, 0xdd]].concat());
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv6(ip)) = &packet.net else { panic!("no IPv6") };
            let (source, destination) = (ip.header().source_addr(), ip.header().destination_addr());
            assert_eq!((source, destination, ip.header().hop_limit()), (address, ALL_NODES, 255));
            let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("no ICMPv6") };
            assert!(Icmpv6Slice::is_checksum_valid(icmp, source.octets(), destination.octets()));
            let flags = NeighborAdvertisementHeader { router, solicited: false, r#override: true };
            assert_eq!(icmp.icmp_type(), Icmpv6Type::NeighborAdvertisement(flags));
            assert_eq!(icmp.payload(), [&address.octets()[..], &[2, 1], &MAC.0].concat());
        }
    }
}
