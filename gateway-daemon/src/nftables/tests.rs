//! Policies as rulesets: the text that is applied.

use super::*;
use crate::inventory::{IfIndex, Link, Mac};
use crate::model::{InterfaceName, RuleName};
use crate::policy;

const ZONES: &str = "version = 1\n[zones]\nlan = [\"lan0\", \"lan.7\"]\nwan = [\"wan0\"]\n";

fn model(text: &str) -> Model {
    policy::load("test.toml", text).unwrap_or_else(|report| panic!("{report}")).model
}

fn inventory(links: &[(&str, &str)]) -> Inventory {
    let link = |(index, (name, address)): (u32, &(&str, &str))| Link {
        index: IfIndex(index),
        name: InterfaceName((*name).to_owned()),
        up: true,
        carrier: true,
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        kind: None,
        bus: None,
        xdp: None,
        addresses: vec![address.parse().unwrap()],
    };
    Inventory { links: (1..).zip(links).map(link).map(|link| (link.index, link)).collect(), ..Inventory::default() }
}

fn ruleset(model: &Model, features: Features) -> Ruleset {
    let mut numbers = Numbers::default();
    numbers.update(model);
    render("t", model, &inventory(&[("eth0", "10.128.0.15/24"), ("wan0", "192.0.2.1/24")]), &numbers, features)
}

/// The rules of a chain, one per line.
#[track_caller]
fn chain(policy: &str, chain: &str) -> Vec<String> {
    let text = ruleset(&model(&format!("{ZONES}{policy}")), Features::default()).print().text;
    let (_, rest) = text.split_once(&format!("\tchain {chain} {{\n")).unwrap_or_else(|| panic!("no chain {chain} in:\n{text}"));
    let (rules, _) = rest.split_once("\n\t}").unwrap();
    rules.lines().map(|line| line.trim().to_owned()).filter(|line| !line.starts_with("type ")).collect()
}

/// An object with its braces.
#[track_caller]
fn object(policy: &str, head: &str) -> String {
    let text = ruleset(&model(&format!("{ZONES}{policy}")), Features::default()).print().text;
    let (_, rest) = text.split_once(&format!("\t{head} {{\n")).unwrap_or_else(|| panic!("no {head} in:\n{text}"));
    rest.split_once("\n\t}").unwrap().0.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_users_own_policy_reads_well() {
    let model = model(include_str!("../../../tests/policies/seed.toml"));
    let text = ruleset(&model, Features::default()).print().text;
    assert_eq!(text, include_str!("tests/seed.nft"), "rendered:\n{text}");
}

#[test]
fn a_rule_is_written_once_or_once_per_family() {
    let policy = "[[firewall.rules]]\nname = \"web\"\nfrom = \"lan\"\nto = \"wan\"\nprotocol = \"tcp\"\nports = [80, \"8000-8010\"]\naction = \"accept\"\n\
                  [[firewall.rules]]\nname = \"ping\"\nprotocol = \"icmp\"\naction = \"drop\"\n\
                  [[firewall.rules]]\nname = \"hosts\"\nsource = [\"10.0.0.1\", \"fd00::/64\"]\nprotocol = \"udp\"\naction = \"accept\"\n";
    assert_eq!(
        chain(policy, "firewall"),
        [
            "iifname @zone_lan oifname \"wan0\" tcp dport { 80, 8000-8010 } counter name \"rule_web\" ct mark set ct mark | 0x00000001 accept comment \"web\"",
            "meta nfproto ipv4 meta l4proto icmp counter name \"rule_ping\" counter name \"drop_rule_drop\" drop comment \"ping\"",
            "meta nfproto ipv6 meta l4proto icmpv6 counter name \"rule_ping\" counter name \"drop_rule_drop\" drop comment \"ping\"",
            "ip saddr 10.0.0.1 meta l4proto udp counter name \"rule_hosts\" ct mark set ct mark | 0x00000003 accept comment \"hosts\"",
            "ip6 saddr fd00::/64 meta l4proto udp counter name \"rule_hosts\" ct mark set ct mark | 0x00000003 accept comment \"hosts\"",
            "counter name \"drop_default_drop\" drop",
        ]
    );
}

#[test]
fn a_rate_is_shared_by_both_families_and_counts_before_it_limits() {
    let policy =
        "[[firewall.rules]]\nname = \"slow\"\nsource = [\"10.0.0.1\", \"fd00::1\"]\naction = \"accept\"\nlog = true\nrate = \"5/minute\"\n";
    assert_eq!(
        chain(policy, "rate_slow"),
        [
            "counter name \"rule_slow\" log prefix \"gateway slow: \" level info limit rate over 5/minute burst 5 packets \
             counter name \"over_rate_slow\" counter name \"drop_rule_rate\" drop comment \"slow\"",
            "ct mark set ct mark | 0x00000001 accept comment \"slow\"",
        ]
    );
    assert_eq!(
        chain(policy, "firewall")[..2],
        ["ip saddr 10.0.0.1 goto rate_slow comment \"slow\"", "ip6 saddr fd00::1 goto rate_slow comment \"slow\""]
    );
}

#[test]
fn rejections_are_resets_or_icmp_and_the_default_is_marked() {
    let policy = "[firewall]\ndefault = \"accept\"\n[[firewall.rules]]\nname = \"no\"\nfrom = \"wan\"\naction = \"reject\"\n";
    assert_eq!(
        chain(policy, "firewall"),
        [
            "iifname \"wan0\" meta l4proto tcp counter name \"rule_no\" counter name \"drop_rule_reject\" reject with tcp reset comment \"no\"",
            "iifname \"wan0\" counter name \"rule_no\" counter name \"drop_rule_reject\" reject with icmpx admin-prohibited comment \"no\"",
            "counter name \"accepted_default\" ct mark set ct mark | 0x0000ffff accept",
        ]
    );
    let rejects = chain("[firewall]\ndefault = \"reject\"\n", "firewall");
    assert_eq!(rejects.len(), 2);
    assert!(rejects.iter().all(|rule| rule.contains("counter name \"drop_default_reject\" reject with")), "{rejects:?}");
}

#[test]
fn the_mark_names_both_zones_for_every_pair_of_interfaces() {
    let map = object("", "map zone_pairs");
    assert!(
        map.starts_with("type ifname . ifname : mark elements = { \"lan0\" . \"lan0\" : 0x01010000, \"lan0\" . \"lan.7\" : 0x01010000,"),
        "{map}"
    );
    assert!(map.contains("\"lan.7\" . \"wan0\" : 0x02010000") && map.contains("\"wan0\" . \"lan0\" : 0x01020000"), "{map}");
}

#[test]
fn policy_sets_are_shared_and_long_lists_become_sets() {
    let hosts: Vec<String> = (0..20).map(|n| format!("\"10.9.{n}.1\"")).collect();
    let policy = format!(
        "[sets]\nmixed = [\"10.1.0.0/16\", \"10.1.2.0/24\", \"fd00::/8\"]\n\
         [[firewall.rules]]\nname = \"a b\"\nsource = [\"@mixed\"]\ndestination = [{0}]\naction = \"accept\"\n\
         [[firewall.rules]]\nname = \"c\"\nsource = [{0}]\ndestination = [\"@mixed\"]\naction = \"accept\"\n",
        hosts.join(",")
    );
    let rules = chain(&policy, "firewall");
    assert!(rules[0].starts_with("ip saddr @set_mixed_v4 ip daddr @list_a_b_v4 "), "{rules:?}");
    assert!(rules[1].starts_with("ip saddr @list_a_b_v4 ip daddr @set_mixed_v4 "), "{rules:?}");
    assert_eq!(rules.len(), 3, "the lists have no IPv6 address, so no IPv6 packet matches");
    assert_eq!(object(&policy, "set set_mixed_v4"), "type ipv4_addr flags interval elements = { 10.1.0.0/16 }");
}

#[test]
fn sources_are_validated_as_each_interface_says() {
    let policy = "[interfaces]\nlan0.source-validation = \"off\"\nwan0.source-validation = \"loose\"\n";
    let rules = chain(policy, "validate");
    let wanted = [
        "fib saddr type { local, broadcast, anycast } counter name \"drop_source_is_self\" drop",
        "iifname \"lan.7\" fib saddr . iif oif missing counter name \"drop_source_validation\" drop",
        "iifname \"wan0\" fib saddr oif missing counter name \"drop_source_validation\" drop",
    ];
    assert_eq!(rules[rules.len() - 3..], wanted);
}

#[test]
fn forwards_of_one_shape_are_one_map() {
    let forward = |name: &str, rest: &str| format!("[[nat.destination]]\nname = \"{name}\"\nfrom = \"wan\"\nprotocol = \"tcp\"\n{rest}\n");
    let policy = [
        forward("a", "address = \"192.0.2.1\"\nport = 80\nto = \"10.0.0.1:8080\""),
        forward("b", "address = \"192.0.2.2\"\nports = \"90-91\"\nto = \"10.0.0.2:190\""),
        forward("c", "port = 22\nto = \"10.0.0.3\""),
        forward("d", "port = 23\nsource = [\"198.51.100.0/24\"]\nto = \"10.0.0.4:2323\""),
        forward("e", "ports = \"1000-1999\"\nto = \"10.0.0.5:1000\""),
        forward("f", "ports = \"3000-3001\"\nsource = [\"198.51.100.1\"]\nto = \"10.0.0.6:4000\""),
    ]
    .concat();
    assert_eq!(
        chain(&policy, "dstnat"),
        [
            "iifname \"wan0\" dnat ip to meta l4proto . ip daddr . th dport map @forwards_wan",
            "iifname \"wan0\" ip daddr @addresses_wan dnat ip to meta l4proto . th dport map @forwards_wan_2 comment \"c\"",
            "iifname \"wan0\" ip saddr 198.51.100.0/24 ip daddr @addresses_wan tcp dport 23 dnat ip to 10.0.0.4:2323 comment \"d\"",
            "iifname \"wan0\" ip daddr @addresses_wan tcp dport 1000-1999 dnat ip to 10.0.0.5 comment \"e\"",
            "iifname \"wan0\" ip saddr 198.51.100.1 ip daddr @addresses_wan meta l4proto tcp dnat ip to tcp dport map @forward_f comment \"f\"",
        ]
    );
    assert_eq!(
        object(&policy, "map forwards_wan"),
        "type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service elements = { \
         tcp . 192.0.2.1 . 80 : 10.0.0.1 . 8080, tcp . 192.0.2.2 . 90 : 10.0.0.2 . 190, tcp . 192.0.2.2 . 91 : 10.0.0.2 . 191 }"
    );
    assert_eq!(object(&policy, "set addresses_wan"), "type ipv4_addr elements = { 192.0.2.1 }");
    assert_eq!(
        object(&policy, "map forward_f"),
        "type inet_service : ipv4_addr . inet_service elements = { 3000 : 10.0.0.6 . 4000, 3001 : 10.0.0.6 . 4001 }"
    );
}

#[test]
fn source_nat_says_addresses_ports_and_mapping() {
    let rule = |name: &str, rest: &str| {
        format!("[[nat.source]]\nname = \"{name}\"\nfrom = \"lan\"\nto = \"wan\"\nsource = [\"10.0.{name}.0/24\"]\n{rest}\n")
    };
    let pool = |addresses: &str, ports: &str| format!("translate = {{ addresses = [{addresses}]{ports} }}");
    let policy = [
        rule("1", "destination = [\"10.0.0.0/8\"]\ntranslate = \"none\""),
        rule("2", "protocol = \"tcp\"\nports = [443]\ntranslate = \"masquerade\"\nmapping = \"address-and-port-dependent\""),
        rule("3", &pool("\"192.0.2.10\"", "")),
        rule("4", &pool("\"192.0.2.10-192.0.2.13\"", ", ports = \"2000-3000\"")),
        rule("5", &pool("\"192.0.2.20\", \"192.0.2.30-192.0.2.31\"", ", ports = \"1024-40000\"")),
        "[[nat.source]]\nname = \"rest\"\ntranslate = \"masquerade\"\n".to_owned(),
    ]
    .concat();
    let hash = "jhash ip saddr mod 3 seed 0x67617465 map { 0 : 192.0.2.20, 1 : 192.0.2.30, 2 : 192.0.2.31 }";
    let zones = "iifname @zone_lan oifname \"wan0\"";
    assert_eq!(
        chain(&policy, "srcnat"),
        [
            format!("{zones} ip saddr 10.0.1.0/24 ip daddr 10.0.0.0/8 accept comment \"1\""),
            format!("{zones} ip saddr 10.0.2.0/24 tcp dport 443 masquerade fully-random comment \"2\""),
            format!("{zones} ip saddr 10.0.3.0/24 snat ip to 192.0.2.10 comment \"3\""),
            format!(
                "{zones} ip saddr 10.0.4.0/24 meta l4proto {{ tcp, udp, icmp }} snat ip to 192.0.2.10-192.0.2.13:2000-3000 persistent comment \"4\""
            ),
            format!("{zones} ip saddr 10.0.5.0/24 meta l4proto {{ tcp, udp }} th sport < 1024 snat ip to {hash} comment \"5\""),
            format!("{zones} ip saddr 10.0.5.0/24 meta l4proto {{ tcp, udp, icmp }} snat ip to {hash}:1024-40000 comment \"5\""),
            "iifname @zone_interfaces meta nfproto ipv4 masquerade comment \"rest\"".to_owned(),
        ]
    );
}

#[test]
fn the_flowtable_is_used_where_there_is_one() {
    let accepting = model(&format!("{ZONES}[firewall]\ndefault = \"accept\"\n"));
    let with = ruleset(&accepting, Features { flowtable: true, ..Features::default() }).print().text;
    assert!(with.contains("devices = { \"wan0\" };"), "only of interfaces that are there: {with}");
    assert!(with.contains("ct state established ct mark & 0x0000ffff != 0x00000000 meta l4proto { tcp, udp } flow add @flows\n"), "{with}");
    assert!(!ruleset(&accepting, Features::default()).print().text.contains("flowtable"));
}

#[test]
fn rules_to_self_are_judged_in_the_input_chain_only() {
    let policy = "[[firewall.rules]]\nname = \"ssh\"\nfrom = \"lan\"\nto = \"self\"\nprotocol = \"tcp\"\nports = [22]\naction = \"accept\"\n\
                  [[firewall.rules]]\nname = \"out\"\nfrom = \"lan\"\nto = \"wan\"\naction = \"accept\"\n\
                  [[firewall.rules]]\nname = \"any\"\nfrom = \"lan\"\naction = \"drop\"\n";
    let input = chain(policy, "input");
    assert_eq!(
        input[5..],
        [
            "iifname @zone_lan tcp dport 22 counter name \"rule_ssh\" accept comment \"ssh\"",
            "iifname @zone_lan counter name \"rule_any\" drop comment \"any\"",
            "counter name \"input_default\" drop",
        ]
    );
    let forwarded = chain(policy, "firewall").join("\n");
    assert!(forwarded.contains("\"out\"") && forwarded.contains("\"any\"") && !forwarded.contains("\"ssh\""), "{forwarded}");
}

#[test]
fn a_refused_line_is_its_rules() {
    let policy = format!(
        "{ZONES}[[nat.destination]]\nname = \"web\"\nfrom = \"wan\"\nprotocol = \"tcp\"\nport = 80\nto = \"10.0.0.1\"\n\
         [[firewall.rules]]\nname = \"first\"\naction = \"accept\"\nprotocol = \"tcp\"\n[[firewall.rules]]\nname = \"no \\\"tcp\\\"\"\naction = \"reject\"\n"
    );
    let printed = ruleset(&model(&policy), Features::default()).print();
    let line =
        |part: &str| 1 + printed.text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {}", printed.text));
    // As nft 1.0.6 says it of a kernel without CONFIG_NFT_REJECT_INET.
    let refused = line("reject with tcp reset");
    let message = format!(
        "/dev/stdin:{refused}:32-52: Error: Could not process rule: No such file or directory\n\t\tmeta l4proto tcp ...\n\t\t   ^^^^^^"
    );
    assert_eq!(refusal::rule(&message, &printed), Some(RuleName("no \"tcp\"".to_owned())));
    let element = line("tcp . 80 : 10.0.0.1 . 80");
    assert_eq!(refusal::rule(&format!("/dev/stdin:{element}:4-9: Error: no"), &printed), Some(RuleName("web".to_owned())));
    assert_eq!(refusal::rule("/dev/stdin:1:1-1: Error: Operation not permitted", &printed), None);
    assert_eq!(refusal::rule("internal:0:0-0: Error: Could not process rule: Operation not permitted", &printed), None);
    // nft has no way to write a quote in a comment.
    assert!(printed.text.contains("comment \"no 'tcp'\""));
}

#[test]
fn counts_go_on() {
    let ruleset = ruleset(&model(ZONES), Features::default());
    let start = [Count { counted: Counted::Flow, packets: 7, bytes: 8_000_000_000 }];
    assert!(
        ruleset
            .print_with(&start)
            .text
            .contains("counter accepted_flow { comment \"packets of accepted flows\"; packets 7 bytes 8000000000 }")
    );
}

#[test]
fn only_differences_that_apply_are_told() {
    let plain = differences(&model(ZONES));
    assert!(!plain.contains(&Difference::OpenFiltering) && !plain.contains(&Difference::Reload), "{plain:?}");
    let rich = model(&format!(
        "{ZONES}[timeouts]\nudp = \"10m\"\n[[nat.source]]\nname = \"open\"\ntranslate = \"masquerade\"\nfiltering = \"endpoint-independent\"\n\
         [[firewall.rules]]\nname = \"out\"\naction = \"accept\"\nlog = true\n"
    ));
    let all = differences(&rich);
    for difference in [Difference::OpenFiltering, Difference::Timeouts, Difference::Log, Difference::Reload, Difference::MasqueradeAddress]
    {
        assert!(all.contains(&difference) && !plain.contains(&difference), "{difference}");
    }
}

#[test]
fn ipv6_between_other_interfaces_stays_unforwarded_where_it_was_turned_on_for_all() {
    let closing = "iifname != @zone_interfaces oifname != @zone_interfaces meta nfproto ipv6 drop";
    let model = model(ZONES);
    let printed = |features| ruleset(&model, features).print().text;
    assert!(!printed(Features::default()).contains(closing));
    let closed = printed(Features { ipv6_everywhere: true, ..Features::default() });
    let place = |text: &str| closed.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{closed}"));
    assert!(place(closing) < place("iifname != @zone_interfaces oifname != @zone_interfaces accept"));
}
