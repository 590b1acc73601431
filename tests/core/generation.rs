//! A new policy holds at the next packet of every flow, without a walk through the tables.

use gateway_ebpf::abi::{Action, DropReason, Ipv4, Reason};
use gateway_tests::frames::{Path, flag};
use gateway_tests::site::{self, DMZ, DMZ_LEG, LAN, LAN_LEG, WAN, WAN_LEG};
use gateway_tests::world::{Policy, World, accept, exempt, masquerade, refuse};

use crate::talk::{established, handshake, outbound, sent, stopped};

fn ended(world: &mut World, frame: Vec<u8>, arrival: gateway_ebpf::abi::IfIndex) {
    assert_eq!(stopped(world, frame, arrival), Reason::Drop(DropReason::PolicyChanged));
    assert!(world.state.v4.flows.is_empty() && world.state.v4.half_open.is_empty());
}

/// A flow through the gateway, untouched by NAT, and one that is masqueraded: path, far path, far leg.
fn flows(world: &mut World) -> [(Path, Path, gateway_ebpf::abi::IfIndex); 2] {
    let routed = site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.10", 53);
    [routed, outbound(1000)].map(|path| {
        let (leg, there) = handshake(world, path, LAN_LEG);
        (path, there, leg)
    })
}

#[test]
fn a_tightened_policy_cuts_a_flow_at_its_next_packet_in_either_direction() {
    let tightened = [
        Policy { firewall: vec![], ..site::policy() },
        Policy { firewall: vec![refuse(1, LAN, WAN), refuse(2, LAN, DMZ)], ..site::policy() },
        Policy { firewall: vec![accept(1, WAN, LAN), accept(2, DMZ, LAN)], ..site::policy() },
    ];
    for policy in tightened {
        for which in [0, 1] {
            for by_reply in [false, true] {
                let mut world = site::world(&site::policy());
                let (path, there, leg) = flows(&mut world)[which];
                world.install(&policy);
                let (frame, arrival) =
                    if by_reply { (there.back().tcp(flag::ACK, b"x"), leg) } else { (path.tcp(flag::ACK, b"x"), LAN_LEG) };
                let before = world.state.v4.flows.len();
                assert_eq!(stopped(&mut world, frame, arrival), Reason::Drop(DropReason::PolicyChanged));
                assert_eq!(world.state.v4.flows.len(), before - 2);
            }
        }
    }
}

#[test]
fn an_unchanged_policy_keeps_every_flow() {
    let mut world = site::world(&site::policy());
    let flows = flows(&mut world);
    for round in 0..3 {
        world.install(&site::policy());
        let hits = world.state.rule_hits.clone();
        for (path, there, leg) in flows {
            let order = if round % 2 == 0 { [true, false] } else { [false, true] };
            for forwards in order {
                if forwards {
                    let (_, seen) = sent(&mut world, path.tcp(flag::ACK, b"x"), LAN_LEG);
                    assert_eq!((seen.path.source, seen.path.source_port), (there.source, there.source_port));
                } else {
                    let _ = sent(&mut world, there.back().tcp(flag::ACK, b"x"), leg);
                }
            }
        }
        assert_eq!(world.state.rule_hits, hits, "no new flow was opened");
    }
    assert_eq!(world.state.v4.flows.len(), 4);
}

#[test]
fn a_half_open_flow_is_held_against_the_new_policy_too() {
    let mut world = site::world(&site::policy());
    let (leg, there) = sent(&mut world, outbound(1000).tcp(flag::SYN, b""), LAN_LEG);
    world.install(&Policy { firewall: vec![], ..site::policy() });
    ended(&mut world, there.path.back().tcp(flag::SYN | flag::ACK, b""), leg);
}

#[test]
fn another_masquerade_address_ends_the_flow() {
    for by_reply in [false, true] {
        let mut world = site::world(&site::policy());
        let (path, there) = established(&mut world);
        let mut policy = site::policy();
        let wan = policy.interfaces.iter_mut().find(|interface| interface.index == WAN_LEG).unwrap();
        wan.v4 = Ipv4::from_octets([203, 0, 113, 2]);
        world.install(&policy);
        let (frame, arrival) = if by_reply { (there.back().udp(b""), WAN_LEG) } else { (path.udp(b""), LAN_LEG) };
        ended(&mut world, frame, arrival);
        let (_, seen) = sent(&mut world, path.udp(b""), LAN_LEG);
        assert_eq!(seen.path.source.to_string(), "203.0.113.2");
    }
}

#[test]
fn new_or_vanished_translation_ends_the_flow() {
    for (before, after) in [
        (vec![masquerade(10, LAN, WAN)], vec![]),
        (vec![], vec![masquerade(10, LAN, WAN)]),
        (vec![exempt(9, LAN, WAN)], vec![masquerade(10, LAN, WAN)]),
    ] {
        let mut world = site::world(&Policy { source_nat: before, ..site::policy() });
        let (path, _) = established(&mut world);
        world.install(&Policy { source_nat: after, ..site::policy() });
        ended(&mut world, path.udp(b""), LAN_LEG);
    }
}

#[test]
fn a_leg_in_another_zone_is_judged_by_that_zone() {
    let mut world = site::world(&Policy { source_nat: vec![], ..site::policy() });
    let (path, _) = established(&mut world);
    let mut policy = Policy { source_nat: vec![], default: Action::DROP, ..site::policy() };
    policy.firewall = vec![accept(1, LAN, DMZ)];
    policy.interfaces.iter_mut().find(|interface| interface.index == WAN_LEG).unwrap().zone = DMZ;
    world.install(&policy);
    let _ = sent(&mut world, path.udp(b""), LAN_LEG);
    policy.interfaces.iter_mut().find(|interface| interface.index == LAN_LEG).unwrap().zone = WAN;
    world.install(&policy);
    ended(&mut world, path.udp(b""), LAN_LEG);
}

#[test]
fn a_loosened_policy_admits_at_once() {
    let closed = Policy { firewall: vec![], ..site::policy() };
    let mut world = site::world(&closed);
    crate::talk::drops(&mut world, outbound(1).udp(b""), LAN_LEG, DropReason::DefaultDrop);
    world.install(&site::policy());
    let _ = sent(&mut world, outbound(1).udp(b""), LAN_LEG);
    let _ = DMZ_LEG;
}
