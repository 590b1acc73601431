//! IPv6: routed and filtered statefully, never translated.

use gateway_ebpf::abi::{DropReason, PassReason, PuntReason, Reason};
use gateway_tests::frames::{Path, address, flag};
use gateway_tests::site::{self, LAN_LEG, WAN_LEG};
use gateway_tests::world::{Policy, World};

use crate::talk::{drops, exchange_udp, handshake, refused, sent, stopped};

fn path(port: u16) -> Path {
    site::path(LAN_LEG, "fd00:1::10", port, "2001:db8:ffff::80", 443)
}

fn world() -> World {
    site::world(&site::policy())
}

#[test]
fn flows_of_every_protocol_pass_untranslated_and_replies_come_back() {
    let mut world = world();
    let (leg, there) = handshake(&mut world, path(1000), LAN_LEG);
    assert_eq!((leg, there.source, there.source_port), (WAN_LEG, address("fd00:1::10"), 1000));
    let _ = exchange_udp(&mut world, path(1000), LAN_LEG);
    let (leg, there) = sent(&mut world, path(7).echo_request(b"ping"), LAN_LEG);
    let (back, seen) = sent(&mut world, there.path.back().echo_reply(b"ping"), leg);
    assert_eq!((back, seen.path.destination), (LAN_LEG, address("fd00:1::10")));
    assert_eq!(world.state.v6.flows.len(), 6);
    assert!(world.state.v6.mappings.is_empty());
}

#[test]
fn what_no_flow_admits_from_outside_is_dropped() {
    let mut world = world();
    let inbound = site::path(WAN_LEG, "2001:db8:3::fe", 443, "fd00:1::10", 1000);
    drops(&mut world, inbound.udp(b""), WAN_LEG, DropReason::DefaultDrop);
    drops(&mut world, inbound.tcp(flag::SYN, b""), WAN_LEG, DropReason::DefaultDrop);
    drops(&mut world, inbound.tcp(flag::ACK, b""), WAN_LEG, DropReason::TcpNoFlow);
    drops(&mut world, inbound.echo_reply(b""), WAN_LEG, DropReason::State);
}

#[test]
fn hop_limit_size_and_martians() {
    let mut world = world();
    assert_eq!(refused(&mut world, path(1).ttl(1).udp(b""), LAN_LEG), Reason::Punt(PuntReason::HopLimit));
    assert_eq!(refused(&mut world, path(1).udp(&[0; 1453]), LAN_LEG), Reason::Punt(PuntReason::TooBig));
    let _ = sent(&mut world, path(1).udp(&[0; 1452]), LAN_LEG);
    for source in ["::", "::1", "ff02::1", "::ffff:10.0.0.1"] {
        drops(&mut world, path(1).from(source).udp(b""), LAN_LEG, DropReason::MartianSource);
    }
    for destination in ["::", "::1", "::ffff:10.0.0.1"] {
        drops(&mut world, path(1).to(destination, 1).udp(b""), LAN_LEG, DropReason::MartianDestination);
    }
    for destination in ["ff02::1", "fe80::9"] {
        assert_eq!(refused(&mut world, path(1).to(destination, 1).udp(b""), LAN_LEG), Reason::Pass(PassReason::StaysOnLink));
    }
    // A router's neighbour discovery to the gateway's global address comes from its link-local one.
    assert_eq!(refused(&mut world, path(1).from("fe80::1").udp(b""), LAN_LEG), Reason::Pass(PassReason::StaysOnLink));
    drops(&mut world, path(1).from("2001:db8:ffff::80").udp(b""), LAN_LEG, DropReason::Land);
    drops(&mut world, path(1).from("fd00:2::10").udp(b""), LAN_LEG, DropReason::SourceValidation);
    drops(&mut world, path(1).from("fd00:1::1").udp(b""), LAN_LEG, DropReason::SourceIsSelf);
    assert_eq!(refused(&mut world, path(1).to("fd00:1::1", 22).tcp(flag::SYN, b""), LAN_LEG), Reason::Pass(PassReason::Local));
}

#[test]
fn a_tightened_policy_cuts_in_either_direction() {
    for by_reply in [false, true] {
        let mut world = world();
        let (leg, there) = handshake(&mut world, path(1000), LAN_LEG);
        world.install(&Policy { firewall: vec![], ..site::policy() });
        let (frame, arrival) = if by_reply { (there.back().tcp(flag::ACK, b""), leg) } else { (path(1000).tcp(flag::ACK, b""), LAN_LEG) };
        assert_eq!(stopped(&mut world, frame, arrival), Reason::Drop(DropReason::PolicyChanged));
        assert!(world.state.v6.flows.is_empty());
    }
}

#[test]
fn the_fast_path_answers_established_flows() {
    let mut world = world();
    let (_, there) = exchange_udp(&mut world, path(1000), LAN_LEG);
    for (path, leg) in [(path(1000), LAN_LEG), (there.back(), WAN_LEG)] {
        let (mut by_xdp, mut by_tc) = (path.udp(b"x"), path.udp(b"x"));
        assert!(world.xdp(&mut by_xdp, leg).is_ok());
        assert!(world.tc(&mut by_tc, leg).is_ok());
        assert_eq!(by_xdp, by_tc);
    }
}
