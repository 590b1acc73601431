//! Source NAT (RFC 4787, RFC 5382, RFC 5508).

use std::collections::HashMap;
use std::net::IpAddr;

use gateway_ebpf::abi::{DropReason, IfIndex, Ipv4, RuleFlags};
use gateway_tests::frames::{Path, address, flag};
use gateway_tests::site::{self, LAN, LAN_LEG, POOL, WAN, WAN_LEG};
use gateway_tests::world::{Policy, World, exempt, masquerade, pooled};
use proptest::prelude::*;

use crate::talk::{REMOTE, comes_back, drops, exchange_udp, handshake, outbound, refused, sent, stopped};

fn with_source_nat(rules: Vec<gateway_ebpf::abi::Rule>) -> World {
    site::world(&Policy { source_nat: rules, ..site::policy() })
}

#[test]
fn masquerade_uses_the_egress_address_and_replies_come_back() {
    let mut world = site::world(&site::policy());
    let (egress, there) = handshake(&mut world, outbound(40_000), LAN_LEG);
    assert_eq!((egress, there.source), (WAN_LEG, address("203.0.113.1")));
    assert_eq!((there.destination, there.destination_port), (address(REMOTE), 80));
    let (_, there) = exchange_udp(&mut world, outbound(40_000), LAN_LEG);
    assert_eq!(there.source, address("203.0.113.1"));
}

#[test]
fn an_echo_is_translated_by_its_identifier_and_comes_back() {
    let mut world = site::world(&site::policy());
    let path = Path { destination_port: 0, ..outbound(77) };
    let (egress, there) = sent(&mut world, path.echo_request(b"ping"), LAN_LEG);
    assert_eq!(there.path.source, address("203.0.113.1"));
    let (leg, back) = sent(&mut world, there.path.back().echo_reply(b"ping"), egress);
    assert_eq!(leg, LAN_LEG);
    comes_back(&back, &path);
}

#[test]
fn an_echo_request_as_a_reply_is_refused() {
    let mut world = site::world(&site::policy());
    let (egress, there) = sent(&mut world, outbound(77).echo_request(b""), LAN_LEG);
    let forged = there.path.back();
    let request = Path { source_port: there.path.source_port, ..forged };
    // The same identifier as a request is another tuple: nothing that the flow admits.
    assert!(matches!(refused(&mut world, request.echo_request(b""), egress), gateway_ebpf::abi::Reason::Pass(_)));
}

#[test]
fn one_internal_endpoint_has_one_external_endpoint_for_all_remotes() {
    let mut world = site::world(&site::policy());
    let path = outbound(40_001);
    let (_, first) = exchange_udp(&mut world, path, LAN_LEG);
    for remote in ["192.0.2.81", "198.18.0.1", "8.8.8.8"] {
        let (_, there) = exchange_udp(&mut world, path.to(remote, 443), LAN_LEG);
        assert_eq!((there.source, there.source_port), (first.source, first.source_port));
    }
    assert_eq!(world.state.v4.mappings.len(), 1);
}

#[test]
fn a_mapping_admits_no_stranger_unless_its_filter_is_open() {
    for open in [false, true] {
        let mut rule = masquerade(10, LAN, WAN);
        rule.flags.0 = if open { RuleFlags::OPEN_FILTERING } else { 0 };
        let mut world = with_source_nat(vec![rule]);
        let path = outbound(40_002);
        let (_, there) = exchange_udp(&mut world, path, LAN_LEG);
        let stranger = there.back().from("198.18.7.7");
        if open {
            let (leg, seen) = sent(&mut world, stranger.udp(b"hello"), WAN_LEG);
            assert_eq!((leg, seen.path.destination, seen.path.destination_port), (LAN_LEG, path.source, path.source_port));
            let (_, answer) = sent(&mut world, seen.path.back().udp(b"you"), LAN_LEG);
            comes_back(&answer, &stranger);
        } else {
            // To the gateway itself: the kernel's own stack answers for its own ports.
            assert!(matches!(refused(&mut world, stranger.udp(b"hello"), WAN_LEG), gateway_ebpf::abi::Reason::Pass(_)));
        }
    }
}

#[test]
fn an_open_mapping_admits_nobody_once_its_rule_is_gone_or_closed() {
    let mut rule = masquerade(10, LAN, WAN);
    rule.flags.0 = RuleFlags::OPEN_FILTERING;
    let closed = masquerade(10, LAN, WAN);
    for now in [vec![], vec![closed]] {
        let mut world = with_source_nat(vec![rule]);
        let (_, there) = exchange_udp(&mut world, outbound(40_003), LAN_LEG);
        let friend = there.back().from("198.18.7.7");
        let _ = sent(&mut world, friend.udp(b"hello"), WAN_LEG);
        world.install(&Policy { source_nat: now, ..site::policy() });
        let reason = stopped(&mut world, there.back().from("198.18.7.8").udp(b"hello"), WAN_LEG);
        assert!(matches!(reason, gateway_ebpf::abi::Reason::Pass(_)), "to the gateway itself, as if there were no mapping: {reason:?}");
        let reason = stopped(&mut world, friend.udp(b"again"), WAN_LEG);
        assert_eq!(reason, gateway_ebpf::abi::Reason::Drop(DropReason::PolicyChanged), "whom it admitted before is cut off as well");
    }
}

#[test]
fn more_hosts_than_the_well_known_class_has_ports_are_all_served() {
    let mut world = site::world(&site::policy());
    let mut external = std::collections::HashSet::new();
    for host in 1..=250u32 {
        // Windows asks for the time from port 123. Of 424 ports in the class half have its parity.
        let address = format!("10.0.1.{host}");
        if address == "10.0.1.1" {
            continue;
        }
        let (_, seen) = sent(&mut world, outbound(123).from(&address).udp(b""), LAN_LEG);
        assert!(external.insert(seen.path.source_port), "one port, two hosts");
    }
}

#[test]
fn a_pool_with_ports_of_its_own_uses_no_others() {
    let mut world = with_source_nat(vec![one_port_rule(5000, 5010, 0)]);
    let (_, seen) = sent(&mut world, outbound(123).udp(b""), LAN_LEG);
    assert!((5000..=5010).contains(&seen.path.source_port), "{}", seen.path.source_port);
}

#[test]
fn the_pool_address_of_a_host_is_the_same_for_all_its_flows() {
    let mut world = with_source_nat(vec![pooled(10, LAN, WAN, POOL.len() as u16)]);
    let mut used = HashMap::new();
    for host in ["10.0.1.10", "10.0.1.11", "10.0.1.12", "10.0.1.13"] {
        for port in [2000, 2001, 3000] {
            let (_, there) = exchange_udp(&mut world, site::path(LAN_LEG, host, port, REMOTE, 53), LAN_LEG);
            let IpAddr::V4(external) = there.source else { panic!("a family of its own") };
            assert!(POOL.contains(&external));
            assert_eq!(*used.entry(host).or_insert(external), external, "paired pooling (RFC 4787 REQ-2)");
        }
    }
}

#[test]
fn an_exempt_flow_leaves_as_it_came() {
    let mut world = with_source_nat(vec![exempt(9, LAN, WAN), masquerade(10, LAN, WAN)]);
    let path = outbound(40_003);
    let (_, there) = exchange_udp(&mut world, path, LAN_LEG);
    assert_eq!((there.source, there.source_port), (path.source, path.source_port));
    assert!(world.state.v4.mappings.is_empty() && world.state.v4.endpoints.is_empty());
}

#[test]
fn a_leg_without_an_address_cannot_masquerade() {
    let mut policy = site::policy();
    policy.interfaces.iter_mut().filter(|i| i.index == WAN_LEG).for_each(|i| i.v4 = Ipv4(0));
    drops(&mut site::world(&policy), outbound(1).udp(b""), LAN_LEG, DropReason::NoExternalAddress);
}

fn one_port_rule(first: u16, last: u16, flags: u8) -> gateway_ebpf::abi::Rule {
    let mut rule = masquerade(10, LAN, WAN);
    (rule.target.port_first, rule.target.port_last) = (first, last);
    rule.flags.0 = flags;
    rule
}

#[test]
fn the_search_for_a_port_ends() {
    let mut world = with_source_nat(vec![one_port_rule(5000, 5000, 0)]);
    let _ = exchange_udp(&mut world, outbound(6000), LAN_LEG);
    drops(&mut world, outbound(6001).udp(b""), LAN_LEG, DropReason::NoFreePort);
    // The port is free for another protocol, and the old flow still lives.
    let _ = handshake(&mut world, outbound(6001), LAN_LEG);
    let _ = exchange_udp(&mut world, outbound(6000), LAN_LEG);
}

#[test]
fn a_mapping_per_flow_shares_a_port_between_remotes_only() {
    let mut world = with_source_nat(vec![one_port_rule(5000, 5000, RuleFlags::MAPPING_PER_FLOW)]);
    let (_, first) = exchange_udp(&mut world, outbound(6000), LAN_LEG);
    let (_, second) = exchange_udp(&mut world, outbound(6001).to("192.0.2.99", 80), LAN_LEG);
    assert_eq!((first.source_port, second.source_port), (5000, 5000));
    drops(&mut world, outbound(6002).udp(b""), LAN_LEG, DropReason::NoFreePort);
    assert!(world.state.v4.mappings.is_empty());
}

#[test]
fn a_closed_tcp_flow_opens_again_on_the_same_mapping() {
    let mut world = site::world(&site::policy());
    let path = outbound(40_010);
    let (egress, there) = handshake(&mut world, path, LAN_LEG);
    let _ = sent(&mut world, path.tcp(flag::FIN | flag::ACK, b""), LAN_LEG);
    let _ = sent(&mut world, there.back().tcp(flag::FIN | flag::ACK, b""), egress);
    let _ = sent(&mut world, path.tcp(flag::ACK, b""), LAN_LEG);
    let (_, again) = handshake(&mut world, path, LAN_LEG);
    assert_eq!(again.source_port, there.source_port);
    assert_eq!(world.state.v4.flows.len(), 2);
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    Udp,
    Echo,
}

fn first_packet(path: &Path, transport: Transport) -> Vec<u8> {
    match transport {
        Transport::Tcp => path.tcp(flag::SYN, b""),
        Transport::Udp => path.udp(b"x"),
        Transport::Echo => path.echo_request(b"x"),
    }
}

fn reply(path: &Path, transport: Transport) -> Vec<u8> {
    match transport {
        Transport::Tcp => path.tcp(flag::SYN | flag::ACK, b""),
        Transport::Udp => path.udp(b"x"),
        Transport::Echo => path.echo_reply(b"x"),
    }
}

fn any_flow() -> impl Strategy<Value = (usize, u16, u8, Transport)> {
    let port = prop_oneof![1u16..1024, 1024u16..=65_535];
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp), Just(Transport::Echo)];
    (0usize..4, port, 1u8..=254, transport)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

    /// RFC 4787 REQ-1 (independent mapping), REQ-3 (no overloading), REQ-3a (port classes), REQ-4 (parity), and every reply comes back.
    #[test]
    fn mappings_keep_their_promises(pool: bool, flows in proptest::collection::vec(any_flow(), 1..60)) {
        let rule = if pool { pooled(10, LAN, WAN, 4) } else { masquerade(10, LAN, WAN) };
        let mut world = with_source_nat(vec![rule]);
        let mut internal_of = HashMap::new();
        let mut external_of = HashMap::new();
        for (host, port, remote, transport) in flows {
            let echo = matches!(transport, Transport::Echo);
            let destination = format!("192.0.2.{remote}");
            let source = format!("10.0.1.{}", 10 + host);
            let path = site::path(LAN_LEG, &source, port, &destination, if echo { 0 } else { 7 });
            // A repeated tuple is a packet of the same flow.
            let (egress, there) = sent(&mut world, first_packet(&path, transport), LAN_LEG);
            let kind = transport as u8;
            let (internal, external) = ((path.source, port, kind), (there.path.source, there.path.source_port, kind));
            prop_assert_eq!(*internal_of.entry(external).or_insert(internal), internal);
            prop_assert_eq!(*external_of.entry(internal).or_insert(external), external);
            if !echo {
                prop_assert_eq!(port < 1024, (600..=1023).contains(&external.1));
                prop_assert_eq!(port >= 1024, external.1 >= 1024);
            }
            if matches!(transport, Transport::Udp) {
                prop_assert_eq!(external.1 & 1, port & 1);
            }
            let (leg, back) = sent(&mut world, reply(&there.path.back(), transport), egress);
            prop_assert_eq!(leg, LAN_LEG);
            comes_back(&back, &path);
        }
    }

    #[test]
    fn external_ports_stay_in_the_rules_range(first in 1024u16..60_000, size in 50u16..500, ports in proptest::collection::hash_set(1024u16.., 1..20)) {
        let mut world = with_source_nat(vec![one_port_rule(first, first + size, 0)]);
        for port in ports {
            let (_, there) = sent(&mut world, outbound(port).udp(b""), LAN_LEG);
            prop_assert!((first..=first + size).contains(&there.path.source_port));
        }
    }
}

#[test]
fn two_legs_do_not_share_an_internal_network_by_accident() {
    // The arrival interface is part of a flow's identity: the right tuple from the wrong leg is not of the flow.
    let mut world = site::world(&site::policy());
    let (_, there) = exchange_udp(&mut world, outbound(40_020), LAN_LEG);
    let wrong = Path { destination_mac: site::leg_mac(IfIndex(5)), ..there.back() };
    let _ = refused(&mut world, wrong.udp(b""), IfIndex(5));
}
