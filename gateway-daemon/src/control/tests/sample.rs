//! A gateway's state as the tests show it.

use crate::control::view::*;

/// A source NAT flow, a port forward, an echo and an IPv6 flow.
pub fn flows() -> Vec<FlowView> {
    let nat = FlowView {
        family: IpFamily::V4,
        protocol: Protocol::Tcp,
        internal: "10.227.128.11:44312".parse().unwrap(),
        external: Some("192.0.2.10:61002".parse().unwrap()),
        remote: "198.51.100.80:8080".parse().unwrap(),
        original_destination: None,
        from_zone: "overlay".into(),
        to_zone: "pods".into(),
        state: FlowState::Established,
        rule: "to-pods".into(),
        nat_rule: Some("out".into()),
        idle_seconds: 3,
        expires_seconds: 7437,
        packets_original: 12,
        bytes_original: 1_234,
        packets_reply: 10,
        bytes_reply: 14_950,
    };
    let forward = FlowView {
        internal: "10.227.128.11:3389".parse().unwrap(),
        external: None,
        remote: "203.0.113.7:50000".parse().unwrap(),
        original_destination: Some("192.0.2.10:33389".parse().unwrap()),
        from_zone: "onprem".into(),
        to_zone: "overlay".into(),
        state: FlowState::Closing,
        rule: "rdp-in".into(),
        nat_rule: Some("rdp".into()),
        idle_seconds: 61,
        expires_seconds: 179,
        packets_original: 1_500_000,
        bytes_original: 90_000_000,
        packets_reply: 3_000_000,
        bytes_reply: 4_500_000_000,
        ..nat.clone()
    };
    let echo = FlowView {
        protocol: Protocol::Icmp,
        internal: "10.227.128.12:7".parse().unwrap(),
        external: Some("192.0.2.9:7".parse().unwrap()),
        remote: "198.51.100.80:7".parse().unwrap(),
        packets_original: 1,
        bytes_original: 84,
        packets_reply: 1,
        bytes_reply: 84,
        expires_seconds: 57,
        ..nat.clone()
    };
    let six = FlowView {
        family: IpFamily::V6,
        protocol: Protocol::Udp,
        internal: "[2001:db8:1::11]:5353".parse().unwrap(),
        external: None,
        remote: "[2001:db8:2::53]:53".parse().unwrap(),
        state: FlowState::Opening,
        nat_rule: None,
        packets_original: 1,
        bytes_original: 68,
        packets_reply: 0,
        bytes_reply: 0,
        idle_seconds: 0,
        expires_seconds: 120,
        ..nat.clone()
    };
    vec![nat, forward, echo, six]
}

/// Two mappings.
pub fn mappings() -> Vec<MappingView> {
    let first = MappingView {
        protocol: Protocol::Tcp,
        internal: "10.227.128.11:44312".parse().unwrap(),
        external: "192.0.2.10:61002".parse().unwrap(),
        rule: "out".into(),
        age_seconds: 4000,
        idle_seconds: 3,
    };
    let second = MappingView {
        protocol: Protocol::Udp,
        internal: "10.227.128.12:53".parse().unwrap(),
        external: "192.0.2.10:1021".parse().unwrap(),
        age_seconds: 9,
        idle_seconds: 9,
        ..first.clone()
    };
    vec![first, second]
}

/// Drops, a punt, and rules of every action.
pub fn drops() -> DropsView {
    use gateway_ebpf::abi::{DropReason, PassReason, PuntReason, Reason};
    let rule = |rule: &str, action, packets| RuleView { rule: rule.into(), action, packets };
    DropsView {
        reasons: vec![
            ReasonView::new(Reason::Drop(DropReason::RuleDrop), 12),
            ReasonView::new(Reason::Drop(DropReason::Truncated), 0),
            ReasonView::new(Reason::Drop(DropReason::SourceIsSelf), 1_234_567),
            ReasonView::new(Reason::Punt(PuntReason::HopLimit), 3),
            ReasonView::new(Reason::Pass(PassReason::Local), 0),
        ],
        rules: vec![rule("no-smb", RuleAction::Drop, 9), rule("no-telnet", RuleAction::Reject, 3)],
        accepted: vec![rule("to-pods", RuleAction::Accept, 41)],
    }
}

/// A gateway with a tc interface, an XDP interface and one that is missing.
pub fn status() -> StatusView {
    let overlay = InterfaceView {
        name: "eth0".into(),
        ifindex: Some(2),
        zone: Some("overlay".into()),
        state: LinkState::Up,
        mac: Some("02:00:00:00:00:01".into()),
        mtu: Some(1400),
        addresses: vec!["10.227.128.1/24".parse().unwrap(), "2001:db8:1::1/64".parse().unwrap()],
        datapath: Datapath::Tc,
        attach: "tcx".into(),
        reason: "veth: XDP would cost the sender its TSO".into(),
    };
    let pods = InterfaceView {
        name: "eth1".into(),
        ifindex: Some(3),
        zone: Some("pods".into()),
        mac: Some("02:00:00:00:00:02".into()),
        mtu: Some(1500),
        addresses: vec!["192.0.2.10/24".parse().unwrap()],
        datapath: Datapath::XdpTc,
        attach: "native + tcx".into(),
        reason: "the driver has native XDP".into(),
        ..overlay.clone()
    };
    let onprem = InterfaceView {
        name: "eth2".into(),
        ifindex: None,
        zone: Some("onprem".into()),
        state: LinkState::Missing,
        mac: None,
        mtu: None,
        addresses: Vec::new(),
        datapath: Datapath::None,
        attach: String::new(),
        reason: "the interface does not exist; waiting for it".into(),
    };
    let zone = |name: &str, interface: &str| ZoneView { name: name.into(), interfaces: vec![interface.into()] };
    let table = |name: &str, used, capacity| TableView { name: name.into(), used, capacity };
    StatusView {
        instance: "default".into(),
        version: "0.1.0".into(),
        ready: true,
        policy: PolicyView {
            file: "/etc/gateway/policy.toml".into(),
            generation: 3,
            loaded_at: 1_000_000,
            rules: RuleCounts { firewall: 4, nat_source: 2, nat_destination: 1, routes: 0 },
            warnings: vec!["policy.toml:31:1: rule \"late\" can never match: \"to-pods\" takes everything".into()],
            error: None,
        },
        interfaces: vec![overlay, pods, onprem],
        zones: vec![zone("overlay", "eth0"), zone("pods", "eth1"), zone("onprem", "eth2")],
        tables: vec![table("flows-v4", 3, 262_144), table("half-open-v4", 65_536, 65_536)],
        traffic: TrafficView {
            flows_opened: 1_204,
            packets_forwarded: 1_234_567,
            bytes_forwarded: 1_500_000_000,
            packets_dropped: 15,
            packets_punted: 3,
            packets_passed: 88,
        },
        uptime_seconds: 7_440,
    }
}
