//! Flows held against policies by hand.

mod few;
mod random;

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::inventory::{IfIndex, Link};
use crate::model::{AddressSet, Firewall, InterfaceName, Nat, SetIndex};
use crate::policy;

const POLICY: &str = r#"
version = 1
[zones]
lan = ["eth1"]
wan = ["eth0"]
dmz = ["eth2"]
[sets]
servers = ["10.2.0.0/24", "2001:db8:2::/48"]
trusted = ["198.51.100.0/24"]
[[nat.source]]
name = "inside"
from = "lan"
to = "dmz"
translate = "none"
[[nat.source]]
name = "pool"
from = "dmz"
to = "wan"
translate = { addresses = ["203.0.113.10-203.0.113.13"] }
[[nat.source]]
name = "out"
to = "wan"
source = ["10.0.0.0/8"]
translate = "masquerade"
[[nat.destination]]
name = "rdp"
from = "wan"
source = ["@trusted"]
protocol = "tcp"
ports = "33890-33899"
to = "10.2.0.11:3389"
[[nat.destination]]
name = "dns"
from = "wan"
protocol = "udp"
port = 53
address = "203.0.113.53"
to = "10.2.0.53"
[firewall]
default = "drop"
[[firewall.rules]]
name = "no-mail"
from = "lan"
protocol = "tcp"
ports = [25, "465-587"]
action = "reject"
[[firewall.rules]]
name = "ping"
protocol = "icmp"
icmp-type = 8
action = "accept"
[[firewall.rules]]
name = "lan-out"
from = "lan"
action = "accept"
[[firewall.rules]]
name = "dmz-out"
from = "dmz"
to = "wan"
action = "accept"
[[firewall.rules]]
name = "to-servers"
from = "wan"
to = "dmz"
destination = ["@servers"]
action = "accept"
"#;

const EGRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

fn inventory(wan: &[&str]) -> Inventory {
    let link = Link {
        index: IfIndex(2),
        name: InterfaceName("eth0".into()),
        up: true,
        carrier: true,
        mac: None,
        mtu: 1500,
        kind: None,
        bus: None,
        xdp: None,
        addresses: wan.iter().map(|address| address.parse().unwrap()).collect(),
    };
    Inventory { links: [(link.index, link)].into(), ..Inventory::default() }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A line of a table, in the order in which people think of a flow: protocol, zones, source as sent and as it leaves, destination
/// as sent and as it leaves.
struct Line(&'static str, [&'static str; 2], [&'static str; 2], [&'static str; 2], &'static str);

fn check(text: &str, inventory: &Inventory, lines: &[Line]) {
    let model = policy::load("test.toml", text).unwrap_or_else(|report| panic!("{report}")).model;
    let standing = Standing::new(&model, inventory);
    for Line(protocol, zones, source, destination, expected) in lines {
        let zones = zones.map(|name| ZoneName(name.into()));
        let (protocol, icmp_type) = match *protocol {
            "tcp" => (Some(ProtocolMatch::Tcp), None),
            "udp" => (Some(ProtocolMatch::Udp), None),
            "icmp" => (Some(ProtocolMatch::Icmp), Some(8)),
            _ => (None, None),
        };
        let flow = Flow {
            protocol,
            icmp_type,
            source: addr(source[0]),
            destination: addr(destination[0]),
            translated_destination: addr(destination[1]),
            translated_source: addr(source[1]),
            from: &zones[0],
            to: &zones[1],
            egress_address: Some(EGRESS),
        };
        let name = |name: Option<&RuleName>| name.map_or("-", |name| name.0.as_str()).to_owned();
        let ruling = match standing.ask(&flow) {
            Ruling::Accept { rule, destination_nat, source_nat } => {
                format!("accept {} {} {}", name(rule), name(destination_nat), name(source_nat))
            }
            Ruling::End(Cause::Refused(rule)) => format!("refused {}", name(rule)),
            Ruling::End(cause) => format!("{cause:?}"),
        };
        assert_eq!(ruling, *expected, "{flow:?}");
    }
}

#[test]
fn flows_that_the_policy_still_allows_go_on_and_others_end() {
    const WEB: [&str; 2] = ["192.0.2.1:443", "192.0.2.1:443"];
    const HOST: &str = "10.1.0.2:40000";
    const SERVER: &str = "10.2.0.7:40000";
    const RDP: &str = "10.2.0.11:3389";
    const FRIEND: [&str; 2] = ["198.51.100.9:5000", "198.51.100.9:5000"];
    check(
        POLICY,
        &inventory(&["203.0.113.1/24", "203.0.113.2/24", "2001:db8::1/64"]),
        &[
            // Masquerade follows the interface's address.
            Line("tcp", ["lan", "wan"], [HOST, "203.0.113.1:2000"], WEB, "accept lan-out - out"),
            Line("tcp", ["lan", "wan"], [HOST, "203.0.113.2:2000"], WEB, "Source"),
            Line("tcp", ["lan", "wan"], [HOST, HOST], WEB, "Source"),
            // Any address of the pool; the rule before the masquerade wins.
            Line("udp", ["dmz", "wan"], [SERVER, "203.0.113.10:9"], WEB, "accept dmz-out - pool"),
            Line("udp", ["dmz", "wan"], [SERVER, "203.0.113.13:9"], WEB, "accept dmz-out - pool"),
            Line("udp", ["dmz", "wan"], [SERVER, "203.0.113.14:9"], WEB, "Source"),
            // Exempt, and no rule at all: no translation, whatever the port became.
            Line("tcp", ["lan", "dmz"], [HOST, "10.1.0.2:40001"], ["10.2.0.7:80", "10.2.0.7:80"], "accept lan-out - -"),
            Line("tcp", ["lan", "dmz"], [HOST, "203.0.113.1:2000"], ["10.2.0.7:80", "10.2.0.7:80"], "Source"),
            Line("tcp", ["lan", "wan"], ["192.168.0.2:1", "192.168.0.2:1"], WEB, "accept lan-out - -"),
            // Destination ports of the real server, single and in a range.
            Line("tcp", ["lan", "wan"], [HOST, "203.0.113.1:2000"], ["192.0.2.1:25", "192.0.2.1:25"], "refused no-mail"),
            Line("tcp", ["lan", "wan"], [HOST, "203.0.113.1:2000"], ["192.0.2.1:500", "192.0.2.1:500"], "refused no-mail"),
            Line("udp", ["lan", "wan"], [HOST, "203.0.113.1:2000"], ["192.0.2.1:25", "192.0.2.1:25"], "accept lan-out - out"),
            // A port forward to any address of the zone, in step, for whom it is meant.
            Line("tcp", ["wan", "dmz"], FRIEND, ["203.0.113.2:33890", RDP], "accept to-servers rdp -"),
            Line("tcp", ["wan", "dmz"], FRIEND, ["203.0.113.2:33892", "10.2.0.11:3391"], "accept to-servers rdp -"),
            Line("tcp", ["wan", "dmz"], FRIEND, ["203.0.113.2:33892", RDP], "Destination"),
            Line("tcp", ["wan", "dmz"], FRIEND, ["203.0.113.3:33890", RDP], "Destination"),
            Line("tcp", ["wan", "dmz"], ["192.0.2.9:5000", "192.0.2.9:5000"], ["203.0.113.2:33890", RDP], "Destination"),
            Line("tcp", ["lan", "dmz"], FRIEND, ["203.0.113.2:33890", RDP], "Destination"),
            Line("udp", ["wan", "dmz"], FRIEND, ["203.0.113.53:53", "10.2.0.53:53"], "accept to-servers dns -"),
            // To a server behind the gateway by its own address; and one that is no server.
            Line("tcp", ["wan", "dmz"], FRIEND, ["10.2.0.7:80", "10.2.0.7:80"], "accept to-servers - -"),
            Line("tcp", ["wan", "dmz"], FRIEND, ["10.2.1.7:80", "10.2.1.7:80"], "refused -"),
            // Of an echo the ports are the identifier, which source NAT may change.
            Line("icmp", ["lan", "wan"], ["10.1.0.2:7", "203.0.113.1:8"], ["192.0.2.1:7", "192.0.2.1:8"], "accept ping - out"),
            Line("icmp", ["wan", "lan"], ["192.0.2.1:7", "192.0.2.1:7"], ["10.1.0.2:7", "10.1.0.2:7"], "accept ping - -"),
            // A protocol without a name matches what names none.
            Line("gre", ["lan", "dmz"], ["10.1.0.2:0", "10.1.0.2:0"], ["10.2.0.7:0", "10.2.0.7:0"], "accept lan-out - -"),
            Line("gre", ["wan", "lan"], ["192.0.2.1:0", "192.0.2.1:0"], ["10.1.0.2:0", "10.1.0.2:0"], "refused -"),
            // IPv6 is never translated.
            Line("tcp", ["lan", "wan"], ["[2001:db8:1::2]:1", "[2001:db8:1::2]:1"], ["[::9]:1", "[::9]:1"], "accept lan-out - -"),
            Line("tcp", ["wan", "dmz"], ["[::9]:1", "[::9]:1"], ["[2001:db8:2::2]:1", "[2001:db8:2::2]:1"], "accept to-servers - -"),
            Line("tcp", ["wan", "dmz"], ["[::9]:1", "[::9]:1"], ["[2001:db8:3::2]:1", "[2001:db8:3::2]:1"], "refused -"),
            // Interfaces that have left their zone.
            Line("tcp", ["lan", "gone"], [HOST, "203.0.113.1:2000"], WEB, "NoZone"),
            Line("tcp", ["gone", "wan"], [HOST, "203.0.113.1:2000"], WEB, "NoZone"),
        ],
    );
}

#[test]
fn a_forward_without_an_address_to_be_sent_to_forwards_nothing() {
    let friend = ["198.51.100.9:5000", "198.51.100.9:5000"];
    check(POLICY, &inventory(&[]), &[Line("tcp", ["wan", "dmz"], friend, ["203.0.113.2:33890", "10.2.0.11:3389"], "Destination")]);
}

#[test]
fn many_flows_against_many_rules_take_no_minutes() {
    let rule = |n: usize| {
        let name = format!("rule {n}");
        let net = |n: usize| vec![format!("10.{}.{}.0/24", n / 250, n % 250).parse().unwrap()];
        FirewallRule { source: AddressMatch { sets: Vec::new(), prefixes: net(n) }, ..rule_of(&name, Action::Drop) }
    };
    let mut model = model((0..1000).map(rule).collect());
    model.sets =
        vec![AddressSet { name: "large".into(), members: (0..100_000u32).map(|n| IpNet::V4(Ipv4Addr::from(n * 7).into())).collect() }];
    let last = FirewallRule { source: AddressMatch { sets: vec![SetIndex(0)], prefixes: Vec::new() }, ..rule_of("last", Action::Accept) };
    model.firewall.rules.push(last);
    let begun = Instant::now();
    let inventory = Inventory::default();
    let standing = Standing::new(&model, &inventory);
    let (prepared, zone) = (begun.elapsed(), ZoneName("a".into()));
    let mut accepted = 0;
    for n in 0..100_000u32 {
        let source = SocketAddr::new(Ipv4Addr::from(n).into(), 1);
        let accept = matches!(standing.ask(&plain(source, &zone)), Ruling::Accept { .. });
        assert_eq!(accept, n % 7 == 0);
        accepted += u32::from(accept);
    }
    println!("prepared in {prepared:?}, asked in {:?}, {accepted} accepted", begun.elapsed() - prepared);
    assert!(begun.elapsed() < Duration::from_secs(60));
}

fn plain(source: SocketAddr, zone: &ZoneName) -> Flow<'_> {
    let destination = addr("192.0.2.1:80");
    Flow {
        protocol: Some(ProtocolMatch::Tcp),
        icmp_type: None,
        source,
        destination,
        translated_destination: destination,
        translated_source: source,
        from: zone,
        to: zone,
        egress_address: None,
    }
}

fn rule_of(name: &str, action: Action) -> FirewallRule {
    FirewallRule {
        name: RuleName(name.into()),
        from: None,
        to: None,
        source: AddressMatch::default(),
        destination: AddressMatch::default(),
        protocol: None,
        ports: Vec::new(),
        icmp_type: None,
        action,
        log: false,
        rate: None,
    }
}

fn model(rules: Vec<FirewallRule>) -> Model {
    let mut model =
        policy::load("test.toml", "version = 1\n[zones]\na = [\"a0\"]\nb = [\"b0\"]\n").unwrap_or_else(|report| panic!("{report}")).model;
    model.firewall = Firewall { default: Action::Drop, rules };
    model
}
