//! The guard table against real packets.

use gateway_daemon::model::{
    Action, AddressMatch, AddressSet, DatapathMode, Firewall, FirewallRule, Model, Nat, PortRange, ProtocolMatch, Rate, RuleName, SetIndex,
    SourceValidation, Timeouts, Zone, ZoneName,
};
use gateway_daemon::nftables::{Counted, guard};
use gateway_daemon::sysctl::{self, Saved};

use crate::namespace::{Peer, name, run, sh, two_hosts};

fn model(rules: Vec<FirewallRule>) -> Model {
    let zone = |letter: &str| Zone { name: ZoneName(letter.to_owned()), interfaces: vec![name(&format!("zone.{letter}"))] };
    let members = ["10.1.0.0/24", "10.1.0.0/25", "fd01::/64", "0.0.0.0/0"].map(|net| net.parse().unwrap()).to_vec();
    Model {
        mode: DatapathMode::Auto,
        flows: 1_000,
        flows_per_host: 100,
        interfaces: std::collections::BTreeMap::new(),
        zones: vec![zone("a"), zone("b")],
        sets: vec![AddressSet { name: "clients".to_owned(), members }],
        routes: Vec::new(),
        nat: Nat::default(),
        firewall: Firewall { default: Action::Drop, rules },
        timeouts: Timeouts::default(),
    }
}

fn rule(rule_name: &str, to: Option<&str>, action: Action) -> FirewallRule {
    FirewallRule {
        name: RuleName(rule_name.to_owned()),
        from: Some(ZoneName("a".to_owned())),
        to: to.map(|zone| ZoneName(zone.to_owned())),
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

async fn packets(model: &Model, counted: Counted) -> u64 {
    let counters = guard::render("test", model).counters().await.unwrap();
    counters.iter().find(|counter| counter.counted == counted).map_or(0, |counter| counter.packets)
}

fn pings(host: &Peer) -> (bool, bool) {
    (host.can("ping -c1 -w3 10.2.0.2"), host.can("ping -6 -c1 -w3 fd02::2"))
}

#[test]
fn without_the_datapath_nothing_is_forwarded() {
    run("without_the_datapath_nothing_is_forwarded", || async {
        let (a, _b) = two_hosts();
        let mut saved = Saved::default();
        let ipv6 = sysctl::forward(&mut saved, &name("zone.a"), SourceValidation::Strict).unwrap().ipv6;
        sysctl::forward(&mut saved, &name("zone.b"), SourceValidation::Strict).unwrap();
        // Somebody's accept rules and somebody's table.
        sh(
            "nft add table inet other; nft add chain inet other f { type filter hook forward priority 0\\; }; nft add rule inet other f accept",
        );
        let foreign = sh("nft list table inet other");
        assert_eq!(pings(&a), (true, ipv6));

        let both = model(Vec::new());
        for _ in 0..2 {
            guard::apply("test", &both).await.unwrap();
        }
        assert_eq!(pings(&a), (false, false));
        assert!(packets(&both, Counted::ForwardedFrom).await >= 1);
        assert!(a.can("ping -c1 -W1 10.1.0.1"), "no rule names self, so the gateway itself is not filtered");
        // The errors for punted packets do not depend on the forward hook.
        assert!(a.sh("ping -c1 -W1 -t1 10.2.0.2 || true").contains("Time to live exceeded"));

        let mut only_b = model(Vec::new());
        only_b.zones.remove(0);
        guard::apply("test", &only_b).await.unwrap();
        assert_eq!(packets(&only_b, Counted::ForwardedTo).await, 0, "replaced, not added to");
        assert_eq!(pings(&a), (false, false));
        assert!(packets(&only_b, Counted::ForwardedTo).await >= 1);

        for _ in 0..2 {
            guard::remove("test").await.unwrap();
        }
        assert_eq!(pings(&a), (true, ipv6));
        assert_eq!(sh("nft list table inet other"), foreign);
        assert_eq!(sh("nft list tables"), "table inet other\n");
        assert!(guard::render("test", &both).counters().await.unwrap().is_empty());
    });
}

#[test]
fn rules_to_self_filter_the_gateway() {
    run("rules_to_self_filter_the_gateway", || async {
        let (a, b) = two_hosts();
        let mut from_clients = rule("ping", Some("self"), Action::Accept);
        from_clients.protocol = Some(ProtocolMatch::Icmp);
        from_clients.icmp_type = Some(8);
        from_clients.source.sets = vec![SetIndex(0)];
        from_clients.log = true;
        let mut refused = rule("refuse", Some("self"), Action::Reject);
        refused.ports = vec![PortRange { first: 80, last: 90 }, PortRange { first: 85, last: 95 }];
        let mut slow = rule("slow", Some("self"), Action::Accept);
        slow.from = None;
        slow.protocol = Some(ProtocolMatch::Udp);
        slow.ports = vec![PortRange { first: 53, last: 53 }];
        slow.rate = Some(Rate { count: 1, per_ms: 3_600_000 });
        slow.destination.prefixes = vec!["10.1.0.1/32".parse().unwrap(), "fd01::1/128".parse().unwrap()];
        let model = model(vec![rule("elsewhere", Some("b"), Action::Accept), from_clients, refused, slow]);
        guard::apply("test", &model).await.unwrap();

        assert!(a.can("ping -c1 -W5 10.1.0.1"));
        assert!(packets(&model, Counted::Rule(RuleName("ping".to_owned()))).await >= 1);
        assert!(!b.can("ping -c1 -W1 10.2.0.1"), "from the other zone");
        assert!(!a.can("ping -6 -c1 -W1 fd01::1"), "type 8 is not ICMPv6's echo request");
        assert!(packets(&model, Counted::Essential).await >= 1, "but neighbour discovery passed");
        assert!(packets(&model, Counted::Default).await >= 2);

        // A refusal comes at once: curl says 7 (refused), not 28 (timed out).
        a.sh("curl -s -m5 http://10.1.0.1:92/ || test $? = 7");
        assert!(packets(&model, Counted::Rule(RuleName("refuse".to_owned()))).await >= 1);

        a.sh("for i in 1 2 3; do echo x | socat - udp:10.1.0.1:53,bind=10.1.0.2 2>/dev/null || true; done");
        assert_eq!(packets(&model, Counted::Rule(RuleName("slow".to_owned()))).await, 3);
        assert_eq!(packets(&model, Counted::OverRate(RuleName("slow".to_owned()))).await, 2);

        // The gateway's own connections, and its loopback, go on.
        assert!(sh("ping -c1 -W5 10.2.0.2; ping -c1 -W5 127.0.0.1").contains("1 received"));
        assert!(packets(&model, Counted::Established).await >= 1);
    });
}

#[test]
fn a_rule_to_any_zone_covers_the_gateway_once_one_names_it() {
    run("a_rule_to_any_zone_covers_the_gateway_once_one_names_it", || async {
        let (a, _b) = two_hosts();
        let anywhere = rule("anywhere", None, Action::Accept);
        guard::apply("test", &model(vec![rule("no", Some("self"), Action::Drop), anywhere.clone()])).await.unwrap();
        assert!(!a.can("ping -c1 -W1 10.1.0.1"), "the first match wins");
        let mut unrelated = rule("no", Some("self"), Action::Drop);
        unrelated.protocol = Some(ProtocolMatch::Tcp);
        guard::apply("test", &model(vec![unrelated, anywhere])).await.unwrap();
        assert!(a.can("ping -c1 -W5 10.1.0.1"));
    });
}

#[test]
fn nfts_own_words_are_shown() {
    run("nfts_own_words_are_shown", || async {
        let mut wrong = model(Vec::new());
        wrong.zones[0].interfaces = vec![name("a-name-of-more-than-15-bytes")];
        let error = guard::apply("test", &wrong).await.unwrap_err().to_string();
        assert!(error.starts_with("nft refused to replace the table gateway_test: ") && error.contains("Error:"), "{error}");
        assert_eq!(sh("nft list tables"), "", "nothing is half applied");
    });
}
