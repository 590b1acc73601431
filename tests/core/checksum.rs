//! Checksums after a rewrite (RFC 1624), held against etherparse's whole sums.

use gateway_tests::frames::{Seen, flag};
use gateway_tests::site::{self, LAN, LAN_LEG, WAN, WAN_LEG};
use gateway_tests::world::{Policy, pooled};
use proptest::prelude::*;

use crate::talk::{established, outbound, sent};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..Default::default() })]

    #[test]
    fn every_rewrite_leaves_right_checksums(
        port: u16, remote in 1u32..0x0100_0000, far_port: u16, payload in proptest::collection::vec(any::<u8>(), 0..90), pool: bool, kind in 0..3,
    ) {
        let mut policy = site::policy();
        if pool {
            policy = Policy { source_nat: vec![pooled(10, LAN, WAN, 4)], ..policy };
        }
        let mut world = site::world(&policy);
        let remote = std::net::Ipv4Addr::from(0x0800_0000 | remote).to_string();
        let path = site::path(LAN_LEG, "10.0.1.13", port, &remote, far_port);
        let request = match kind {
            0 => path.tcp(flag::SYN, &payload),
            1 => path.udp(&payload),
            _ => path.echo_request(&payload),
        };
        // `sent` reads both with etherparse and compares every checksum.
        let (leg, there) = sent(&mut world, request, LAN_LEG);
        let back = there.path.back();
        let answer = match kind {
            0 => back.tcp(flag::SYN | flag::ACK, &payload),
            1 => back.udp(&payload),
            _ => back.echo_reply(&payload),
        };
        let _ = sent(&mut world, answer, leg);
    }

    /// A wrong transport checksum stays exactly as wrong: the receiver must notice (RFC 3022 section 4.1).
    #[test]
    fn a_wrong_checksum_stays_wrong(wrong in 1u16..0xffff) {
        let mut world = site::world(&site::policy());
        let (path, _) = established(&mut world);
        let mut frame = path.udp(b"data");
        let right = u16::from_be_bytes([frame[40], frame[41]]);
        prop_assume!(wrong != right && wrong != 0);
        frame[40..42].copy_from_slice(&wrong.to_be_bytes());
        world.tc(&mut frame, LAN_LEG).unwrap();
        let seen = Seen::of(&frame);
        prop_assert_ne!(seen.checksum, seen.expected_checksum);
    }
}

#[test]
fn a_udp_checksum_of_zero_stays_zero() {
    let mut world = site::world(&site::policy());
    let (path, there) = established(&mut world);
    for (path, leg) in [(path, LAN_LEG), (there.back(), WAN_LEG)] {
        let mut frame = path.udp_without_checksum(b"data");
        world.tc(&mut frame, leg).unwrap();
        assert_eq!(Seen::of(&frame).checksum, 0);
        let mut frame = path.udp_without_checksum(b"data");
        world.xdp(&mut frame, leg).unwrap();
        assert_eq!(Seen::of(&frame).checksum, 0);
    }
}

#[test]
fn a_udp_checksum_of_zero_is_never_produced() {
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    // Two payload bytes run through all values: one of them makes the translated sum zero, which must be sent as 0xffff.
    let mut seen_all_ones = false;
    for value in 0..=u16::MAX {
        let mut frame = outbound(5000).udp(&value.to_be_bytes());
        world.tc(&mut frame, LAN_LEG).unwrap();
        let checksum = u16::from_be_bytes([frame[40], frame[41]]);
        assert_ne!(checksum, 0);
        seen_all_ones |= checksum == 0xffff;
    }
    assert!(seen_all_ones);
    let _ = path;
}
