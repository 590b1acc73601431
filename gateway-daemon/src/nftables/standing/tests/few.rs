//! Policies and flows of few values, so that much of them meets.

use proptest::collection::vec as list;

use super::*;
use crate::model::PoolRange;

pub fn address() -> impl Strategy<Value = Ipv4Addr> {
    (0u8..4, 0u8..8).prop_map(|(net, host)| Ipv4Addr::new(10, 0, net, host))
}

pub fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![9 => address().prop_map(IpAddr::V4), 1 => address().prop_map(|address| IpAddr::V6(address.to_ipv6_mapped()))]
}

fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        9 => (address(), 20u8..=32).prop_map(|(address, len)| IpNet::V4(Ipv4Net::new(address, len).unwrap())),
        1 => (address(), 116u8..=128).prop_map(|(address, len)| IpNet::V6(Ipv6Net::new(address.to_ipv6_mapped(), len).unwrap())),
    ]
}

pub fn nets() -> impl Strategy<Value = Vec<IpNet>> {
    proptest::collection::vec(net(), 0..4)
}

fn addresses() -> impl Strategy<Value = AddressMatch> {
    let sets = proptest::collection::vec((0usize..3).prop_map(SetIndex), 0..2);
    prop_oneof![2 => Just(AddressMatch::default()), 1 => (sets, nets()).prop_map(|(sets, prefixes)| AddressMatch { sets, prefixes })]
}

pub fn port() -> impl Strategy<Value = u16> {
    1u16..12
}

fn range() -> impl Strategy<Value = PortRange> {
    (port(), 0u16..4).prop_map(|(first, more)| PortRange { first, last: first + more })
}

pub fn zone() -> impl Strategy<Value = ZoneName> {
    prop_oneof![Just(ZoneName("a".into())), Just(ZoneName("b".into()))]
}

pub fn protocol() -> impl Strategy<Value = Option<ProtocolMatch>> {
    prop_oneof![
        2 => Just(Some(ProtocolMatch::Tcp)), 2 => Just(Some(ProtocolMatch::Udp)), 1 => Just(Some(ProtocolMatch::Icmp)), 1 => Just(None)
    ]
}

fn forward() -> impl Strategy<Value = DestinationNat> {
    let protocol = prop_oneof![Just(ProtocolMatch::Tcp), Just(ProtocolMatch::Udp)];
    (zone(), addresses(), protocol, address(), range(), address(), prop::option::of(port())).prop_map(
        |(from, source, protocol, address, ports, to, to_port)| DestinationNat {
            name: RuleName(format!("{from:?} {address} {ports:?} {to}")),
            from,
            source,
            protocol,
            address: Some(address.into()),
            ports,
            to: to.into(),
            to_port,
        },
    )
}

type Common = (Option<ZoneName>, Option<ZoneName>, AddressMatch, AddressMatch, Option<ProtocolMatch>, Vec<PortRange>);

fn common() -> impl Strategy<Value = Common> {
    let zone = || prop::option::of(zone());
    (zone(), zone(), addresses(), addresses(), protocol(), proptest::collection::vec(range(), 0..3))
}

fn rule() -> impl Strategy<Value = FirewallRule> {
    let action = prop_oneof![3 => Just(Action::Accept), 1 => Just(Action::Drop), 1 => Just(Action::Reject)];
    (common(), prop::option::weighted(0.2, prop_oneof![Just(0u8), Just(8)]), action).prop_map(
        |((from, to, source, destination, protocol, ports), icmp_type, action)| {
            let name = format!("{from:?} {source:?} {ports:?}");
            FirewallRule { from, to, source, destination, protocol, ports, icmp_type, ..rule_of(&name, action) }
        },
    )
}

fn translation() -> impl Strategy<Value = SourceNat> {
    let pool = (address(), address()).prop_map(|(one, other)| Translate::Pool {
        addresses: vec![PoolRange { first: one.min(other), last: one.max(other) }],
        ports: PortRange { first: 1024, last: 65535 },
    });
    let translate = prop_oneof![Just(Translate::None), Just(Translate::Masquerade), pool];
    (common(), translate).prop_map(|((from, to, source, destination, protocol, ports), translate)| SourceNat {
        name: RuleName(format!("{to:?} {destination:?} {translate:?}")),
        from,
        to,
        source,
        destination,
        protocol,
        ports,
        translate,
        mapping: Default::default(),
        filtering: Default::default(),
    })
}

pub fn policy() -> impl Strategy<Value = Model> {
    let sets = list(nets(), 3usize);
    (sets, list(forward(), 0..4), list(rule(), 0..8), list(translation(), 0..4), any::<bool>()).prop_map(
        |(sets, destination, rules, source, open)| {
            let mut model = model(rules);
            model.firewall.default = if open { Action::Accept } else { Action::Drop };
            let name = |(n, members)| AddressSet { name: format!("s{n}"), members };
            model.sets = sets.into_iter().enumerate().map(name).collect();
            model.nat = Nat { source, destination };
            model
        },
    )
}
