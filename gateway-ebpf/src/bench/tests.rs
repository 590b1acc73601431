//! The bench's frames, seen by an independent parser.

use std::collections::HashSet;
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::frame::{first, second};
use super::*;

const REMOTE: [u8; 4] = [10, 88, 0, 2];
const NETWORK_V6: [u8; 16] = [0xfd, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const REMOTE_V6: [u8; 16] = [0xfd, 0, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

fn sum(bytes: impl Iterator<Item = u8>) -> u32 {
    let bytes: Vec<u8> = bytes.collect();
    bytes.chunks(2).map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum()
}

fn v4(large: bool) -> Config {
    let template = template_v4(MACS[0], MACS[1], [10, 77, 0, 0], REMOTE, large);
    let tail_sum = if large { sum(tail::<FrameV4>()) } else { 0 };
    Config {
        template,
        arrival: macs(MACS[0], MACS[1]),
        flows: FLOWS,
        remote: u32::from_ne_bytes(REMOTE),
        ttl: TTL as u32,
        tail_sum,
        ..Config::default()
    }
}

fn v6(large: bool) -> Config {
    let template = template_v6(MACS[0], MACS[1], NETWORK_V6, REMOTE_V6, large);
    let tail_sum = if large { sum(tail::<FrameV6>()) } else { 0 };
    Config { template, arrival: macs(MACS[0], MACS[1]), flows: FLOWS, ttl: TTL as u32, tail_sum, ..Config::default() }
}

fn bytes<L: Layout>(frame: &L, large: bool) -> Vec<u8> {
    let head = (0..L::WORDS).flat_map(|at| frame.word(at).to_ne_bytes());
    head.chain(tail::<L>().filter(|_| large)).collect()
}

/// Addresses and ports, after all checksums were found right.
fn seen(bytes: &[u8]) -> (IpAddr, u16, IpAddr, u16) {
    let packet = SlicedPacket::from_ethernet(bytes).unwrap();
    let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("no UDP") };
    assert_eq!(usize::from(udp.length()), 8 + udp.payload().len());
    let header = udp.to_header();
    let (source, destination, checksum): (IpAddr, IpAddr, u16) = match packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let ip = ip.header().to_header();
            assert_eq!(ip.calc_header_checksum(), ip.header_checksum);
            let sum = header.calc_checksum_ipv4(&ip, udp.payload()).unwrap();
            (ip.source.into(), ip.destination.into(), sum)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let ip = ip.header().to_header();
            let sum = header.calc_checksum_ipv6(&ip, udp.payload()).unwrap();
            (ip.source.into(), ip.destination.into(), sum)
        }
        _ => panic!("no IP"),
    };
    assert_eq!(checksum, udp.checksum());
    (source, udp.source_port(), destination, udp.destination_port())
}

fn every_flow_has_a_frame_of_its_own<L: Layout>(config: &Config, flows: impl Iterator<Item = u32>) {
    let mut all = HashSet::new();
    let mut expected = 0;
    for flow in flows {
        let frame: L = stamp(config, Numbers::of(flow), flow as u16);
        assert!(is_ours(&frame) && has_right_checksums(&frame, config.tail_sum) && has_right_headers(&frame, config));
        let (source, port, destination, service) = seen(&bytes(&frame, config.tail_sum != 0));
        assert_ne!(source, destination);
        assert!((10_000..11_000).contains(&port) && (5000..5005).contains(&service));
        all.insert((source, port, service));
        expected += 1;
    }
    assert_eq!(all.len(), expected);
}

#[test]
fn every_flow_has_a_frame_of_its_own_with_right_checksums() {
    every_flow_has_a_frame_of_its_own::<FrameV4>(&v4(false), 0..FLOWS);
    every_flow_has_a_frame_of_its_own::<FrameV6>(&v6(false), (0..FLOWS).step_by(97));
    every_flow_has_a_frame_of_its_own::<FrameV4>(&v4(true), (0..FLOWS).step_by(1009));
    every_flow_has_a_frame_of_its_own::<FrameV6>(&v6(true), (0..FLOWS).step_by(1009));
}

fn an_answer_exchanges<L: Layout>(config: &Config) {
    let frame: L = stamp(config, Numbers::of(4321), 9);
    let back = answer(&frame);
    let large = config.tail_sum != 0;
    let (source, port, destination, service) = seen(&bytes(&frame, large));
    assert_eq!(seen(&bytes(&back, large)), (destination, service, source, port));
    assert_eq!(bytes(&back, large)[..12], [&bytes(&frame, large)[6..12], &bytes(&frame, large)[..6]].concat());
    assert!(is_right_reply(&back, &Config { ttl: TTL as u32 + 1, ..*config }, config.tail_sum));
    assert!(!is_right_reply(&back, config, config.tail_sum));
    assert!(!is_right_reply(&frame, &Config { ttl: TTL as u32 + 1, ..*config }, config.tail_sum));
}

#[test]
fn an_answer_exchanges_both_ends() {
    an_answer_exchanges::<FrameV4>(&v4(false));
    an_answer_exchanges::<FrameV6>(&v6(true));
}

/// Turns one bit of each byte; everything from `begin` on is under a checksum. Except the mark, which decides first whether the frame is
/// ours.
fn each_damaged_byte<L: Layout>(config: &Config, begin: usize, mark: std::ops::Range<usize>) {
    let frame: L = stamp(config, Numbers::of(77), 9);
    for at in (begin..L::WORDS * 4).filter(|at| !mark.contains(at)) {
        let mut damaged = frame;
        damaged.put(at / 4, frame.word(at / 4) ^ (0x10 << (at % 4 * 8)));
        assert!(!has_right_checksums(&damaged, config.tail_sum), "byte {at}");
    }
}

#[test]
fn each_damaged_byte_is_noticed() {
    each_damaged_byte::<FrameV4>(&v4(false), 14, 42..44);
    // IPv6 has no checksum over version, length and hop limit.
    each_damaged_byte::<FrameV6>(&v6(false), 22, 62..64);
}

#[test]
fn a_damaged_tail_is_noticed() {
    let config = v4(true);
    let frame: FrameV4 = stamp(&config, Numbers::of(77), 9);
    assert!(has_right_checksums(&frame, config.tail_sum));
    assert!(!has_right_checksums(&frame, config.tail_sum ^ 0x10));
    let words: HashSet<u16> =
        tail::<FrameV4>().collect::<Vec<_>>().chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
    assert_eq!(words.len(), TAIL_V4 / 2);
}

/// Each fault within a packet, by what is wrong of it: checksums or headers.
fn each_fault<L: Layout>(config: &Config) {
    let frame: L = stamp(config, Numbers::of(SPOILT), 7);
    let after = |fault: Fault| {
        let mut frame = frame;
        spoil(&mut frame, fault as u32);
        assert!(is_ours(&frame));
        (has_right_checksums(&frame, config.tail_sum), has_right_headers(&frame, config))
    };
    assert_eq!(after(Fault::None), (true, true));
    assert!(!after(Fault::Corrupt).0);
    for fault in [Fault::Misdirect, Fault::Hop, Fault::Source, Fault::Destination, Fault::Ethertype, Fault::Length] {
        assert_eq!(after(fault), (true, false), "{fault:?}");
    }
}

#[test]
fn each_fault_is_noticed() {
    each_fault::<FrameV4>(&v4(false));
    each_fault::<FrameV6>(&v6(false));
    each_fault::<FrameV6>(&v6(true));
}

/// Turns one bit of each byte that no checksum covers.
fn each_damaged_byte_in_front<L: Layout>(config: &Config, uncovered: impl Iterator<Item = usize>) {
    let frame: L = stamp(config, Numbers::of(77), 9);
    let back = answer(&frame);
    let replied = Config { ttl: TTL as u32 + 1, ..*config };
    assert!(has_right_headers(&frame, config) && is_right_reply(&back, &replied, config.tail_sum));
    for at in uncovered {
        let damaged = |frame: &L| {
            let mut damaged = *frame;
            damaged.put(at / 4, frame.word(at / 4) ^ (0x10 << (at % 4 * 8)));
            damaged
        };
        assert!(!has_right_headers(&damaged(&frame), config), "byte {at}");
        assert!(!is_right_reply(&damaged(&back), &replied, config.tail_sum), "byte {at} of a reply");
    }
}

#[test]
fn what_no_checksum_covers_is_noticed() {
    each_damaged_byte_in_front::<FrameV4>(&v4(false), 0..14);
    // IPv6: version, class, flow label, length, next header and hop limit too.
    each_damaged_byte_in_front::<FrameV6>(&v6(false), 0..22);
}

#[test]
fn a_frame_in_place_of_another_changes_the_sum_of_marks() {
    let config = v4(false);
    let marks = |packets: &[(u32, u16)]| {
        let of = |(flow, serial): &(u32, u16)| mark(&stamp::<FrameV4>(&config, Numbers::of(*flow), *serial));
        packets.iter().map(of).fold(0, u64::wrapping_add)
    };
    // One flow's, several flows', and the case in which sums of plain numbers agree: the outer two in place of the inner two.
    for [sent, arrived] in [
        [&[(5, 1), (5, 2)][..], &[(5, 2), (5, 2)]],
        [&[(5, 1), (6, 1)], &[(5, 1), (5, 1)]],
        [&[(5, 1), (5, 2), (5, 3), (5, 4)], &[(5, 2), (5, 2), (5, 3), (5, 3)]],
    ] {
        assert_ne!(marks(sent), marks(arrived));
    }
    let mut all: Vec<(u32, u16)> = (0..2000).map(|number| (number % 1000, number as u16)).collect();
    let sum = marks(&all);
    all.reverse();
    assert_eq!(marks(&all), sum);
}

#[test]
fn a_missing_translation_is_noticed() {
    let config = v4(false);
    let frame: FrameV4 = stamp(&config, Numbers::of(1), 9);
    let external = u32::from_ne_bytes([10, 88, 1, 0]);
    assert!(!has_right_headers(&frame, &Config { external, external_mask: u32::from_ne_bytes([255, 255, 255, 240]), ..config }));
    assert!(!has_right_headers(&frame, &Config { ttl: TTL as u32 - 1, ..config }));
    assert!(!has_right_headers(&frame, &Config { shift: 1000, ..config }));
    assert!(!has_right_headers(&frame, &Config { remote: u32::from_ne_bytes([10, 88, 0, 3]), ..config }));
}

#[test]
fn an_address_of_the_pool_and_a_forwarded_port_are_right() {
    let config = v4(false);
    let mut frame: FrameV4 = stamp(&config, Numbers::of(1), 9);
    // 10.88.1.7, and port 6000 in place of 5000.
    frame[6] = u32::from_ne_bytes([frame[6].to_ne_bytes()[0], frame[6].to_ne_bytes()[1], 10, 88]);
    frame[7] = u32::from_ne_bytes([1, 7, 10, 88]);
    let service = u16::from_be(first(frame[9])) + 1000;
    let [a, b] = service.to_be_bytes();
    let [c, d] = second(frame[9]).to_ne_bytes();
    frame[9] = u32::from_ne_bytes([a, b, c, d]);
    let external = u32::from_ne_bytes([10, 88, 1, 0]);
    let config = Config { external, external_mask: u32::from_ne_bytes([255, 255, 255, 240]), shift: 1000, ..config };
    assert!(has_right_headers(&frame, &config));
}

#[test]
fn the_stride_visits_every_flow_once_per_pass() {
    for flows in [1, 1000, BLOCK, FLOWS] {
        let mut flow = 0;
        let mut visited = vec![false; flows as usize];
        for _ in 0..flows {
            assert!(!std::mem::replace(&mut visited[flow as usize], true));
            flow = (flow + STRIDE) % flows;
        }
    }
}
