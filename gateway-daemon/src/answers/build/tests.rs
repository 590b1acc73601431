//! Held against etherparse's strict parser and its checksums, and against the packet core's.

use std::net::IpAddr;

use etherparse::{IpNumber, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::*;

const CLIENT: [u8; 4] = [10, 227, 128, 11];
const SERVER: [u8; 4] = [10, 128, 0, 1];
const GATEWAY: &str = "10.227.128.15";
const CLIENT_V6: [u8; 16] = [0xfd, 0, 2, 0x27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
const SERVER_V6: [u8; 16] = [0xfd, 0, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const GATEWAY_V6: &str = "fd00:227::15";

fn own(sender: IpAddr) -> Option<IpAddr> {
    (if sender.is_ipv4() { GATEWAY } else { GATEWAY_V6 }).parse().ok()
}

fn v4() -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ip(ip(CLIENT.into(), SERVER.into(), 0).unwrap())
}

fn v6() -> PacketBuilderStep<IpHeaders> {
    PacketBuilder::ip(ip(CLIENT_V6.into(), SERVER_V6.into(), 0).unwrap())
}

fn udp(builder: PacketBuilderStep<IpHeaders>, payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    builder.udp(40_000, 5353).write(&mut bytes, &vec![7; payload]).unwrap();
    bytes
}

fn tcp(builder: PacketBuilderStep<IpHeaders>, header: TcpHeader, payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    builder.tcp_header(header).write(&mut bytes, &vec![7; payload]).unwrap();
    bytes
}

fn syn() -> TcpHeader {
    TcpHeader { syn: true, ..TcpHeader::new(40_000, 443, 1_000_000, 64_240) }
}

fn refused(reason: DropReason, packet: &[u8]) -> Refused {
    let mut refused = Refused { ifindex: 3, reason: reason as u8, mtu: 1400, ..Default::default() };
    let len = packet.len().min(Refused::BYTES);
    refused.bytes[..len].copy_from_slice(&packet[..len]);
    refused.len = u16::try_from(len).unwrap();
    refused
}

fn answer(reason: DropReason, packet: &[u8]) -> Answer {
    build(&refused(reason, packet), own).unwrap_or_else(|| panic!("{reason:?} is answered"))
}

/// Source and destination, after the checks that every receiver makes: lengths and checksums.
fn checked(packet: &[u8]) -> (IpAddr, IpAddr) {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    match (sliced.net.as_ref().unwrap(), sliced.transport.as_ref().unwrap()) {
        (NetSlice::Ipv4(net), transport) => {
            let header = net.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            assert_eq!(usize::from(header.total_len()), packet.len());
            match transport {
                TransportSlice::Icmpv4(icmp) => {
                    assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()));
                    assert_eq!(header.dcp().value(), CONTROL);
                }
                TransportSlice::Tcp(segment) => {
                    assert_eq!(segment.checksum(), segment.calc_checksum_ipv4(header.source(), header.destination()).unwrap())
                }
                other => panic!("{other:?}"),
            }
            (header.source_addr().into(), header.destination_addr().into())
        }
        (NetSlice::Ipv6(net), transport) => {
            let header = net.header();
            let (source, destination) = (header.source(), header.destination());
            match transport {
                TransportSlice::Icmpv6(icmp) => assert!(icmp.is_checksum_valid(source, destination)),
                TransportSlice::Tcp(segment) => assert_eq!(segment.checksum(), segment.calc_checksum_ipv6(source, destination).unwrap()),
                other => panic!("{other:?}"),
            }
            (header.source_addr().into(), header.destination_addr().into())
        }
        (other, _) => panic!("{other:?}"),
    }
}

/// Type, code, the second word, and what is quoted.
fn icmp(answer: &Answer) -> (u8, u8, u32, &[u8]) {
    let (source, destination) = checked(&answer.packet);
    assert_eq!(Some(source), own(destination));
    assert_eq!(destination, answer.to);
    let at = if destination.is_ipv4() { 20 } else { 40 };
    let body = &answer.packet[at..];
    (body[0], body[1], u32::from_be_bytes(body[4..8].try_into().unwrap()), &body[8..])
}

fn segment(answer: &Answer) -> TcpHeader {
    match SlicedPacket::from_ip(&answer.packet).unwrap().transport {
        Some(TransportSlice::Tcp(segment)) => segment.to_header(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rejected_syn_gets_the_reset_of_a_closed_port() {
    for (builder, client, server) in [(v4(), IpAddr::from(CLIENT), IpAddr::from(SERVER)), (v6(), CLIENT_V6.into(), SERVER_V6.into())] {
        let answer = answer(DropReason::RuleReject, &tcp(builder, syn(), 0));
        assert_eq!((answer.to, checked(&answer.packet)), (client, (server, client)));
        let header = segment(&answer);
        assert_eq!((header.source_port, header.destination_port), (443, 40_000));
        assert!(header.rst && header.ack && !header.syn && !header.fin);
        assert_eq!((header.sequence_number, header.acknowledgment_number), (0, 1_000_001));
    }
}

#[test]
fn a_reset_acknowledges_data_that_was_not_handed_over() {
    // TCP Fast Open: 1300 bytes in the SYN, of which the datapath copies a few.
    let header = segment(&answer(DropReason::DefaultReject, &tcp(v4(), syn(), 1300)));
    assert_eq!(header.acknowledgment_number, 1_000_001 + 1300);
    let wrapping = TcpHeader { sequence_number: u32::MAX, ..syn() };
    assert_eq!(segment(&answer(DropReason::DefaultReject, &tcp(v6(), wrapping, 0))).acknowledgment_number, 0);
}

#[test]
fn a_segment_with_an_acknowledgement_gets_its_number_back() {
    let late = TcpHeader { ack: true, acknowledgment_number: 77, syn: false, ..syn() };
    let header = segment(&answer(DropReason::RuleReject, &tcp(v4(), late, 10)));
    assert!(header.rst && !header.ack);
    assert_eq!(header.sequence_number, 77);
}

#[test]
fn a_reset_is_never_answered() {
    let reset = TcpHeader { rst: true, syn: false, ..syn() };
    for reason in DropReason::ALL {
        assert_eq!(build(&refused(*reason, &tcp(v4(), reset.clone(), 0)), own), None);
    }
}

#[test]
fn a_rejected_datagram_is_told_who_forbids_it() {
    let packet = udp(v4(), 20);
    let answer = answer(DropReason::RuleReject, &packet);
    assert_eq!(icmp(&answer), (3, 13, 0, &packet[..]));
    assert_eq!(answer.to, IpAddr::from(CLIENT));
    let packet = udp(v6(), 20);
    assert_eq!(icmp(&self::answer(DropReason::DefaultReject, &packet)), (1, 1, 0, &packet[..]));
}

#[test]
fn no_room_is_told_as_unreachable_to_tcp_too() {
    use DropReason::{FlowTableFull, HalfOpenTableFull, HostQuota, MappingTableFull, NoFreePort};
    for reason in [FlowTableFull, HalfOpenTableFull, MappingTableFull, NoFreePort, HostQuota] {
        let packet = tcp(v4(), syn(), 0);
        assert_eq!(icmp(&answer(reason, &packet)), (3, 1, 0, &packet[..]), "{reason:?}");
        let packet = tcp(v6(), syn(), 0);
        assert_eq!(icmp(&answer(reason, &packet)), (1, 3, 0, &packet[..]), "{reason:?}");
    }
}

#[test]
fn too_big_names_the_mtu_and_quotes_what_there_is() {
    let packet = udp(v4(), 1450);
    assert_eq!(icmp(&answer(DropReason::TooBig, &packet)), (3, 4, 1400, &packet[..Refused::BYTES]));
    let packet = udp(v6(), 1450);
    assert_eq!(icmp(&answer(DropReason::TooBig, &packet)), (2, 0, 1400, &packet[..Refused::BYTES]));
    assert_eq!(build(&Refused { mtu: 0, ..refused(DropReason::TooBig, &packet) }, own), None);
}

#[test]
fn a_used_up_hop_limit_is_told_so() {
    let packet = udp(v4(), 0);
    assert_eq!(icmp(&answer(DropReason::HopLimit, &packet)), (11, 0, 0, &packet[..]));
    let packet = udp(v6(), 0);
    assert_eq!(icmp(&answer(DropReason::HopLimit, &packet)), (3, 0, 0, &packet[..]));
}

#[test]
fn every_other_reason_stays_silent() {
    let answered = DropReason::ALL.iter().filter(|reason| build(&refused(**reason, &udp(v4(), 0)), own).is_some()).count();
    assert_eq!(answered, 9);
    assert_eq!(build(&Refused { reason: 255, ..refused(DropReason::RuleReject, &udp(v4(), 0)) }, own), None);
}

#[test]
fn what_the_core_wants_answered_can_be() {
    use gateway_ebpf::abi::V4;
    use gateway_ebpf::packet::{Kind, Packet};
    for reason in DropReason::ALL {
        let packet = Packet::<V4> { kind: Kind::Udp, dont_fragment: true, ..Default::default() };
        let built = build(&refused(*reason, &udp(v4(), 0)), own).is_some();
        assert_eq!(built, gateway_ebpf::answer::wanted(&packet, *reason), "{reason:?}");
    }
}

#[test]
fn sources_that_are_nobody_get_no_answer() {
    for source in [[0, 0, 0, 0], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1]] {
        let packet = udp(PacketBuilder::ip(ip(source.into(), SERVER.into(), 0).unwrap()), 0);
        assert_eq!(build(&refused(DropReason::RuleReject, &packet), own), None, "{source:?}");
    }
}

#[test]
fn without_an_own_address_a_reset_still_goes() {
    assert_eq!(build(&refused(DropReason::RuleReject, &udp(v4(), 0)), |_| None), None);
    assert!(build(&refused(DropReason::RuleReject, &tcp(v4(), syn(), 0)), |_| None).is_some());
    // An address of the other family is none.
    assert_eq!(build(&refused(DropReason::RuleReject, &udp(v4(), 0)), |_| GATEWAY_V6.parse().ok()), None);
}

#[test]
fn an_ipv4_error_quotes_eight_bytes_behind_the_header_or_is_not_sent() {
    let packet = udp(v4(), 0);
    assert_eq!(build(&refused(DropReason::HopLimit, &packet[..27]), own), None);
    assert_eq!(icmp(&answer(DropReason::HopLimit, &packet)).3.len(), 28);
}

#[test]
fn extension_headers_do_not_hide_the_segment() {
    // Destination options of eight bytes in front of TCP.
    let mut packet = tcp(v6(), syn(), 0);
    packet[6] = IpNumber::IPV6_DESTINATION_OPTIONS.0;
    packet[5] += 8;
    packet.splice(40..40, [IpNumber::TCP.0, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(segment(&answer(DropReason::RuleReject, &packet)).acknowledgment_number, 1_000_001);
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_valid_packet_or_none(
        reason in any::<u8>(),
        mtu in any::<u16>(),
        len in 0..200u16,
        version in prop_oneof![Just(0x45u8), Just(0x60), Just(0x46), any::<u8>()],
        protocol in prop_oneof![Just(6u8), Just(17), Just(1), Just(58), any::<u8>()],
        bytes in prop::collection::vec(any::<u8>(), Refused::BYTES),
    ) {
        let mut refused = Refused { reason, mtu, len, ..Default::default() };
        refused.bytes.copy_from_slice(&bytes);
        refused.bytes[0] = version;
        refused.bytes[if version >> 4 == 6 { 6 } else { 9 }] = protocol;
        for reason in DropReason::ALL.iter().map(|reason| *reason as u8).chain([reason]) {
            if let Some(answer) = build(&Refused { reason, ..refused }, own) {
                prop_assert_eq!(checked(&answer.packet).1, answer.to);
                prop_assert!(answer.packet.len() <= 48 + Refused::BYTES);
            }
        }
    }

    #[test]
    fn packets_cut_anywhere_do_no_harm(cut in 0usize..150, flip in 0usize..150, value in any::<u8>()) {
        for packet in [tcp(v4(), syn(), 100), tcp(v6(), syn(), 100), udp(v4(), 100), udp(v6(), 100)] {
            let mut bytes = packet[..cut.min(packet.len())].to_vec();
            if let Some(byte) = bytes.get_mut(flip) {
                *byte = value;
            }
            for reason in DropReason::ALL {
                if let Some(answer) = build(&refused(*reason, &bytes), own) {
                    prop_assert_eq!(checked(&answer.packet).1, answer.to);
                }
            }
        }
    }
}
