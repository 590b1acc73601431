//! The bench's frames, seen by an independent parser.

use std::collections::HashSet;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;

const REMOTE: [u8; 4] = [10, 88, 0, 2];

fn config() -> Config {
    let template = template([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [10, 77, 0, 0], REMOTE);
    Config { template, flows: FLOWS, remote: u32::from_ne_bytes(REMOTE), ttl: TTL as u32, ..Config::default() }
}

fn bytes(frame: &[u32; FRAME / 4]) -> Vec<u8> {
    frame.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Addresses and ports, after both checksums were found right.
fn seen(frame: &[u32; FRAME / 4]) -> ([u8; 4], u16, [u8; 4], u16) {
    let bytes = bytes(frame);
    let packet = SlicedPacket::from_ethernet(&bytes).unwrap();
    let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("no IPv4") };
    let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
    let header = ip.header().to_header();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    assert_eq!(udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap(), udp.checksum());
    (header.source, udp.source_port(), header.destination, udp.destination_port())
}

#[test]
fn every_flow_has_a_frame_of_its_own_with_right_checksums() {
    let config = config();
    let mut all = HashSet::new();
    for flow in 0..FLOWS {
        let frame = stamp(&config.template, Numbers::of(flow));
        assert!(is_ours(&frame) && has_right_checksums(&frame) && has_right_headers(&frame, &config));
        let (source, port, destination, service) = seen(&frame);
        assert_eq!((&source[..3], destination), (&[10, 77, 0][..], REMOTE));
        assert!((10..30).contains(&source[3]) && (10_000..11_000).contains(&port) && (5000..5005).contains(&service));
        all.insert((source, port, service));
    }
    assert_eq!(all.len(), FLOWS as usize);
}

#[test]
fn an_answer_exchanges_both_ends() {
    let config = config();
    let frame = stamp(&config.template, Numbers::of(4321));
    let back = answer(&frame);
    let (source, port, destination, service) = seen(&frame);
    assert_eq!(seen(&back), (destination, service, source, port));
    assert_eq!(bytes(&back)[..12], [&bytes(&frame)[6..12], &bytes(&frame)[..6]].concat());
    assert!(is_right_reply(&back, &Config { ttl: TTL as u32 + 1, ..config }));
    assert!(!is_right_reply(&back, &config));
}

#[test]
fn each_damaged_byte_is_noticed() {
    let config = config();
    let frame = bytes(&stamp(&config.template, Numbers::of(77)));
    // Everything from the IPv4 header on is under a checksum; the mark decides first whether the frame is ours.
    for at in (14..FRAME).filter(|at| !(42..44).contains(at)) {
        let mut damaged = frame.clone();
        damaged[at] ^= 0x10;
        let mut words = [0; FRAME / 4];
        for (word, chunk) in words.iter_mut().zip(damaged.chunks_exact(4)) {
            *word = u32::from_ne_bytes(chunk.try_into().unwrap());
        }
        assert!(!has_right_checksums(&words), "byte {at}");
    }
}

#[test]
fn a_missing_translation_is_noticed() {
    let config = config();
    let frame = stamp(&config.template, Numbers::of(1));
    assert!(!has_right_headers(&frame, &Config { external: u32::from_ne_bytes([10, 88, 0, 1]), ..config }));
    assert!(!has_right_headers(&frame, &Config { ttl: TTL as u32 - 1, ..config }));
}

#[test]
fn the_stride_visits_every_flow_once_per_pass() {
    for flows in [1, 1000, FLOWS] {
        let mut flow = 0;
        let mut visited = HashSet::new();
        for _ in 0..flows {
            assert!(visited.insert(flow));
            flow = (flow + STRIDE) % flows;
        }
    }
}
