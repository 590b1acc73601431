//! Zone policy: first match, default, sets, ports, rates, logs.

use gateway_ebpf::abi::{Action, DropReason, EventKind, Protocol, Reason, Rule, RuleFlags, SetId, ZoneId};
use gateway_tests::frames::flag;
use gateway_tests::site::{self, ANY, DMZ, DMZ_LEG, INSIDE, LAN, LAN_LEG, WAN};
use gateway_tests::world::{Policy, World, accept, refuse, reject};
use proptest::prelude::*;

use crate::talk::{drops, outbound, refused, sent};

fn with_firewall(rules: Vec<Rule>, default: Action) -> World {
    site::world(&Policy { firewall: rules, default, ..site::policy() })
}

#[test]
fn the_first_matching_rule_decides() {
    let open = || outbound(1024).udp(b"");
    let cases = [
        (vec![refuse(1, LAN, WAN), accept(2, LAN, WAN)], Some(DropReason::RuleDrop)),
        (vec![accept(2, LAN, WAN), refuse(1, LAN, WAN)], None),
        (vec![reject(1, LAN, ANY), accept(2, LAN, WAN)], Some(DropReason::RuleReject)),
        (vec![refuse(1, LAN, DMZ), accept(2, ANY, WAN)], None),
        (vec![accept(1, LAN, DMZ)], Some(DropReason::DefaultDrop)),
        (vec![], Some(DropReason::DefaultDrop)),
    ];
    for (rules, expected) in cases {
        let mut world = with_firewall(rules.clone(), Action::DROP);
        match expected {
            Some(reason) => drops(&mut world, open(), LAN_LEG, reason),
            None => {
                let _ = sent(&mut world, open(), LAN_LEG);
            }
        }
    }
    let _ = sent(&mut with_firewall(vec![], Action::ACCEPT), open(), LAN_LEG);
    drops(&mut with_firewall(vec![refuse(1, ANY, ANY)], Action::ACCEPT), open(), LAN_LEG, DropReason::RuleDrop);
}

#[test]
fn a_rule_matches_by_protocol_port_set_and_icmp_type() {
    let base = accept(1, LAN, WAN);
    let ports = RuleFlags(RuleFlags::PORTS);
    let echo = Rule { protocol: 1, flags: RuleFlags(RuleFlags::ICMP_TYPE), icmp_type: 8, ..base };
    let udp = outbound(2000).udp(b"");
    let syn = outbound(2000).tcp(flag::SYN, b"");
    let ping = outbound(2000).echo_request(b"");
    let cases = [
        (Rule { protocol: Protocol::UDP.0, ..base }, &udp, true),
        (Rule { protocol: Protocol::UDP.0, ..base }, &syn, false),
        (Rule { flags: ports, port_first: 80, port_last: 80, ..base }, &syn, true),
        (Rule { flags: ports, port_first: 81, port_last: 90, ..base }, &syn, false),
        (Rule { source: INSIDE, ..base }, &syn, true),
        (Rule { destination: INSIDE, ..base }, &syn, false),
        (Rule { source: SetId(200), ..base }, &syn, false),
        (echo, &ping, true),
        (Rule { icmp_type: 13, ..echo }, &ping, false),
        (Rule { protocol: Protocol::TCP.0, ..base }, &ping, false),
    ];
    for (rule, frame, accepted) in cases {
        let result = with_firewall(vec![rule], Action::DROP).tc(&mut frame.clone(), LAN_LEG);
        assert_eq!(result.is_ok(), accepted, "{rule:?}");
    }
}

#[test]
fn a_nested_prefix_is_in_every_set_around_it() {
    let mut policy = site::policy();
    policy.sets.push((SetId(7), vec!["10.0.1.10/32".parse().unwrap()]));
    for set in [INSIDE, SetId(7)] {
        policy.firewall = vec![Rule { source: set, ..accept(1, LAN, WAN) }];
        let _ = sent(&mut site::world(&policy), outbound(1).udp(b""), LAN_LEG);
    }
    policy.firewall = vec![Rule { source: SetId(7), ..accept(1, LAN, WAN) }];
    let other = outbound(1).from("10.0.1.11");
    drops(&mut site::world(&policy), other.udp(b""), LAN_LEG, DropReason::DefaultDrop);
}

#[test]
fn a_rate_lets_the_burst_through_and_then_one_per_interval() {
    let rule = Rule { flags: RuleFlags(RuleFlags::RATE), rate_burst: 3, rate_interval_us: 100_000, ..accept(1, LAN, WAN) };
    let mut world = with_firewall(vec![rule], Action::DROP);
    let accepted = |world: &mut World, ports: std::ops::Range<u16>| {
        ports.filter(|port| world.tc(&mut outbound(*port).udp(b""), LAN_LEG).is_ok()).count()
    };
    assert_eq!(accepted(&mut world, 2000..2010), 3);
    world.wait_ms(99);
    assert_eq!(accepted(&mut world, 2010..2020), 0, "an interval that has not passed earns nothing");
    world.wait_ms(1);
    assert_eq!(accepted(&mut world, 2010..2020), 1);
    world.wait_ms(10_000);
    assert_eq!(accepted(&mut world, 2020..2030), 3);
    drops(&mut world, outbound(2031).udp(b""), LAN_LEG, DropReason::RuleRate);
}

#[test]
fn a_logged_rule_reports_the_real_client_and_server() {
    let rule = Rule { flags: RuleFlags(RuleFlags::LOG), ..refuse(5, LAN, DMZ) };
    let mut world = with_firewall(vec![rule], Action::ACCEPT);
    drops(&mut world, site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.10", 22).tcp(flag::SYN, b""), LAN_LEG, DropReason::RuleDrop);
    let [event] = world.state.events[..] else { panic!("{} events", world.state.events.len()) };
    assert_eq!((event.kind, event.rule.0, event.source_port, event.destination_port), (EventKind::REFUSED, 5, 1000, 22));
    assert_eq!((event.protocol, event.family, event.ifindex), (6, 4, LAN_LEG.0));
    assert_eq!(world.state.rule_hits.get(&5), Some(&1));
}

#[test]
fn replies_pass_by_themselves_and_new_flows_the_other_way_do_not() {
    let mut world = with_firewall(vec![accept(1, LAN, DMZ)], Action::DROP);
    let path = site::path(LAN_LEG, "10.0.1.10", 1000, "10.0.2.10", 53);
    let (leg, there) = sent(&mut world, path.udp(b""), LAN_LEG);
    let _ = sent(&mut world, there.path.back().udp(b""), leg);
    drops(&mut world, there.path.back().from_port(54).udp(b""), DMZ_LEG, DropReason::DefaultDrop);
}

#[test]
fn an_interface_in_no_zone_is_not_touched_and_carries_nothing() {
    let mut policy = site::policy();
    policy.interfaces.retain(|interface| interface.index != site::WAN_LEG);
    let mut world = site::world(&policy);
    drops(&mut world, outbound(1).udp(b""), LAN_LEG, DropReason::NoZone);
    let inbound = site::path(site::WAN_LEG, "203.0.113.20", 1, "10.0.2.10", 1);
    assert!(matches!(refused(&mut world, inbound.udp(b""), site::WAN_LEG), Reason::Pass(gateway_ebpf::abi::PassReason::NoZone)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..Default::default() })]

    /// The search through the compiled list equals a plain walk.
    #[test]
    fn the_search_equals_a_plain_walk(rules in proptest::collection::vec((0u8..4, 0u8..4, any::<bool>(), 0u16..200), 0..40), port in 0u16..200) {
        let rules: Vec<Rule> = rules.into_iter().enumerate().map(|(n, (from, to, accepts, first))| {
            let action = if accepts { Action::ACCEPT } else { Action::DROP };
            let flags = RuleFlags(RuleFlags::PORTS);
            Rule { action, flags, port_first: first, port_last: first + 20, ..accept(n as u16 + 1, ZoneId(from), ZoneId(to)) }
        }).collect();
        let matching = rules.iter().find(|rule| {
            (rule.from == ANY || rule.from == LAN) && (rule.to == ANY || rule.to == WAN) && (rule.port_first..=rule.port_last).contains(&port)
        });
        let expected = matching.is_some_and(|rule| rule.action == Action::ACCEPT);
        let mut world = with_firewall(rules.clone(), Action::DROP);
        let result = world.tc(&mut outbound(5000).to(crate::talk::REMOTE, port).udp(b""), LAN_LEG);
        prop_assert_eq!(result.is_ok(), expected);
        if let Some(rule) = matching {
            prop_assert_eq!(world.state.rule_hits.get(&rule.id.0), Some(&1));
        }
    }
}
