//! The doctor finds what has been planted, names it, says how to mend it, and finds nothing where nothing is.

use std::fs;
use std::time::Duration;

use gateway_tests::gateway::program;
use gateway_tests::lab::{GATEWAY_OVERLAY, ONPREM, SERVER, SERVER_V6};
use gateway_tests::skip::skip;
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, Namespace};
use serde_json::Value;

use crate::bench::in_a_lab;
use crate::machine::Machine;
use crate::policy::Policy;
use crate::traffic::answers;

in_a_lab! {
    a_clean_machine_is_healthy_and_stays_as_it_was
    the_clock_is_judged_by_what_the_kernel_says_and_who_runs
    a_path_that_drops_large_packets_in_silence_is_found
    a_path_that_says_what_it_carries_is_told_to_those_behind_only_by_the_kernel
    a_duplicate_address_is_found_before_it_does_harm
    too_few_queues_are_found
    rules_and_settings_of_others_are_found
    a_masquerade_binding_is_recognised
    a_bridge_binding_is_told_from_a_leg_of_its_own
    a_broken_policy_is_told_from_a_broken_machine
}

/// Longer than any examination, on a machine that compiles beside.
pub const LIMIT: Duration = Duration::from_secs(100);

/// What the doctor said.
pub struct Verdict {
    pub code: Option<i32>,
    pub report: Value,
}

/// Examines the lab's gateway under the seed policy.
pub fn examine(lab: &Lab, more: &[&str]) -> Verdict {
    examine_with(&lab.gateway, Policy::seed().text(), more)
}

fn examine_with(namespace: &Namespace, policy: &str, more: &[&str]) -> Verdict {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    fs::write(&file, policy).unwrap();
    let program = program().unwrap().display().to_string();
    let file = file.display().to_string();
    let words: Vec<&str> = ["doctor", "--json", "--policy", &file].into_iter().chain(more.iter().copied()).collect();
    let process = namespace.spawn(LIMIT, &program, &words).unwrap();
    let status = process.wait(LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", process.output()));
    let report = serde_json::from_str(&process.output()).unwrap_or(Value::Null);
    Verdict { code: status.code(), report }
}

impl Verdict {
    pub fn all(&self) -> &Vec<Value> {
        self.report["findings"].as_array().unwrap_or_else(|| panic!("exit {:?}, no findings: {:#}", self.code, self.report))
    }

    /// What needs something done: `id severity interface`.
    fn ailments(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let ailing = self.all().iter().filter(|finding| finding["severity"] != "note");
        ailing.map(|finding| format!("{} {} {}", text(&finding["id"]), text(&finding["severity"]), text(&finding["interface"]))).collect()
    }

    #[track_caller]
    pub fn is_healthy(&self) {
        assert!(self.ailments().is_empty(), "{:#}", self.report["findings"]);
        assert_eq!((self.code, &self.report["healthy"]), (Some(0), &true.into()));
    }

    /// The one thing that ails it.
    #[track_caller]
    pub fn only(&self, ailment: &str) -> &Value {
        assert_eq!(self.ailments(), [ailment], "{:#}", self.report["findings"]);
        assert_eq!((self.code, &self.report["healthy"]), (Some(1), &false.into()));
        self.all().iter().find(|finding| finding["severity"] != "note").unwrap()
    }

    pub fn note(&self, id: &str) -> Option<&Value> {
        self.all().iter().find(|finding| finding["severity"] == "note" && finding["id"] == id)
    }

    /// What is in order by an examination.
    pub fn good(&self, check: &str) -> String {
        self.outcome(check)["good"].to_string()
    }

    /// What an examination could not look at.
    pub fn skipped(&self, check: &str) -> String {
        self.outcome(check)["skipped"].to_string()
    }

    fn outcome(&self, check: &str) -> &Value {
        self.report["checks"].as_array().unwrap().iter().find(|outcome| outcome["check"] == check).unwrap()
    }

    pub fn leg(&self, interface: &str) -> &Value {
        self.report["legs"].as_array().unwrap().iter().find(|leg| leg["interface"] == interface).unwrap()
    }
}

/// A lab in which nothing is wrong.
pub fn tidy(lab: &Lab) {
    lab.gateway.ip("address add 10.227.128.15/21 dev eth1\nlink set eth1 mtu 1400").unwrap();
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/proxy_arp"] {
        lab.gateway.sysctl(key, "0").unwrap();
    }
    // Known neighbours are who the doctor asks.
    assert!(answers(&lab.gateway, "10.227.128.11"));
}

fn cpus() -> usize {
    // veth offers as many queues as there can be CPUs.
    std::thread::available_parallelism().unwrap().get()
}

fn queues(lab: &Lab, leg: &str, count: usize) {
    let count = count.to_string();
    // ethtool fails where nothing is to be changed.
    let _ = lab.gateway.output("ethtool", &["-L", leg, "rx", &count, "tx", &count]).unwrap();
}

pub fn mac(namespace: &Namespace, interface: &str) -> String {
    let shown = namespace.run("ip", &["link", "show", interface]).unwrap();
    shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().to_owned()
}

pub fn nft(namespace: &Namespace, table: &str) {
    namespace.run("nft", &[table]).unwrap();
}

fn a_clean_machine_is_healthy_and_stays_as_it_was(lab: &Lab) {
    tidy(lab);
    let neighbours = || lab.vm1.run("ip", &["-4", "neigh", "show", GATEWAY_OVERLAY]).unwrap();
    let known = neighbours().split(" ref ").next().unwrap().split_whitespace().take(5).collect::<Vec<_>>().join(" ");
    let before = Machine::of(&lab.gateway);
    let verdict = examine(lab, &["--peer", ONPREM, "--peer", SERVER_V6]);
    verdict.is_healthy();
    Machine::of(&lab.gateway).assert_is(&before);
    assert!(neighbours().starts_with(&known), "{} was {known}", neighbours());
    // It has really looked.
    for leg in ["eth0", "eth1"] {
        assert_eq!(verdict.leg(leg)["port"], "open", "{:#}", verdict.report);
        let good = verdict.good("port-security");
        assert!(good.contains(&format!("{leg}: IPv4 and IPv6 packets from foreign addresses get out")), "{good}");
        assert!(good.contains(&format!("{leg}: IPv4 and IPv6 packets to foreign addresses come in")), "{good}");
        assert!(verdict.good("duplicate-address").contains(&format!("{leg}: nobody else claims ")));
    }
    let paths = verdict.good("path-mtu");
    assert!(paths.contains("fd00:128::1: answers packets of 1500 bytes"), "{paths}");
    assert!(
        paths.contains("10.10.0.10: answers packets of 1500 bytes") && paths.contains("10.227.128.11: answers packets of 1400 bytes"),
        "{paths}"
    );
    assert!(verdict.good("kernel").contains("programs load"));
    // The gateway's own doing is nothing that the doctor complains about.
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    examine(lab, &[]).is_healthy();
    gateway.stop().unwrap();
}

fn the_clock_is_judged_by_what_the_kernel_says_and_who_runs(lab: &Lab) {
    tidy(lab);
    // A service by its name; it does nothing to the clock.
    let directory = tempfile::tempdir().unwrap();
    let daemon = directory.path().join("ntp-daemon");
    fs::copy("/bin/sleep", &daemon).unwrap();
    let service = lab.gateway.spawn(LIMIT, &daemon.display().to_string(), &["100"]).unwrap();
    // Until then it is still the program that enters the namespace.
    let mut process = None;
    wait_until(LIMIT, "the service", || {
        process = service.program_pid().ok().map(|pid| pid.as_raw_nonzero());
        Ok(process.is_some_and(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "ntp-daemon")))
    })
    .unwrap();
    let process = process.unwrap();
    let runs = |verdict: &Verdict| verdict.outcome("clock").to_string().contains(&format!("ntpd-rs runs (process {process}"));
    let verdict = examine(lab, &[]);
    assert!(runs(&verdict), "{:#}", verdict.outcome("clock"));
    assert!(
        verdict.note("clock").is_none_or(|note| note["title"].as_str().unwrap().ends_with(" runs, but has not synchronised the clock yet"))
    );
    service.kill();
    let verdict = examine(lab, &[]);
    assert!(!runs(&verdict), "{:#}", verdict.outcome("clock"));
}

/// Drops what comes from the gateway's side and is larger than this, silently.
fn hole(lab: &Lab, bytes: u32) {
    nft(&lab.pods, "add table inet hole; add chain inet hole c { type filter hook prerouting priority -400; }");
    nft(&lab.pods, &format!("add rule inet hole c iifname pods0 meta length > {bytes} drop"));
}

fn a_path_that_drops_large_packets_in_silence_is_found(lab: &Lab) {
    tidy(lab);
    hole(lab, 1442);
    let verdict = examine(lab, &["--peer", ONPREM]);
    // The same hole on the way to the neighbour and to the host behind it.
    let finding = verdict.only("mtu-black-hole fault eth0");
    assert_eq!(finding["title"], "packets of more than 1442 bytes through eth0 disappear without a word");
    assert!(finding["evidence"].to_string().contains("10.10.0.10 answers pings of up to 1442 bytes"), "{finding:#}");
    assert_eq!(finding["remedies"][0]["text"], "[interfaces.eth0]\nmtu = 1442\n");
    // The remedy mends it.
    let mended = Policy::seed().and("[interfaces.eth0]\nmtu = 1442");
    examine_with(&lab.gateway, mended.text(), &["--peer", ONPREM]).is_healthy();
}

fn a_path_that_says_what_it_carries_is_told_to_those_behind_only_by_the_kernel(lab: &Lab) {
    tidy(lab);
    lab.pods.ip("link set onprem0 mtu 1300").unwrap();
    lab.onprem.ip("link set eth0 mtu 1300").unwrap();
    // The programs drop errors that are to be forwarded; nobody answers at the other address.
    let verdict = examine(lab, &["--peer", ONPREM, "--peer", "10.10.0.99"]);
    assert_eq!(verdict.ailments(), ["peer-silent warning eth0", "path-mtu warning eth0"]);
    let finding = verdict.all().iter().find(|finding| finding["id"] == "path-mtu").unwrap();
    assert!(finding["title"].as_str().unwrap().contains("carries 1300 bytes of the 1500"), "{finding:#}");
    let remedy = finding["remedies"][0]["text"].as_str().unwrap();
    examine_with(&lab.gateway, Policy::seed().and(remedy).text(), &["--peer", ONPREM]).is_healthy();
    let kernel = Policy::seed().and("[datapath]\nmode = \"nftables\"");
    let verdict = examine_with(&lab.gateway, kernel.text(), &["--peer", ONPREM]);
    verdict.is_healthy();
    assert!(verdict.note("path-mtu").is_some(), "{:#}", verdict.report);
}

fn a_duplicate_address_is_found_before_it_does_harm(lab: &Lab) {
    tidy(lab);
    // Not yet on eth1: the policy is what gives it.
    lab.gateway.ip("address del 10.227.128.15/21 dev eth1").unwrap();
    lab.vm2.ip("address add 10.227.128.15/21 dev eth0").unwrap();
    let verdict = examine(lab, &[]);
    let finding = verdict.only("duplicate-address fault eth1");
    assert!(finding["evidence"][0].as_str().unwrap().contains(&mac(&lab.vm2, "eth0")), "{finding:#}");
    assert!(finding["title"].as_str().unwrap().contains("which the policy gives eth1"), "{finding:#}");
    // The policy keeps it, so it is the policy that is to change, to an address that nobody answers for.
    let remedy = finding["remedies"][1]["text"].as_str().unwrap();
    let address = remedy.split('"').nth(1).unwrap();
    assert!(address.starts_with("10.227.1") && address.ends_with("/21") && !address.starts_with("10.227.128.15/"), "{remedy}");
    let mended = Policy::seed().replace("\"10.227.128.15/21\"", &format!("\"{address}\""));
    examine_with(&lab.gateway, mended.text(), &[]).is_healthy();
    // And of IPv6, on the interface already.
    lab.vm2.ip("address del 10.227.128.15/21 dev eth0\naddress add fd00:227::15/64 dev eth0 nodad").unwrap();
    let verdict = examine(lab, &[]);
    let finding = verdict.only("duplicate-address fault eth1");
    assert!(finding["title"].as_str().unwrap().starts_with("fd00:227::15 on eth1"), "{finding:#}");
}

fn too_few_queues_are_found(lab: &Lab) {
    if cpus() < 2 {
        return skip("doctor::too_few_queues_are_found", "needs two CPUs");
    }
    tidy(lab);
    // A tap has one queue, unless it was made for more.
    let policy = Policy::seed().replace("overlay = [\"eth1\"]", "overlay = [\"eth1\"]\nguests = [\"tap7\"]");
    for (options, few) in [("", true), ("multi_queue", false)] {
        lab.gateway.ip(&format!("tuntap add tap7 mode tap {options}\naddress add 192.0.2.1/24 dev tap7\nlink set tap7 up")).unwrap();
        let verdict = examine_with(&lab.gateway, policy.text(), &[]);
        let ailments = verdict.ailments();
        assert_eq!(ailments.contains(&"queues warning tap7".to_owned()), few, "{ailments:?}");
        if few {
            let finding = verdict.all().iter().find(|finding| finding["id"] == "queues" && finding["interface"] == "tap7").unwrap();
            assert_eq!(finding["title"], format!("tap7 has 1 receive queue for {} CPUs", cpus()), "{finding:#}");
            assert!(finding["remedies"][0]["lines"].to_string().contains("mode tap multi_queue"), "{finding:#}");
        }
        lab.gateway.ip(&format!("tuntap del tap7 mode tap {options}")).unwrap();
    }
    // A veth is no reason to worry; who wants its receiving spread is told how.
    for (count, few) in [(1, true), (cpus(), false)] {
        queues(lab, "eth1", count);
        let verdict = examine(lab, &[]);
        verdict.is_healthy();
        let note = verdict.all().iter().find(|finding| finding["id"] == "queues" && finding["interface"] == "eth1");
        assert_eq!(note.is_some(), few, "{:#}", verdict.report["findings"]);
        let remedy = note.map(|note| note["remedies"][0]["lines"][0].as_str().unwrap().to_owned());
        assert!(remedy.is_none_or(|line| line.starts_with(&format!("ethtool -L eth1 rx {}", cpus()))));
    }
}

fn rules_and_settings_of_others_are_found(lab: &Lab) {
    tidy(lab);
    // A hand-made gateway that was here before.
    nft(&lab.gateway, "add table ip nat; add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }");
    nft(&lab.gateway, "add rule ip nat POSTROUTING oifname eth0 masquerade");
    // A host's own firewall stands in nobody's way.
    nft(&lab.gateway, "add table inet host; add chain inet host input { type filter hook input priority 0; policy accept; }");
    nft(&lab.gateway, "add rule inet host input tcp dport 23 drop");
    let verdict = examine(lab, &[]);
    let finding = verdict.only("foreign-rules warning -");
    assert!(finding["title"].as_str().unwrap().contains("table ip nat"), "{finding:#}");
    assert!(finding["remedies"][0]["lines"].to_string().contains("nft delete table ip nat"), "{finding:#}");
    nft(&lab.gateway, "delete table ip nat");
    lab.gateway.sysctl("net/ipv4/ip_forward", "1").unwrap();
    lab.gateway.sysctl("net/ipv4/conf/eth1/proxy_arp", "1").unwrap();
    lab.gateway.sysctl("net/ipv4/conf/eth1/rp_filter", "1").unwrap();
    let verdict = examine(lab, &[]);
    assert_eq!(verdict.ailments(), ["forwards-all warning -", "answers-for-others warning eth1"]);
    assert!(verdict.note("reverse-path").is_none(), "strict is what the policy wants");
    // The policy wants less, and the daemon that sets it does not run yet.
    let loose = Policy::seed().overlay_leg("source-validation = \"loose\"");
    let verdict = examine_with(&lab.gateway, loose.text(), &[]);
    let note = verdict.note("reverse-path").unwrap_or_else(|| panic!("{:#}", verdict.report));
    assert_eq!(
        (&note["interface"], &note["remedies"][0]["lines"][0]),
        (&"eth1".into(), &"sysctl -w net.ipv4.conf.eth1.rp_filter=2".into())
    );
}

fn a_masquerade_binding_is_recognised(lab: &Lab) {
    tidy(lab);
    lab.gateway.ip("address flush dev eth0\naddress add 10.11.0.2/24 dev eth0").unwrap();
    lab.pods.ip("link set pods0 address 02:00:00:00:00:00\naddress add 10.11.0.1/24 dev pods0").unwrap();
    lab.gateway.ip("route add default via 10.11.0.1").unwrap();
    // With addresses of another `vmNetworkCIDR`: the bridge's MAC gives it away.
    let verdict = examine(lab, &[]);
    verdict.is_healthy();
    assert_eq!((&verdict.report["topology"]["letter"], &verdict.leg("eth0")["binding"]), (&"A".into(), &"masquerade".into()));
    assert!(verdict.note("pod-masquerade").is_some());
    // What carries the rest.
    lab.gateway.ip("link add tun7 type vxlan id 7 remote 10.11.0.9 dstport 4789\nlink set tun7 up").unwrap();
    assert_eq!(examine(lab, &[]).report["topology"]["letter"], "B");
    lab.gateway.ip("link del tun7").unwrap();
    // A policy that sends packets there as they are is told that it cannot work.
    let untranslated = Policy::seed().replace("translate = \"masquerade\"", "translate = \"none\"");
    examine_with(&lab.gateway, untranslated.text(), &[]).only("pod-masquerade warning eth0");
}

fn a_bridge_binding_is_told_from_a_leg_of_its_own(lab: &Lab) {
    tidy(lab);
    let letter = || {
        lab.gateway.ip("route replace default via 10.128.0.1").unwrap();
        assert!(answers(&lab.gateway, SERVER));
        examine(lab, &[]).report["topology"]["letter"].clone()
    };
    assert_eq!(letter(), "D", "its port lets everything out");
    // Somebody's pod network that is not OVN's: only what it does tells it.
    let own = lab.gateway.run("cat", &["/sys/class/net/eth0/address"]).unwrap();
    nft(&lab.pods, "add table netdev port; add chain netdev port in { type filter hook ingress device pods0 priority 0; }");
    nft(&lab.pods, &format!("add rule netdev port in ether saddr {} ip saddr != 10.128.0.15 drop", own.trim()));
    nft(&lab.pods, "add rule netdev port in arp operation request arp saddr ip != { 10.128.0.15, 0.0.0.0 } drop");
    assert_eq!(letter(), "C");
    nft(&lab.pods, "delete table netdev port");
    // OVN-Kubernetes' by the MAC that it makes of the address.
    lab.gateway.ip("link set eth0 down\nlink set eth0 address 0a:58:0a:80:00:0f\nlink set eth0 up").unwrap();
    assert_eq!(letter(), "C");
}

fn a_broken_policy_is_told_from_a_broken_machine(lab: &Lab) {
    tidy(lab);
    assert_eq!(examine_with(&lab.gateway, "version = 7\n", &[]).code, Some(2));
    let program = program().unwrap().display().to_string();
    let missing = lab.gateway.output(&program, &["doctor", "--policy", "/nowhere/policy.toml"]).unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/policy.toml: no such file"));
    let renamed = Policy::seed().replace("pods = [\"eth0\"]", "pods = [\"ens3\"]");
    let ailments = examine_with(&lab.gateway, renamed.text(), &[]).ailments();
    assert!(ailments.contains(&"interface-missing fault ens3".to_owned()), "{ailments:?}");
}
