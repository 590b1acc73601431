//! Routes, source validation, hop limit, MTU.

use gateway_ebpf::abi::{DropReason, IfIndex, InterfaceFlags, PassReason, PuntReason, Reason};
use gateway_ebpf::env::Arrival;
use gateway_tests::frames::{Path, address, flag};
use gateway_tests::site::{self, DMZ_LEG, LAN_LEG, WAN_LEG, WAN2_LEG};
use gateway_tests::world::{Policy, World};

use crate::talk::{drops, established, outbound, refused, sent};

fn with_validation(flags: u8) -> World {
    let mut policy = site::policy();
    policy.interfaces.iter_mut().for_each(|interface| interface.flags = InterfaceFlags(flags));
    policy.default = gateway_ebpf::abi::Action::ACCEPT;
    site::world(&policy)
}

#[test]
fn a_source_is_held_against_the_routes() {
    // A known network behind another leg; one that has no route.
    let elsewhere = || outbound(1).from("10.0.2.77").udp(b"");
    let nowhere = || outbound(1).from("172.16.0.9").udp(b"");
    let mut strict = with_validation(InterfaceFlags::STRICT);
    drops(&mut strict, elsewhere(), LAN_LEG, DropReason::SourceValidation);
    drops(&mut strict, nowhere(), LAN_LEG, DropReason::SourceValidation);
    let mut loose = with_validation(InterfaceFlags::LOOSE);
    loose.routing.routes.retain(|route| route.to.prefix_len() != 0);
    let destination = |path: Path| path.to("203.0.113.20", 80);
    let _ = sent(&mut loose, destination(outbound(1).from("10.0.2.77")).udp(b""), LAN_LEG);
    drops(&mut loose, destination(outbound(1).from("172.16.0.9")).udp(b""), LAN_LEG, DropReason::SourceValidation);
    let mut off = with_validation(0);
    off.routing.routes.retain(|route| route.to.prefix_len() != 0);
    let _ = sent(&mut off, destination(outbound(1).from("172.16.0.9")).udp(b""), LAN_LEG);
}

#[test]
fn an_own_address_is_never_a_source() {
    for flags in [InterfaceFlags::STRICT, InterfaceFlags::LOOSE, 0] {
        let mut world = with_validation(flags);
        for own in ["10.0.1.1", "203.0.113.1", "10.0.2.1", "10.0.1.255"] {
            drops(&mut world, outbound(1).from(own).udp(b""), LAN_LEG, DropReason::SourceIsSelf);
        }
    }
}

#[test]
fn what_is_for_the_gateway_itself_is_passed() {
    let mut world = site::world(&site::policy());
    for own in ["10.0.1.1", "203.0.113.1", "10.0.1.255"] {
        for frame in [
            outbound(1).to(own, 22).tcp(flag::SYN, b""),
            outbound(1).to(own, 53).udp(b""),
            outbound(1).to(own, 0).echo_request(b""),
            outbound(1).to(own, 0).raw(89, &[0; 24]),
        ] {
            assert_eq!(refused(&mut world, frame, LAN_LEG), Reason::Pass(PassReason::Local));
        }
    }
}

#[test]
fn land_and_martians_are_dropped() {
    let mut world = with_validation(0);
    drops(&mut world, outbound(80).from("192.0.2.80").udp(b""), LAN_LEG, DropReason::Land);
    for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"] {
        drops(&mut world, outbound(1).from(source).udp(b""), LAN_LEG, DropReason::MartianSource);
    }
    for destination in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "240.0.0.1", "254.1.1.1"] {
        drops(&mut world, outbound(1).to(destination, 1).udp(b""), LAN_LEG, DropReason::MartianDestination);
    }
    for destination in ["224.0.0.1", "239.1.1.1", "255.255.255.255", "169.254.1.1"] {
        assert_eq!(refused(&mut world, outbound(1).to(destination, 1).udp(b""), LAN_LEG), Reason::Pass(PassReason::StaysOnLink));
    }
    // The answers of a metadata service to the gateway itself; the guard table keeps the kernel from forwarding them.
    let metadata = outbound(1).from("169.254.169.254").udp(b"");
    assert_eq!(refused(&mut world, metadata, LAN_LEG), Reason::Pass(PassReason::StaysOnLink));
}

#[test]
fn a_used_up_ttl_is_punted_and_a_ttl_of_two_leaves_as_one() {
    let mut world = site::world(&site::policy());
    for ttl in [0, 1] {
        for frame in [outbound(1).ttl(ttl).udp(b""), outbound(1).ttl(ttl).tcp(flag::SYN, b""), outbound(1).ttl(ttl).echo_request(b"")] {
            assert_eq!(refused(&mut world, frame, LAN_LEG), Reason::Punt(PuntReason::HopLimit));
        }
    }
    let (_, seen) = sent(&mut world, outbound(1).ttl(2).udp(b""), LAN_LEG);
    assert_eq!(seen.path.ttl, 1);
    // Of an established flow, too.
    let (path, there) = established(&mut world);
    assert_eq!(refused(&mut world, path.ttl(1).udp(b""), LAN_LEG), Reason::Punt(PuntReason::HopLimit));
    drops(&mut world, there.back().ttl(1).udp(b""), WAN_LEG, DropReason::HopLimit);
}

#[test]
fn what_does_not_fit_is_punted_with_df_and_dropped_without() {
    let mut world = site::world(&site::policy());
    let path = site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.10", 53);
    let fits = vec![0; 1400 - 28];
    let too_big = vec![0; 1400 - 28 + 1];
    let _ = sent(&mut world, path.udp(&fits), LAN_LEG);
    assert_eq!(refused(&mut world, path.udp(&too_big), LAN_LEG), Reason::Punt(PuntReason::TooBig));
    let mut fragmentable = path.from_port(1001).udp(&too_big);
    fragmentable[20] &= !0x40;
    gateway_tests::frames::repair(&mut fragmentable);
    drops(&mut world, fragmentable, LAN_LEG, DropReason::TooBig);
}

#[test]
fn a_gso_packet_is_measured_by_its_segments() {
    let mut world = site::world(&site::policy());
    let path = site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.10", 53);
    let arrival = Arrival { ifindex: LAN_LEG, now_ns: world.now_ns, gso_size: 1400 - 28, vlan: 0 };
    assert!(world.tc_arrival(&mut path.udp(&[0; 9000]), arrival).is_ok());
    let larger = Arrival { gso_size: 1400 - 27, ..arrival };
    assert_eq!(world.tc_arrival(&mut path.from_port(1).udp(&[0; 9000]), larger), Err(Reason::Punt(PuntReason::TooBig)));
}

#[test]
fn without_a_route_the_kernel_answers() {
    let mut world = site::world(&site::policy());
    world.routing.routes.retain(|route| route.to.prefix_len() != 0);
    assert_eq!(refused(&mut world, outbound(1).udp(b""), LAN_LEG), Reason::Punt(PuntReason::NoRoute));
    // An established flow without a route is stopped, and goes on when there is one again.
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    let routes = world.routing.routes.clone();
    world.routing.routes.retain(|route| route.to.prefix_len() != 0);
    world.routes_changed();
    drops(&mut world, path.udp(b""), LAN_LEG, DropReason::NoRoute);
    world.routing.routes = routes;
    world.routes_changed();
    let _ = sent(&mut world, path.udp(b""), LAN_LEG);
}

#[test]
fn forwarding_switched_off_stops_everything() {
    let mut world = site::world(&site::policy());
    world.routing.not_forwarding.insert(LAN_LEG);
    drops(&mut world, outbound(1).udp(b""), LAN_LEG, DropReason::NotReady);
    // The gateway itself stays reachable.
    assert_eq!(refused(&mut world, outbound(1).to("10.0.1.1", 22).tcp(flag::SYN, b""), LAN_LEG), Reason::Pass(PassReason::Local));
}

#[test]
fn before_the_first_policy_nothing_is_forwarded() {
    let mut world = site::world(&site::policy());
    world.policy.config.policy.0 = 0;
    drops(&mut world, outbound(1).udp(b""), LAN_LEG, DropReason::NotReady);
}

#[test]
fn an_unresolved_neighbour_is_left_to_the_kernel_until_it_answers() {
    let mut world = site::world(&site::policy());
    let path = site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.99", 53);
    let mut frame = path.udp(b"");
    let unresolved = world.tc(&mut frame, LAN_LEG).unwrap();
    assert!(!unresolved.resolved);
    assert_eq!((unresolved.egress, unresolved.gateway), (DMZ_LEG, address("10.0.2.99")));
    let mut frame = path.udp(b"");
    assert!(!world.tc(&mut frame, LAN_LEG).unwrap().resolved);
    let mac = [6, 0, 0, 0, 0, 9];
    world.routing.neighbours.insert((DMZ_LEG, address("10.0.2.99")), gateway_ebpf::abi::Mac::from_octets(mac));
    let (_, seen) = sent(&mut world, path.udp(b""), LAN_LEG);
    assert_eq!(seen.path.destination_mac, mac);
}

fn move_default_route(world: &mut World) {
    world.routing.routes.iter_mut().filter(|route| route.to.prefix_len() == 0).for_each(|route| {
        route.egress = WAN2_LEG;
        route.via = Some(address(if route.to.addr().is_ipv4() { "198.51.100.254" } else { "2001:db8:5::fe" }));
    });
    world.routes_changed();
}

fn untranslated() -> World {
    site::world(&Policy { source_nat: vec![], ..site::policy() })
}

fn answers_through(world: &mut World, there: Path, leg: IfIndex) {
    let (back_leg, _) = sent(world, Path { destination_mac: site::leg_mac(leg), ..there.back() }.udp(b""), leg);
    assert_eq!(back_leg, LAN_LEG);
}

#[test]
fn an_untranslated_flow_follows_its_route() {
    let mut world = untranslated();
    let (path, there) = established(&mut world);
    move_default_route(&mut world);
    let (egress, seen) = sent(&mut world, path.udp(b""), LAN_LEG);
    assert_eq!((egress, seen.path.destination_mac), (WAN2_LEG, site::station_mac(address("198.51.100.254"))));
    answers_through(&mut world, there, WAN2_LEG);
    assert_eq!(world.state.v4.flows.len(), 2, "the old way back is forgotten");
    drops(&mut world, there.back().udp(b""), WAN_LEG, DropReason::SourceValidation);
}

#[test]
fn a_packet_that_cannot_leave_does_not_move_a_flow_to_its_new_route() {
    // wan2 has an MTU of 1280: path MTU discovery must find a living flow.
    let mut world = untranslated();
    let (path, there) = established(&mut world);
    move_default_route(&mut world);
    assert_eq!(refused(&mut world, path.udp(&[0; 1300]), LAN_LEG), Reason::Punt(PuntReason::TooBig));
    assert_eq!(refused(&mut world, path.ttl(1).udp(b""), LAN_LEG), Reason::Punt(PuntReason::HopLimit));
    let (egress, _) = sent(&mut world, path.udp(b""), LAN_LEG);
    assert_eq!(egress, WAN2_LEG);
    answers_through(&mut world, there, WAN2_LEG);
}

#[test]
fn a_masqueraded_flow_ends_when_its_route_moves() {
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    move_default_route(&mut world);
    assert_eq!(crate::talk::stopped(&mut world, path.udp(b""), LAN_LEG), Reason::Drop(DropReason::PolicyChanged));
    assert!(world.state.v4.flows.is_empty());
    let (egress, seen) = sent(&mut world, path.udp(b""), LAN_LEG);
    assert_eq!((egress, seen.path.source), (WAN2_LEG, address("198.51.100.1")));
}

#[test]
fn a_flow_that_waits_for_its_neighbour_is_judged_again_when_the_kernel_has_moved_its_route() {
    // Before the daemon has said that routes changed: the zone behind the new route is not the one that was allowed.
    let only_wan = vec![gateway_tests::world::accept(1, site::LAN, site::WAN)];
    let mut world = site::world(&Policy { source_nat: vec![], firewall: only_wan, ..site::policy() });
    world.routing.neighbours.remove(&(WAN_LEG, address("203.0.113.254")));
    let path = outbound(4000);
    let _ = sent(&mut world, path.udp(b""), LAN_LEG);
    world.routing.routes.iter_mut().filter(|route| route.to.prefix_len() == 0).for_each(|route| {
        route.egress = DMZ_LEG;
        route.via = Some(address("10.0.2.99"));
    });
    assert_eq!(crate::talk::stopped(&mut world, path.udp(b""), LAN_LEG), Reason::Drop(DropReason::PolicyChanged));
}

#[test]
fn a_new_mac_of_the_next_hop_is_used_at_the_next_packet() {
    let mut world = site::world(&site::policy());
    let (path, _) = established(&mut world);
    let mac = [6, 9, 9, 9, 9, 9];
    world.routing.neighbours.insert((WAN_LEG, address("203.0.113.254")), gateway_ebpf::abi::Mac::from_octets(mac));
    world.routes_changed();
    let (_, seen) = sent(&mut world, path.udp(b""), LAN_LEG);
    assert_eq!(seen.path.destination_mac, mac);
}
