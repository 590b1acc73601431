//! Policies and traffic by chance, in a world so small that they meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::case::Case;
use crate::change::Change;
use crate::network::LEGS;
use crate::policy::{Action, Forward, Matching, Named, Policy, Ports, Protocol, Rule, SourceNat, Translate, Validation, Zone};
use crate::traffic::{DestinationPort, First, Open, SENDERS, SourcePort, Step, TARGETS, Transport, can_talk, sender, target};

/// What rules and sets name.
const ADDRESSES: [&str; 18] = [
    "10.1.0.0/24",
    "10.1.0.10",
    "10.1.0.10",
    "10.1.0.11",
    "172.16.5.0/24",
    "10.2.0.0/24",
    "10.2.0.10",
    "10.0.0.0/8",
    "192.0.2.0/24",
    "192.0.2.10",
    "203.0.113.0/24",
    "198.51.100.7",
    "10.3.0.0/24",
    "fd00:1::/64",
    "fd00:1::10",
    "fd00:2::10",
    "2001:db8::/32",
    "2001:db8:ffff::7",
];

/// Services, also those behind forwards.
const PORTS: [u16; 8] = [22, 53, 80, 443, 3389, 8080, 8081, 8443];
const RANGES: [Ports; 6] = [(22, 22), (53, 53), (80, 80), (80, 443), (8080, 8081), (3000, 9000)];

/// A whole case with so many steps on average in its two parts together.
pub fn case(steps: usize) -> impl Strategy<Value = Case> {
    let first = steps * 2 / 3;
    (policy(), vec(step(), 0..first * 2), change(), vec(step(), 0..(steps - first) * 2)).prop_map(|(policy, steps, change, after)| Case {
        policy,
        steps,
        change,
        after,
    })
}

/// A policy that `gateway check` accepts.
fn policy() -> impl Strategy<Value = Policy> {
    let zones = (
        prop_oneof![4 => Just(Some(Zone::Dmz)), 1 => Just(Some(Zone::Lan)), 1 => Just(None)],
        prop_oneof![4 => Just(None), 2 => Just(Some(Zone::Opt)), 1 => Just(Some(Zone::Lan)), 1 => Just(Some(Zone::Wan))],
    );
    let default = prop_oneof![3 => Just(Action::Accept), 3 => Just(Action::Drop), 1 => Just(Action::Reject)];
    let sets = vec(vec(select(&ADDRESSES[..]), 1..4), 3);
    (
        zones,
        [validation(), validation(), validation(), validation()],
        sets,
        vec(source_nat(), 0..4),
        vec(forward(), 0..5),
        default,
        vec(rule(), 0..9),
    )
        .prop_map(|((dmz, opt), validation, sets, source_nat, forwards, default, rules)| {
            let mut policy = Policy {
                zones: [Some(Zone::Lan), Some(Zone::Wan), dmz, opt],
                validation,
                sets,
                source_nat: Vec::new(),
                forwards: Vec::new(),
                default,
                rules: Vec::new(),
            };
            // Rules that cannot stand behind those before them, or name a zone that is not there, are left out one by one.
            add(&mut policy, |policy| &mut policy.source_nat, source_nat);
            add(&mut policy, |policy| &mut policy.forwards, forwards);
            add(&mut policy, |policy| &mut policy.rules, rules);
            policy
        })
}

fn add<T>(policy: &mut Policy, list: impl Fn(&mut Policy) -> &mut Vec<Named<T>>, rules: Vec<T>) {
    for (number, rule) in rules.into_iter().enumerate() {
        list(policy).push(Named { number: number as u8, rule });
        if !is_valid(policy) {
            list(policy).pop();
        }
    }
}

/// Whether the daemon takes it.
pub fn is_valid(policy: &Policy) -> bool {
    gateway_daemon::policy::load("generated", &policy.text("tc", "c")).is_ok()
}

fn validation() -> impl Strategy<Value = Validation> {
    prop_oneof![4 => Just(Validation::Strict), 1 => Just(Validation::Loose), 1 => Just(Validation::Off)]
}

fn zone() -> impl Strategy<Value = Zone> {
    prop_oneof![3 => Just(Zone::Lan), 3 => Just(Zone::Wan), 2 => Just(Zone::Dmz), 1 => Just(Zone::Opt)]
}

fn addresses() -> impl Strategy<Value = Vec<&'static str>> {
    let word = prop_oneof![3 => select(&ADDRESSES[..]), 1 => select(&["@s0", "@s1", "@s2"][..])];
    prop_oneof![3 => Just(Vec::new()), 2 => vec(word, 1..3)]
}

fn ports() -> impl Strategy<Value = Vec<Ports>> {
    prop_oneof![2 => Just(Vec::new()), 3 => vec(select(&RANGES[..]), 1..3)]
}

fn matching() -> impl Strategy<Value = Matching> {
    let protocol =
        prop_oneof![2 => Just(None), 2 => Just(Some(Protocol::Tcp)), 2 => Just(Some(Protocol::Udp)), 1 => Just(Some(Protocol::Icmp))];
    (option::of(zone()), option::of(zone()), addresses(), addresses(), protocol, ports()).prop_map(
        |(from, to, source, destination, protocol, ports)| {
            let ports = if matches!(protocol, Some(Protocol::Tcp | Protocol::Udp)) { ports } else { Vec::new() };
            Matching { from, to, source, destination, protocol, ports }
        },
    )
}

/// Wider than a firewall rule's: what matches next to nothing translates nothing.
fn nat_matching() -> impl Strategy<Value = Matching> {
    let from = prop_oneof![3 => Just(Some(Zone::Lan)), 2 => Just(None), 1 => zone().prop_map(Some)];
    (matching(), from, any::<[bool; 3]>()).prop_map(|(matching, from, [source, destination, protocol])| Matching {
        from,
        source: if source { matching.source } else { Vec::new() },
        destination: if destination { Vec::new() } else { matching.destination },
        protocol: matching.protocol.filter(|_| protocol),
        ports: if protocol { matching.ports } else { Vec::new() },
        ..matching
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![4 => Just(Action::Accept), 3 => Just(Action::Drop), 2 => Just(Action::Reject)];
    let icmp_type = prop_oneof![3 => Just(None), 1 => Just(Some(8)), 1 => Just(Some(128)), 1 => Just(Some(13))];
    (matching(), icmp_type, action, option::weighted(0.2, 1u8..5)).prop_map(|(matching, icmp_type, action, rate)| Rule {
        icmp_type: icmp_type.filter(|_| matching.protocol == Some(Protocol::Icmp)),
        rate: rate.filter(|_| action == Action::Accept),
        matching,
        action,
    })
}

fn source_nat() -> impl Strategy<Value = SourceNat> {
    const LINK: &[&str] = &["203.0.113.64-203.0.113.67"];
    const ROUTED: &[&str] = &["198.18.7.1", "198.18.7.4-198.18.7.6"];
    const ONE: &[&str] = &["203.0.113.68"];
    let pool = (select(vec![LINK, ROUTED, ONE]), option::of(Just((2048, 4095))))
        .prop_map(|(addresses, ports)| Translate::Pool { addresses, ports });
    let translate = prop_oneof![1 => Just(Translate::None), 4 => Just(Translate::Masquerade), 3 => pool];
    let to = prop_oneof![5 => Just(Some(Zone::Wan)), 1 => Just(Some(Zone::Dmz)), 1 => Just(Some(Zone::Lan)), 1 => Just(None)];
    (nat_matching(), to, translate, prop::bool::weighted(0.25), prop::bool::weighted(0.3)).prop_map(
        |(matching, to, translate, mapping_per_flow, open_filtering)| SourceNat {
            matching: Matching { to, ..matching },
            translate,
            mapping_per_flow,
            open_filtering,
        },
    )
}

fn forward() -> impl Strategy<Value = Forward> {
    let from = prop_oneof![5 => Just(Zone::Wan), 2 => Just(Zone::Lan), 1 => Just(Zone::Dmz)];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let address = prop_oneof![
        3 => Just(None),
        2 => Just(Some("203.0.113.1")),
        1 => Just(Some("203.0.113.2")),
        1 => Just(Some("203.0.113.68")),
        1 => Just(Some("10.1.0.1")),
        1 => Just(Some("192.0.2.77")),
    ];
    let to = select(&["10.1.0.10", "10.1.0.11", "10.2.0.10", "10.2.0.11", "172.16.5.9", "192.0.2.11", "10.3.0.10"][..]);
    let source = prop_oneof![3 => Just(Vec::new()), 1 => vec(select(&ADDRESSES[..13]), 1..3)];
    (
        from,
        protocol,
        address,
        select(&[(22, 22), (22, 80), (80, 443), (53, 8443), (3000, 9000), (8080, 8081)][..]),
        to,
        option::of(select(&PORTS[..])),
        source,
    )
        .prop_map(|(from, protocol, address, ports, to, to_port, source)| Forward {
            from,
            source,
            protocol,
            address,
            ports,
            to,
            to_port,
        })
}

fn change() -> impl Strategy<Value = Change> {
    let action = prop_oneof![Just(Action::Accept), Just(Action::Drop), Just(Action::Reject)];
    prop_oneof![
        1 => Just(Change::Nothing),
        3 => any::<u8>().prop_map(Change::RemoveRule),
        4 => (any::<u8>(), rule()).prop_map(|(at, rule)| Change::InsertRule(at, rule)),
        3 => action.prop_map(Change::Default),
        1 => any::<u8>().prop_map(Change::RemoveSourceNat),
        1 => source_nat().prop_map(Change::InsertSourceNat),
        1 => any::<u8>().prop_map(Change::RemoveForward),
        1 => forward().prop_map(Change::InsertForward),
        1 => (2..LEGS.len(), option::of(zone())).prop_map(|(leg, zone)| Change::Zone(leg, zone)),
        1 => (0..LEGS.len(), validation()).prop_map(|(leg, validation)| Change::Validation(leg, validation)),
    ]
}

/// One step of traffic.
fn step() -> impl Strategy<Value = Step> {
    let source_port = prop_oneof![5 => (0u8..8).prop_map(SourcePort::User), 1 => (0u8..4).prop_map(SourcePort::WellKnown)];
    let stray_port = (8u8..16).prop_map(SourcePort::User);
    prop_oneof![
        10 => open(source_port),
        2 => improper(),
        2 => any::<u8>().prop_map(Step::Again),
        8 => any::<u8>().prop_map(Step::Reply),
        6 => any::<u8>().prop_map(Step::More),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(of, far)| Step::Finish { of, far }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(of, far)| Step::Reset { of, far }),
        3 => (any::<u8>(), any::<u8>(), stray_port).prop_map(|(of, from, source_port)| Step::Stray { of, from, source_port }),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![3 => Just(Transport::Tcp), 3 => Just(Transport::Udp), 1 => Just(Transport::Echo)]
}

/// Senders and targets that can talk.
fn pairs(wanted: impl Fn(u8, u8) -> bool) -> Vec<(u8, u8)> {
    let all = (0..SENDERS.0).flat_map(|from| (0..TARGETS).map(move |to| (from, to)));
    all.filter(|(from, to)| can_talk(*from, *to) && wanted(*from, *to)).collect()
}

fn open(source_port: impl Strategy<Value = SourcePort>) -> impl Strategy<Value = Step> {
    let port = prop_oneof![8 => select(&PORTS[..]).prop_map(DestinationPort::Port), 1 => Just(DestinationPort::Unmapped)];
    let ttl = prop_oneof![12 => Just(64), 1 => Just(1), 1 => Just(2), 1 => Just(255)];
    let ends = prop_oneof![
        // Anybody to anybody, liars to anybody, from the inside to the outside, and from there to where forwards listen.
        5 => select(pairs(|from, _| from < SENDERS.1)),
        1 => select(pairs(|from, _| from >= SENDERS.1)),
        4 => select(pairs(|from, to| from < SENDERS.1 && sender(from).leg == 0 && to < SENDERS.1 && sender(to).leg == 1)),
        6 => select(pairs(|from, to| from < SENDERS.1 && sender(from).leg < 2 && ["203.0.113.1", "203.0.113.2", "203.0.113.68"].contains(&target(to)))),
    ];
    (ends, transport(), source_port, port, ttl).prop_map(|((from, to), transport, source_port, port, ttl)| {
        Step::Open(Open { from, to, transport, source_port, port, ttl, first: First::Proper })
    })
}

/// Nothing begins so: segments of no connection, and replies to no request.
fn improper() -> impl Strategy<Value = Step> {
    use gateway_tests::frames::flag::{ACK, FIN, PSH, RST, SYN};
    let flags = select(vec![ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | ACK]);
    let transport = prop_oneof![3 => Just(Transport::Tcp), 1 => Just(Transport::Echo)];
    let ends = select(pairs(|from, _| from < SENDERS.1));
    (ends, transport, 16u8..24, select(&PORTS[..]), flags).prop_map(|((from, to), transport, slot, port, flags)| {
        let (source_port, port) = (SourcePort::User(slot), DestinationPort::Port(port));
        Step::Open(Open { from, to, transport, source_port, port, ttl: 64, first: First::Improper(flags) })
    })
}
