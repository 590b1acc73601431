//! A flow's life: half-open, promoted, closed; full tables and quotas.

use gateway_ebpf::abi::{DropReason, Flow, FlowState, Ipv4, Mac, V4, ZoneId};
use gateway_tests::frames::{Path, flag};
use gateway_tests::site::{self, DMZ, DMZ_LEG, LAN, LAN_LEG, WAN, WAN_LEG};
use gateway_tests::world::{Capacities, Policy, Route, World, accept, masquerade};

use crate::talk::{REMOTE, drops, established, exchange_udp, handshake, outbound, sent, stopped};

fn sized(capacities: Capacities) -> World {
    World::new(&site::policy(), site::routing(), capacities)
}

fn entries(world: &World) -> (usize, usize) {
    (world.state.v4.half_open.len(), world.state.v4.flows.len())
}

fn states(world: &World) -> Vec<FlowState> {
    world.state.v4.flows.iter().map(|(_, flow): (_, &Flow<V4>)| flow.state).collect()
}

#[test]
fn a_tcp_flow_is_promoted_by_the_originators_acknowledgement() {
    let mut world = site::world(&site::policy());
    let path = outbound(1500);
    let (leg, there) = sent(&mut world, path.tcp(flag::SYN, b""), LAN_LEG);
    assert_eq!(entries(&world), (2, 0));
    let _ = sent(&mut world, there.path.back().tcp(flag::SYN | flag::ACK, b""), leg);
    assert_eq!(entries(&world), (2, 0), "an answered SYN may still be forged");
    let _ = sent(&mut world, path.tcp(flag::ACK, b""), LAN_LEG);
    assert_eq!(entries(&world), (0, 2));
    assert_eq!(states(&world), [FlowState::ESTABLISHED; 2]);
}

#[test]
fn a_udp_flow_and_an_echo_are_promoted_by_the_answer() {
    let mut world = site::world(&site::policy());
    let (leg, there) = sent(&mut world, outbound(1500).udp(b""), LAN_LEG);
    assert_eq!(entries(&world), (2, 0));
    let _ = sent(&mut world, there.path.back().udp(b""), leg);
    assert_eq!(entries(&world), (0, 2));
    let (leg, there) = sent(&mut world, outbound(9).echo_request(b""), LAN_LEG);
    assert_eq!(entries(&world), (2, 2));
    let _ = sent(&mut world, there.path.back().echo_reply(b""), leg);
    assert_eq!(entries(&world), (0, 4));
}

#[test]
fn a_one_way_udp_stream_is_promoted_when_it_has_lasted() {
    let mut world = site::world(&site::policy());
    let path = outbound(1500);
    for _ in 0..64 {
        let _ = sent(&mut world, path.udp(b""), LAN_LEG);
    }
    assert_eq!(entries(&world), (2, 0), "many packets in no time are a burst");
    world.wait_ms(2200);
    for _ in 0..17 {
        let _ = sent(&mut world, path.udp(b""), LAN_LEG);
    }
    assert_eq!(entries(&world), (0, 2));

    let mut slow = site::world(&site::policy());
    for _ in 0..15 {
        let _ = sent(&mut slow, path.udp(b""), LAN_LEG);
        slow.wait_ms(500);
    }
    assert_eq!(entries(&slow), (2, 0), "a few packets are no stream");
}

#[test]
fn fins_and_resets_close_and_are_seen_in_both_directions() {
    let mut world = site::world(&site::policy());
    let path = outbound(1500);
    let (leg, there) = handshake(&mut world, path, LAN_LEG);
    let _ = sent(&mut world, path.tcp(flag::FIN | flag::ACK, b""), LAN_LEG);
    assert_eq!(states(&world), [FlowState::ORIGINAL_CLOSED; 2]);
    let _ = sent(&mut world, there.back().tcp(flag::ACK, b"rest"), leg);
    let _ = sent(&mut world, there.back().tcp(flag::FIN | flag::ACK, b""), leg);
    assert_eq!(states(&world), [FlowState::CLOSED; 2]);

    let mut world = site::world(&site::policy());
    let (leg, there) = handshake(&mut world, path, LAN_LEG);
    let _ = sent(&mut world, there.back().tcp(flag::RST, b""), leg);
    assert_eq!(states(&world), [FlowState::CLOSED; 2]);
}

#[test]
fn a_flow_counts_its_packets_and_bytes_per_direction() {
    let mut world = site::world(&site::policy());
    let (path, there) = established(&mut world);
    for _ in 0..3 {
        let _ = sent(&mut world, path.udp(&[0; 100]), LAN_LEG);
    }
    let mut counts: Vec<_> = world.state.v4.flows.iter().map(|(_, flow)| (flow.packets, flow.bytes)).collect();
    counts.sort_unstable();
    // 28 bytes of headers each; the exchange was "question" and "answer".
    assert_eq!(counts, [(1, 28 + 6), (4, 28 + 8 + 3 * 128)]);
    let _ = there;
}

#[test]
fn a_full_half_open_table_refuses_and_keeps_every_flow() {
    let mut world = sized(Capacities { half_open: 4, ..Default::default() });
    let (path, _) = established(&mut world);
    let _ = sent(&mut world, outbound(2001).udp(b""), LAN_LEG);
    let _ = sent(&mut world, outbound(2002).udp(b""), LAN_LEG);
    for port in 2003..2020 {
        drops(&mut world, outbound(port).udp(b""), LAN_LEG, DropReason::HalfOpenTableFull);
        drops(&mut world, outbound(port).tcp(flag::SYN, b""), LAN_LEG, DropReason::HalfOpenTableFull);
    }
    let _ = exchange_udp(&mut world, outbound(2001), LAN_LEG);
    let _ = exchange_udp(&mut world, path, LAN_LEG);
}

#[test]
fn half_a_flow_is_never_stored() {
    let mut world = sized(Capacities { half_open: 3, ..Default::default() });
    let _ = sent(&mut world, outbound(2001).udp(b""), LAN_LEG);
    drops(&mut world, outbound(2002).udp(b""), LAN_LEG, DropReason::HalfOpenTableFull);
    assert_eq!(world.state.v4.half_open.len(), 2);
}

#[test]
fn a_full_main_table_keeps_every_flow_and_the_new_one_half_open() {
    for flows in [2, 3] {
        let mut world = sized(Capacities { flows, ..Default::default() });
        let (path, there) = established(&mut world);
        let (leg, second) = sent(&mut world, outbound(2001).udp(b""), LAN_LEG);
        let answer = second.path.back().udp(b"");
        assert_eq!(stopped(&mut world, answer.clone(), leg), gateway_ebpf::abi::Reason::Drop(DropReason::FlowTableFull));
        assert_eq!(entries(&world), (2, 2));
        let _ = exchange_udp(&mut world, path, LAN_LEG);
        // As soon as there is room, the next packet promotes it.
        world.state.v4.flows = gateway_tests::world::Bounded::new(flows);
        let _ = sent(&mut world, answer, leg);
        assert_eq!(entries(&world), (0, 2));
        let _ = there;
    }
}

#[test]
fn full_mapping_tables_refuse_and_keep_every_mapping() {
    for capacities in [Capacities { mappings: 1, ..Default::default() }, Capacities { endpoints: 1, ..Default::default() }] {
        let mut world = sized(capacities);
        let (path, _) = established(&mut world);
        drops(&mut world, outbound(2001).udp(b""), LAN_LEG, DropReason::MappingTableFull);
        assert_eq!((world.state.v4.mappings.len(), world.state.v4.endpoints.len()), (1, 1));
        let _ = exchange_udp(&mut world, path, LAN_LEG);
        let _ = exchange_udp(&mut world, path.to("192.0.2.200", 9), LAN_LEG);
    }
}

#[test]
fn a_host_may_hold_so_many_flows_and_no_more() {
    let mut world = site::world(&Policy { flows_per_host: 3, ..site::policy() });
    for port in 2001..=2003 {
        let _ = exchange_udp(&mut world, outbound(port), LAN_LEG);
    }
    drops(&mut world, outbound(2004).udp(b""), LAN_LEG, DropReason::HostQuota);
    let _ = exchange_udp(&mut world, outbound(2001), LAN_LEG);
    let _ = exchange_udp(&mut world, site::path(LAN_LEG, "10.0.1.11", 2004, REMOTE, 80), LAN_LEG);
    // The daemon's sweep has ended one of them.
    let host = Ipv4::from_octets([10, 0, 1, 10]);
    let _ = world.state.v4.hosts_ended.insert(host, 1);
    let _ = exchange_udp(&mut world, outbound(2004), LAN_LEG);
    drops(&mut world, outbound(2005).udp(b""), LAN_LEG, DropReason::HostQuota);
}

#[test]
fn a_full_host_table_refuses_nobody() {
    let mut world = sized(Capacities { hosts: 1, ..Default::default() });
    let _ = established(&mut world);
    let _ = exchange_udp(&mut world, site::path(LAN_LEG, "10.0.1.11", 2001, REMOTE, 80), LAN_LEG);
    assert_eq!(world.state.v4.hosts.len(), 1);
}

#[test]
fn a_host_that_moves_to_another_interface_takes_its_flow_along() {
    let policy = Policy {
        firewall: vec![accept(1, LAN, WAN), accept(2, DMZ, WAN)],
        source_nat: vec![masquerade(10, ZoneId(0), WAN)],
        ..site::policy()
    };
    let mut world = site::world(&policy);
    let (path, there) = established(&mut world);
    // Its address is reached through the other leg now.
    let host = format!("{}/32", path.source).parse().expect("a prefix");
    world.routing.routes.push(Route { to: host, egress: DMZ_LEG, via: None });
    world.routing.neighbours.insert((DMZ_LEG, path.source), Mac::from_octets([6; 6]));
    world.routes_changed();
    let moved = Path { destination_mac: site::leg_mac(DMZ_LEG), ..path };
    let (egress, _) = sent(&mut world, moved.udp(b""), DMZ_LEG);
    assert_eq!(egress, WAN_LEG);
    let (leg, _) = sent(&mut world, there.back().udp(b""), WAN_LEG);
    assert_eq!(leg, DMZ_LEG);
}
