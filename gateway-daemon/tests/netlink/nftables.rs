//! The nftables datapath against the running kernel: what is printed is what the kernel has, and packets fare as the policy says.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use gateway_daemon::model::{Model, PortRange, RuleName};
use gateway_daemon::netlink::Observer;
use gateway_daemon::nftables::{self, Counted, Features, NftError, Ruleset, Shape};
use gateway_daemon::nftables::{AcceptedBy, Mark};
use gateway_daemon::plan::Numbers;
use gateway_daemon::sysctl::{self, Saved};
use gateway_ebpf::abi::DropReason;

use crate::namespace::{name, run, sh, two_hosts};

const POLICY: &str = r#"
version = 1
datapath.mode = "nftables"

[zones]
a = ["zone.a"]
b = ["zone.b"]

[sets]
clients = ["10.1.0.0/24", "10.1.0.0/25", "fd01::/64"]

[[nat.source]]
name = "a to b"
from = "a"
to = "b"
source = ["@clients"]
translate = "masquerade"

[[nat.destination]]
name = "web"
from = "b"
protocol = "tcp"
port = 8080
to = "10.1.0.2:80"

[[firewall.rules]]
name = "ping \"out\""
from = "a"
to = "b"
protocol = "icmp"
icmp-type = 8
action = "accept"

[[firewall.rules]]
name = "web in"
from = "b"
to = "a"
destination = ["10.1.0.2"]
protocol = "tcp"
ports = [80]
action = "accept"

[[firewall.rules]]
name = "no telnet"
source = ["@clients"]
protocol = "tcp"
ports = [23]
action = "reject"

[[firewall.rules]]
name = "datagrams"
source = ["@clients"]
protocol = "udp"
action = "accept"
rate = "1/hour"
"#;

fn model(text: &str) -> Model {
    gateway_daemon::policy::load("test.toml", text).unwrap_or_else(|report| panic!("{report}")).model
}

async fn render(model: &Model) -> (Ruleset, Numbers) {
    let observer = Observer::start().await.unwrap();
    let mut numbers = Numbers::default();
    numbers.update(model);
    let features = Features::probe().await.unwrap();
    (nftables::render("test", model, observer.inventory(), &numbers, features), numbers)
}

fn rule(rule: &str) -> Counted {
    Counted::Rule(RuleName(rule.to_owned()))
}

async fn packets(ruleset: &Ruleset, counted: Counted) -> u64 {
    let counters = ruleset.counters().await.unwrap();
    counters.iter().find(|counter| counter.counted == counted).map_or(0, |counter| counter.packets)
}

/// Asserts that the kernel has every object of the ruleset, and gives what nft lists of it.
fn assert_complete(ruleset: &Ruleset) -> Vec<serde_json::Value> {
    let list: serde_json::Value = serde_json::from_str(&sh("nft -j list table inet gateway_test")).unwrap();
    let listed = list["nftables"].as_array().unwrap();
    let wanted = serde_json::to_value(ruleset.objects().collect::<Vec<_>>()).unwrap();
    let count = |objects: &[serde_json::Value], kind: &str| objects.iter().filter(|object| object.get(kind).is_some()).count();
    for kind in ["chain", "rule", "set", "map", "counter"] {
        assert_eq!(count(listed, kind), count(wanted.as_array().unwrap(), kind), "{kind}");
    }
    listed.clone()
}

#[test]
fn packets_fare_as_the_policy_says() {
    run("packets_fare_as_the_policy_says", || async {
        let (a, b) = two_hosts();
        sh("ip link add out type bridge; ip link set out up; ip addr add 10.3.0.1/24 dev out");
        let mut saved = Saved::default();
        let model = model(POLICY);
        for zone in ["zone.a", "zone.b"] {
            sysctl::forward(&mut saved, &name(zone), Default::default()).unwrap();
        }
        let (ruleset, numbers) = render(&model).await;
        ruleset.apply(&[]).await.unwrap();
        assert_complete(&ruleset);

        assert!(a.can("ping -c2 -i0.2 -w5 10.2.0.2"));
        assert_eq!(packets(&ruleset, rule("ping \"out\"")).await, 1, "a flow is judged by its first packet");
        assert!(packets(&ruleset, Counted::Flow).await >= 3);
        let tracked = sh("conntrack -L -p icmp 2>/dev/null");
        assert!(tracked.contains("src=10.1.0.2 dst=10.2.0.2") && tracked.contains("src=10.2.0.2 dst=10.2.0.1"), "masqueraded: {tracked}");
        let mark = tracked.split_once("mark=").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        let zone = |zone: &str| numbers.zone(Some(&gateway_daemon::model::ZoneName(zone.to_owned())));
        let number = numbers.rule(&RuleName("ping \"out\"".to_owned()));
        assert_eq!(Mark(mark), Mark::new(AcceptedBy::Rule(number), zone("a"), zone("b")));
        assert!(!b.can("ping -c1 -W1 10.1.0.2"), "the other way there is no rule");
        assert!(packets(&ruleset, Counted::Reason(DropReason::DefaultDrop)).await >= 1);

        a.sh("timeout 20 socat tcp-listen:80,fork,reuseaddr system:\"echo served\" >/dev/null 2>&1 &");
        assert_eq!(b.sh("socat -T5 - tcp:10.2.0.1:8080,retry=50,interval=0.1 </dev/null"), "served\n");
        assert!(packets(&ruleset, rule("web in")).await >= 1);

        a.sh("curl -s -m5 http://10.2.0.2:23/ || test $? = 7");
        assert_eq!(packets(&ruleset, rule("no telnet")).await, 1);
        assert_eq!(packets(&ruleset, Counted::Reason(DropReason::RuleReject)).await, 1);

        // The first flow passes, also its second, unanswered packet; the second flow, of the other family, is over the rate of both.
        a.sh("for i in 1 2; do echo x | socat - udp:10.2.0.2:5353,bind=10.1.0.2:7777,reuseaddr 2>/dev/null || true; done");
        a.sh("echo x | socat - udp6:[fd02::2]:5353 2>/dev/null || true");
        assert_eq!(packets(&ruleset, rule("datagrams")).await, 2);
        assert_eq!(packets(&ruleset, Counted::OverRate(RuleName("datagrams".to_owned()))).await, 1);
        assert_eq!(packets(&ruleset, Counted::Reason(DropReason::RuleRate)).await, 1);

        a.sh("ip addr add 10.9.9.9/32 dev host.a");
        for (command, reason) in
            [("ping -c1 -W1 -I 10.9.9.9 10.2.0.2", DropReason::SourceValidation), ("ping -c1 -W1 10.3.0.2", DropReason::NoZone)]
        {
            assert!(!a.can(command), "{command}");
            assert_eq!(packets(&ruleset, Counted::Reason(reason)).await, 1, "{reason:?}");
        }
        assert!(a.can("ping -c1 -W5 10.1.0.1"), "no rule names self, so the gateway itself is not filtered");
        assert!(a.sh("ping -c1 -W1 -t1 10.2.0.2 || true").contains("Time to live exceeded"));

        // The same again, with the counts.
        let before = ruleset.counters().await.unwrap();
        ruleset.apply(&before).await.unwrap();
        assert!(packets(&ruleset, rule("ping \"out\"")).await >= 1);
        nftables::remove("test").await.unwrap();
        assert_eq!(sh("nft list tables"), "");
        assert!(ruleset.counters().await.unwrap().is_empty());
    });
}

#[test]
fn a_refused_ruleset_leaves_the_old_one_and_names_the_rule() {
    run("a_refused_ruleset_leaves_the_old_one_and_names_the_rule", || async {
        sh("ip link add zone.a type bridge; ip link add zone.b type bridge");
        let mut model = model(POLICY);
        let (ruleset, _) = render(&model).await;
        ruleset.apply(&[]).await.unwrap();
        let before = sh("nft list table inet gateway_test");

        // Nothing that a policy can say; nft refuses it as it would what a kernel lacks.
        model.firewall.rules[2].ports = vec![PortRange { first: 90, last: 80 }];
        let error = render(&model).await.0.apply(&[]).await.unwrap_err();
        let NftError::Refused { rule, message, .. } = &error else { panic!("{error}") };
        assert_eq!(*rule, Some(RuleName("no telnet".to_owned())), "{message}");
        assert!(message.starts_with("/dev/stdin:") && message.contains("tcp dport 90-80"), "{message}");
        assert!(
            error.to_string().starts_with("nft refused to replace the table gateway_test because of the rule \"no telnet\": "),
            "{error}"
        );
        assert_eq!(sh("nft list table inet gateway_test"), before);
    });
}

#[test]
fn another_owner_of_the_table_is_told_of() {
    run("another_owner_of_the_table_is_told_of", || async {
        // nft -i keeps its netlink socket, and with it the table, until its input ends.
        let mut owner = std::process::Command::new("nft")
            .arg("-i")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut input = owner.stdin.take().unwrap();
        input.write_all(b"add table inet gateway_test { flags owner; }\n").unwrap();
        input.flush().unwrap();
        let owned = async {
            while !sh("nft list tables").contains("gateway_test") {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), owned).await.expect("the table is there");
        let (ruleset, _) = render(&model(POLICY)).await;
        let error = ruleset.apply(&[]).await.unwrap_err();
        let NftError::Refused { rule: None, message, .. } = &error else { panic!("{error}") };
        assert!(message.contains("Operation not permitted"), "{message}");
        drop(input);
        owner.wait().unwrap();
        ruleset.apply(&[]).await.unwrap();
        assert_complete(&ruleset);
    });
}

#[test]
fn ten_thousand_rules_and_a_hundred_thousand_members_are_applied() {
    run("ten_thousand_rules_and_a_hundred_thousand_members_are_applied", || async {
        let mut text = String::from("version = 1\ndatapath.mode = \"nftables\"\n[zones]\na = [\"zone.a\"]\nb = [\"zone.b\"]\n[sets]\n");
        for set in 0..10 {
            // Every second address, so that none can be joined.
            let members = (0..10_000).map(|n: u32| format!("\"10.{set}.{}.{}\"", n >> 7, (n & 127) * 2));
            writeln!(text, "s{set} = [{}]", members.collect::<Vec<_>>().join(",")).unwrap();
        }
        for n in 0..10_000 {
            writeln!(text, "[[firewall.rules]]\nname = \"rule {n}\"\nfrom = \"a\"\nto = \"b\"\nsource = [\"@s{}\"]", n % 10).unwrap();
            writeln!(text, "protocol = \"tcp\"\nports = [{}]\naction = \"accept\"", n + 1).unwrap();
        }
        let mut watch = Watch(Instant::now());
        let model = model(&text);
        watch.lap("checked");
        let (ruleset, _) = render(&model).await;
        watch.lap("rendered");
        let length = ruleset.print().text.len();
        watch.lap(&format!("printed ({length} bytes)"));
        ruleset.apply(&[]).await.unwrap();
        watch.lap("applied");
        assert_eq!(ruleset.counters().await.unwrap().len(), ruleset.objects().filter(is_counter).count());
        watch.lap("counters read");
        let listed = assert_complete(&ruleset);
        let members: usize = listed.iter().filter_map(|object| object["set"]["elem"].as_array()).map(Vec::len).sum();
        assert_eq!(members, 100_000 + 2, "and the two zone interfaces");
        ruleset.apply(&[]).await.unwrap();
        watch.lap("listed, and applied once more");
    });
}

#[test]
fn every_form_of_rule_is_taken_by_the_kernel() {
    run("every_form_of_rule_is_taken_by_the_kernel", || async {
        let model = model(include_str!("every_form.toml"));
        for name in model.zones.iter().flat_map(|zone| &zone.interfaces).take(3) {
            sh(&format!("ip link add {} type bridge; ip addr add 192.0.2.1/24 dev {}", name.0, name.0));
        }
        let (ruleset, _) = render(&model).await;
        ruleset.apply(&[]).await.unwrap_or_else(|error| panic!("{error}\n{}", ruleset.print().text));
        assert_complete(&ruleset);
        assert!(Shape::of("test").await.unwrap().unwrap().may_be_of(&ruleset), "somebody else's, it seems");
        sh("nft flush table inet gateway_test");
        assert!(!Shape::of("test").await.unwrap().unwrap().may_be_of(&ruleset), "an emptied table passes for ours");
        ruleset.apply(&[]).await.unwrap();
        let before = sh("nft list table inet gateway_test");
        ruleset.apply(&[]).await.unwrap();
        assert_eq!(sh("nft list table inet gateway_test"), before);
    });
}

fn is_counter(object: &&impl serde::Serialize) -> bool {
    serde_json::to_value(object).unwrap().get("counter").is_some()
}

/// Prints how long each step took.
struct Watch(Instant);

impl Watch {
    fn lap(&mut self, step: &str) {
        let mut console = std::io::stderr();
        writeln!(console, "{step}: {} ms", self.0.elapsed().as_millis()).unwrap();
        self.0 = Instant::now();
    }
}
