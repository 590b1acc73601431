//! Destination NAT: port forwards, both ways.

use std::net::Ipv4Addr;

use gateway_ebpf::abi::{DropReason, Protocol, PuntReason, Reason, RuleFlags};
use gateway_tests::frames::{Path, address, flag};
use gateway_tests::site::{self, DMZ, DMZ_LEG, LAN, LAN_LEG, WAN, WAN_ADDRESS, WAN_LEG};
use gateway_tests::world::{Policy, World, accept, forward, masquerade};

use crate::talk::{comes_back, drops, handshake, refused, sent, stopped};

fn rule() -> gateway_ebpf::abi::Rule {
    forward(20, WAN, Protocol::TCP, WAN_ADDRESS, 8443, (Ipv4Addr::new(10, 0, 2, 10), 443))
}

fn policy() -> Policy {
    Policy { destination_nat: vec![rule()], ..site::policy() }
}

fn world() -> World {
    site::world(&policy())
}

fn client(port: u16) -> Path {
    let mut path = site::path(WAN_LEG, "198.18.0.9", port, "203.0.113.1", 8443);
    path.source_mac = site::station_mac(address("203.0.113.254"));
    path
}

#[test]
fn a_forwarded_connection_reaches_the_server_and_its_answers_the_client() {
    let mut world = world();
    let (leg, there) = handshake(&mut world, client(50_000), WAN_LEG);
    assert_eq!(leg, DMZ_LEG);
    assert_eq!((there.source, there.source_port), (address("198.18.0.9"), 50_000));
    assert_eq!((there.destination, there.destination_port), (address("10.0.2.10"), 443));
}

#[test]
fn other_ports_are_the_gateways_own() {
    let reason = refused(&mut world(), client(50_000).to("203.0.113.1", 8444).tcp(flag::SYN, b""), WAN_LEG);
    assert!(matches!(reason, Reason::Pass(_)), "{reason:?}");
}

#[test]
fn a_range_keeps_the_offset_and_a_kept_port_stays() {
    let range = gateway_ebpf::abi::Rule { port_first: 8000, port_last: 8009, ..rule() };
    let mut world = site::world(&Policy { destination_nat: vec![range], ..site::policy() });
    let (_, seen) = sent(&mut world, client(1).to("203.0.113.1", 8003).tcp(flag::SYN, b""), WAN_LEG);
    assert_eq!(seen.path.destination_port, 446);
    let kept = gateway_ebpf::abi::Rule { flags: RuleFlags(RuleFlags::PORTS | RuleFlags::KEEP_PORT), ..range };
    let mut world = site::world(&Policy { destination_nat: vec![kept], ..site::policy() });
    let (_, seen) = sent(&mut world, client(1).to("203.0.113.1", 8003).tcp(flag::SYN, b""), WAN_LEG);
    assert_eq!(seen.path.destination_port, 8003);
}

#[test]
fn the_firewall_sees_the_server_and_not_the_forward() {
    let mut policy = policy();
    policy.firewall = vec![accept(1, LAN, WAN)];
    drops(&mut site::world(&policy), client(1).tcp(flag::SYN, b""), WAN_LEG, DropReason::DefaultDrop);
    let mut to_server = accept(3, WAN, DMZ);
    (to_server.flags, to_server.port_first, to_server.port_last) = (RuleFlags(RuleFlags::PORTS), 443, 443);
    policy.firewall = vec![to_server];
    let _ = handshake(&mut site::world(&policy), client(1), WAN_LEG);
    (to_server.port_first, to_server.port_last) = (8443, 8443);
    policy.firewall = vec![to_server];
    drops(&mut site::world(&policy), client(1).tcp(flag::SYN, b""), WAN_LEG, DropReason::DefaultDrop);
}

#[test]
fn both_ends_can_be_translated_at_once() {
    // A lan client to the wan address, served in the dmz, and hidden from it.
    let mut policy = policy();
    policy.destination_nat[0].from = LAN;
    policy.source_nat = vec![masquerade(10, LAN, DMZ)];
    let mut world = site::world(&policy);
    let path = site::path(LAN_LEG, "10.0.1.10", 50_001, "203.0.113.1", 8443);
    let (leg, there) = sent(&mut world, path.tcp(flag::SYN, b""), LAN_LEG);
    assert_eq!((leg, there.path.source, there.path.destination), (DMZ_LEG, address("10.0.2.1"), address("10.0.2.10")));
    let (_, back) = sent(&mut world, there.path.back().tcp(flag::SYN | flag::ACK, b""), leg);
    comes_back(&back, &path);
}

#[test]
fn hairpin_through_one_leg_works() {
    let mut policy = policy();
    policy.destination_nat = vec![forward(20, LAN, Protocol::TCP, WAN_ADDRESS, 8443, (Ipv4Addr::new(10, 0, 1, 11), 443))];
    policy.source_nat = vec![masquerade(10, LAN, LAN)];
    policy.firewall = vec![accept(1, LAN, LAN)];
    let mut world = site::world(&policy);
    let path = site::path(LAN_LEG, "10.0.1.10", 50_002, "203.0.113.1", 8443);
    let (leg, there) = handshake(&mut world, path, LAN_LEG);
    assert_eq!((leg, there.source, there.destination), (LAN_LEG, address("10.0.1.1"), address("10.0.1.11")));
}

#[test]
fn a_used_up_ttl_is_dropped_because_the_kernel_could_not_answer() {
    let mut world = world();
    drops(&mut world, client(1).ttl(1).tcp(flag::SYN, b""), WAN_LEG, DropReason::HopLimit);
    // Towards an untranslated destination the kernel answers.
    let mut routed = site::world(&policy());
    let direct = client(1).to("10.0.2.10", 443).ttl(1);
    assert_eq!(refused(&mut routed, direct.tcp(flag::SYN, b""), WAN_LEG), Reason::Punt(PuntReason::HopLimit));
}

#[test]
fn a_server_without_a_route_is_dropped_for() {
    let mut world = world();
    world.routing.routes.retain(|route| route.to.prefix_len() != 24);
    world.routing.routes.retain(|route| route.to.prefix_len() != 0);
    let route = gateway_tests::world::Route { to: "198.18.0.0/15".parse().unwrap(), egress: WAN_LEG, via: Some(address("203.0.113.254")) };
    world.routing.routes.push(route);
    drops(&mut world, client(1).tcp(flag::SYN, b""), WAN_LEG, DropReason::NoRoute);
}

#[test]
fn a_direct_flow_with_the_tuple_of_a_forwarded_one_is_refused() {
    let mut world = world();
    let _ = handshake(&mut world, client(50_003), WAN_LEG);
    let direct = client(50_003).to("10.0.2.10", 443);
    drops(&mut world, direct.tcp(flag::SYN, b""), WAN_LEG, DropReason::TupleConflict);
}

#[test]
fn removing_the_forward_ends_the_flow_from_both_sides() {
    for from_server in [false, true] {
        let mut world = world();
        let (leg, there) = handshake(&mut world, client(50_004), WAN_LEG);
        world.install(&site::policy());
        let (frame, arrival) =
            if from_server { (there.back().tcp(flag::ACK, b"x"), leg) } else { (client(50_004).tcp(flag::ACK, b"x"), WAN_LEG) };
        assert_eq!(stopped(&mut world, frame, arrival), Reason::Drop(DropReason::PolicyChanged));
        assert!(world.state.v4.flows.is_empty());
    }
}

#[test]
fn the_quota_counts_for_the_server_and_not_for_each_client() {
    let mut world = site::world(&Policy { flows_per_host: 2, ..policy() });
    for host in 1..=2 {
        let mut path = client(50_000);
        path.source = address(&format!("198.18.0.{host}"));
        let _ = handshake(&mut world, path, WAN_LEG);
    }
    let mut third = client(50_000);
    third.source = address("198.18.0.3");
    drops(&mut world, third.tcp(flag::SYN, b""), WAN_LEG, DropReason::HostQuota);
}
