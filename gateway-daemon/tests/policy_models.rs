//! The two example policies, as models: what the rest of the daemon is given.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_daemon::model::*;
use gateway_daemon::policy;

const SEED: &str = include_str!("../../tests/policies/seed.toml");
const FULL: &str = include_str!("../../tests/policies/full.toml");

fn checked(name: &str, text: &str) -> Model {
    match policy::load(name, text) {
        Ok(checked) => {
            let warnings: Vec<String> = checked.warnings.iter().map(policy::Diagnostic::line).collect();
            assert!(warnings.is_empty(), "{warnings:#?}");
            checked.model
        }
        Err(report) => panic!("{report}"),
    }
}

fn zone(name: &str) -> ZoneName {
    ZoneName(name.to_owned())
}

fn rule(name: &str) -> RuleName {
    RuleName(name.to_owned())
}

fn set(index: usize) -> AddressMatch {
    AddressMatch { sets: vec![SetIndex(index)], prefixes: vec![] }
}

fn port(port: u16) -> PortRange {
    PortRange { first: port, last: port }
}

fn ports(first: u16, last: u16) -> PortRange {
    PortRange { first, last }
}

fn accept(name: &str, from: &str, to: &str) -> FirewallRule {
    FirewallRule {
        name: rule(name),
        from: Some(zone(from)),
        to: Some(zone(to)),
        source: AddressMatch::default(),
        destination: AddressMatch::default(),
        protocol: None,
        ports: vec![],
        icmp_type: None,
        action: Action::Accept,
        log: false,
        rate: None,
    }
}

fn zone_of(name: &str, interface: &str) -> Zone {
    Zone { name: zone(name), interfaces: vec![InterfaceName(interface.to_owned())] }
}

fn set_of(name: &str, members: &[&str]) -> AddressSet {
    let members = members.iter().map(|m| m.parse().unwrap()).collect();
    AddressSet { name: name.to_owned(), members }
}

#[test]
fn the_seed_policy_is_this_model() {
    let eth1 = InterfaceConfig { addresses: vec!["10.227.128.15/21".parse().unwrap()], mtu: Some(1400), ..InterfaceConfig::default() };
    let masquerade = SourceNat {
        name: rule("windows masquerade"),
        from: Some(zone("overlay")),
        to: Some(zone("pods")),
        source: set(0),
        destination: AddressMatch::default(),
        protocol: None,
        ports: vec![],
        translate: Translate::Masquerade,
        mapping: Mapping::EndpointIndependent,
        filtering: Filtering::AddressAndPortDependent,
    };
    let forward = DestinationNat {
        name: rule("rdp to app01"),
        from: zone("pods"),
        source: AddressMatch::default(),
        protocol: ProtocolMatch::Tcp,
        address: None,
        ports: port(33890),
        to: "10.227.128.11".parse().unwrap(),
        to_port: Some(3389),
    };
    let app01 = AddressMatch { sets: vec![], prefixes: vec!["10.227.128.11/32".parse().unwrap()] };
    let rdp = FirewallRule {
        source: set(1),
        destination: app01,
        protocol: Some(ProtocolMatch::Tcp),
        ports: vec![port(3389)],
        log: true,
        ..accept("rdp from on-prem", "pods", "overlay")
    };
    let wanted = Model {
        mode: DatapathMode::Auto,
        flows: 131_072,
        flows_per_host: 16_384,
        interfaces: [(InterfaceName("eth1".to_owned()), eth1)].into(),
        zones: vec![zone_of("pods", "eth0"), zone_of("overlay", "eth1")],
        sets: vec![set_of("windows", &["10.227.128.0/21"]), set_of("on-prem", &["10.10.0.0/16", "10.20.0.0/16"])],
        routes: vec![],
        nat: Nat { source: vec![masquerade], destination: vec![forward] },
        firewall: Firewall {
            default: Action::Drop,
            rules: vec![accept("overlay to pods", "overlay", "pods"), accept("overlay to overlay", "overlay", "overlay"), rdp],
        },
        timeouts: Timeouts::default(),
    };
    assert_eq!(checked("seed.toml", SEED), wanted);
}

#[test]
fn every_definition_of_the_full_policy_arrives() {
    let model = checked("full.toml", FULL);
    assert_eq!((model.mode, model.flows, model.flows_per_host), (DatapathMode::Tc, 65_536, 4_096));

    let interface = |name: &str| &model.interfaces[&InterfaceName(name.to_owned())];
    assert_eq!(interface("wan0").datapath, Some(DatapathMode::Xdp));
    assert_eq!(interface("wan0").addresses[1], "2001:db8:1::2/64".parse().unwrap());
    assert_eq!(interface("lan0").mtu, Some(1400));
    assert_eq!(interface("dmz0").source_validation, SourceValidation::Off);

    let zones: Vec<&str> = model.zones.iter().map(|z| z.name.0.as_str()).collect();
    assert_eq!(zones, ["wan", "lan", "dmz"], "in the order of the text");
    let members = ["10.0.0.0/24", "2001:db8:2::/64", "10.0.1.10/32", "10.0.1.11/32", "2001:db8:3::10/128", "10.0.2.0/24"];
    assert_eq!(model.sets[2], set_of("inside", &members), "a set in a set brings its members");

    assert_eq!(model.routes[0].via, Some("203.0.113.1".parse().unwrap()));
    assert_eq!(model.routes[1].metric, Some(100));
    assert_eq!(model.routes[2].source, Some("10.0.0.0/24".parse().unwrap()));
    assert_eq!(model.routes[2].interface, Some(InterfaceName("lan1".to_owned())));

    let seconds = Duration::from_secs;
    let timeouts = Timeouts {
        tcp_established: seconds(10_800),
        tcp_opening: seconds(300),
        tcp_closing: seconds(270),
        udp: seconds(360),
        icmp: seconds(90),
    };
    assert_eq!(model.timeouts, timeouts);
}

#[test]
fn every_rule_of_the_full_policy_arrives() {
    let model = checked("full.toml", FULL);
    let [none, pool, masquerade] = &model.nat.source[..] else { panic!("three source NAT rules") };
    assert_eq!(none.translate, Translate::None);
    assert_eq!(masquerade.translate, Translate::Masquerade);
    assert_eq!(pool.ports, [port(80), port(443), ports(8000, 8010)]);
    assert_eq!(pool.mapping, Mapping::AddressAndPortDependent);
    assert_eq!(masquerade.filtering, Filtering::EndpointIndependent);
    assert_eq!(masquerade.from, None);
    let range = |first, last| PoolRange { first: Ipv4Addr::new(203, 0, 113, first), last: Ipv4Addr::new(203, 0, 113, last) };
    let addresses = vec![range(10, 13), range(20, 20), range(32, 35)];
    assert_eq!(pool.translate, Translate::Pool { addresses, ports: ports(2048, 65_535) });

    let [rdp, media, dns] = &model.nat.destination[..] else { panic!("three port forwards") };
    assert_eq!(rdp.address, Some(IpAddr::from([203, 0, 113, 2])));
    assert_eq!((media.ports, media.to_port), (ports(20_000, 20_100), Some(30_000)));
    assert_eq!((dns.protocol, dns.to_port), (ProtocolMatch::Udp, None));

    let rules = &model.firewall.rules;
    let rate = |count, per_ms| Some(Rate { count, per_ms });
    assert_eq!(model.firewall.default, Action::Reject);
    assert_eq!((rules[0].icmp_type, rules[0].rate), (Some(8), rate(10, 1_000)));
    assert_eq!(rules[0].to, Some(zone(ZoneName::SELF)));
    assert_eq!(rules[2].rate, rate(100, 60_000));
    assert_eq!(rules[3].rate, rate(36_000, 3_600_000));
    assert_eq!((rules[5].action, rules[5].log), (Action::Drop, true));
}
