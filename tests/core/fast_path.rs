//! What XDP answers by itself, and what it must leave alone.

use gateway_ebpf::abi::{DropReason, IfIndex, InterfaceFlags, PassReason, Reason};
use gateway_ebpf::wire::checksum;
use gateway_tests::frames::{Path, Seen, flag, hex};
use gateway_tests::site::{self, LAN_LEG, WAN_LEG};
use gateway_tests::world::{World, words};

use crate::talk::{established, exchange_udp, handshake, outbound, sent};

/// XDP leaves the frame to tc: untouched, and no table has changed.
fn leaves(world: &mut World, frame: &[u8], arrival: IfIndex, what: &str) {
    let before = world.snapshot();
    let mut copy = frame.to_vec();
    let result = world.xdp(&mut copy, arrival);
    assert!(matches!(result, Err(Reason::Pass(_))), "{what}: {result:?}");
    assert_eq!(hex(&copy), hex(frame), "{what} was touched");
    assert!(world.snapshot() == before, "{what} changed a table");
}

/// XDP and tc answer the same, byte for byte.
fn answers_like_tc(world: &mut World, frame: &[u8], arrival: IfIndex) {
    let (mut by_xdp, mut by_tc) = (frame.to_vec(), frame.to_vec());
    let xdp = world.xdp(&mut by_xdp, arrival).unwrap_or_else(|reason| panic!("{reason:?}: {}", hex(frame)));
    let tc = world.tc(&mut by_tc, arrival).unwrap();
    assert_eq!((xdp.egress, hex(&by_xdp)), (tc.egress, hex(&by_tc)));
    let _ = Seen::sound(&by_xdp);
}

#[test]
fn established_flows_are_answered_as_tc_would() {
    let mut world = site::world(&site::policy());
    let (path, there) = established(&mut world);
    answers_like_tc(&mut world, &path.udp(b"data"), LAN_LEG);
    // The reply direction has found its route by its first packet.
    answers_like_tc(&mut world, &there.back().udp(b"data"), WAN_LEG);
    let tcp = outbound(6000);
    let (leg, there) = handshake(&mut world, tcp, LAN_LEG);
    answers_like_tc(&mut world, &tcp.tcp(flag::ACK | flag::PSH, b"GET /"), LAN_LEG);
    answers_like_tc(&mut world, &there.back().tcp(flag::ACK, b"200"), leg);
}

#[test]
fn packets_that_change_state_are_left_to_tc() {
    let mut world = site::world(&site::policy());
    let path = outbound(6000);
    leaves(&mut world, &path.tcp(flag::SYN, b""), LAN_LEG, "a first packet");
    let (leg, there) = sent(&mut world, path.tcp(flag::SYN, b""), LAN_LEG);
    leaves(&mut world, &there.path.back().tcp(flag::SYN | flag::ACK, b""), leg, "a half-open flow's answer");
    let _ = sent(&mut world, there.path.back().tcp(flag::SYN | flag::ACK, b""), leg);
    let _ = sent(&mut world, path.tcp(flag::ACK, b""), LAN_LEG);
    for (flags, what) in [(flag::SYN, "SYN"), (flag::FIN | flag::ACK, "FIN"), (flag::RST, "RST"), (flag::RST | flag::ACK, "RST ACK")] {
        leaves(&mut world, &path.tcp(flags, b""), LAN_LEG, what);
    }
    let ping = Path { destination_port: 0, ..outbound(3) };
    let (leg, there) = sent(&mut world, ping.echo_request(b""), LAN_LEG);
    let _ = sent(&mut world, there.path.back().echo_reply(b""), leg);
    leaves(&mut world, &ping.echo_request(b""), LAN_LEG, "an echo request");
    leaves(&mut world, &there.path.back().echo_reply(b""), leg, "an echo reply");
}

#[test]
fn fragments_options_and_large_or_expiring_packets_are_left_to_tc() {
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    let mut fragment = path.udp(b"data");
    fragment[20] = 0x20;
    gateway_tests::frames::repair(&mut fragment);
    leaves(&mut world, &fragment, LAN_LEG, "a fragment");
    let mut options = path.udp(b"data");
    options[14] = 0x46;
    options.splice(34..34, [1, 1, 1, 0]);
    options[17] += 4;
    gateway_tests::frames::repair(&mut options);
    leaves(&mut world, &options, LAN_LEG, "IP options");
    let _ = sent(&mut world, options, LAN_LEG);
    leaves(&mut world, &path.ttl(1).udp(b"data"), LAN_LEG, "a TTL of 1");
    leaves(&mut world, &path.udp(&[0; 1500]), LAN_LEG, "a large packet");
    leaves(&mut world, &path.udp(b"data")[..40], LAN_LEG, "a truncated frame");
}

#[test]
fn stale_entries_are_left_to_tc_until_it_has_refreshed_them() {
    let mut world = site::world(&site::policy());
    let (path, there) = established(&mut world);
    world.install(&site::policy());
    leaves(&mut world, &path.udp(b""), LAN_LEG, "a stale policy");
    let _ = sent(&mut world, path.udp(b""), LAN_LEG);
    answers_like_tc(&mut world, &path.udp(b""), LAN_LEG);
    leaves(&mut world, &there.back().udp(b""), WAN_LEG, "the other direction, still stale");
    world.routes_changed();
    leaves(&mut world, &path.udp(b""), LAN_LEG, "stale routes");
    let _ = exchange_udp(&mut world, path, LAN_LEG);
    answers_like_tc(&mut world, &there.back().udp(b""), WAN_LEG);
}

#[test]
fn a_partial_checksum_is_left_to_tc() {
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    let tcp = outbound(6001);
    let _ = handshake(&mut world, tcp, LAN_LEG);
    for (mut frame, protocol, at) in [(path.udp(b"data"), 17u16, 40), (tcp.tcp(flag::ACK, b"data"), 6, 50)] {
        let length = (frame.len() - 34) as u16;
        let addresses = checksum::sum(words(path.source)) + checksum::sum(words(path.destination));
        let sum = checksum::fold(addresses + u64::from(length.to_be()) + u64::from(protocol.to_be()));
        frame[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
        leaves(&mut world, &frame, LAN_LEG, "a partial checksum");
    }
}

#[test]
fn an_egress_that_takes_no_frames_from_xdp_is_left_to_tc() {
    let mut policy = site::policy();
    policy.interfaces.iter_mut().find(|i| i.index == WAN_LEG).unwrap().flags = InterfaceFlags(InterfaceFlags::STRICT);
    let mut world = site::world(&policy);
    let (path, there) = established(&mut world);
    leaves(&mut world, &path.udp(b""), LAN_LEG, "an egress without XDP");
    answers_like_tc(&mut world, &there.back().udp(b""), WAN_LEG);
}

#[test]
fn certain_drops_are_dropped_and_the_gateways_own_traffic_is_not() {
    let mut world = site::world(&site::policy());
    let mut bad = outbound(1).udp(b"data");
    bad[24] ^= 1;
    assert_eq!(world.xdp(&mut bad, LAN_LEG), Err(Reason::Drop(DropReason::BadIpChecksum)));
    let mut land = outbound(1).from(crate::talk::REMOTE).udp(b"");
    assert_eq!(world.xdp(&mut land, LAN_LEG), Err(Reason::Drop(DropReason::Land)));
    let mut local = outbound(1).to("10.0.1.1", 22).tcp(flag::SYN, b"");
    assert_eq!(world.xdp(&mut local, LAN_LEG), Err(Reason::Pass(PassReason::NotFast)));
}
