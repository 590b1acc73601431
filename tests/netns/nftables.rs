//! The third datapath, where it differs from the others: a ruleset that stands by itself, flows that are conntrack's, and the way from one
//! datapath to another while traffic runs.

use std::time::Duration;

use gateway_tests::gateway::{Start, program, unique_instance};
use gateway_tests::lab::{ONPREM, SERVER, SERVER_V6};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{Mode, in_a_lab};
use crate::machine::Machine;
use crate::policy::Policy;
use crate::traffic::{PATIENCE, accept, answers, ask, connect, is_silent, listen, talk, udp};

in_a_lab! {
    the_ruleset_is_taken_away_at_the_end
    what_the_kernel_forwarded_before_begins_anew_under_the_policy
    a_ruleset_that_somebody_flushed_is_put_back
    a_crash_leaves_the_filter_in_force_and_the_next_start_goes_on_with_the_flows
    counters_go_on_through_a_reload
    connections_survive_the_way_to_nftables_and_back
    what_is_lost_on_the_way_is_said
    a_policy_that_changes_with_the_datapath_cuts_what_it_refuses
    a_kernel_that_refuses_the_programs_gets_nftables_and_status_says_why
    a_datapath_that_is_asked_for_by_name_is_not_replaced
    differences_are_shown
    the_rendered_ruleset_works_without_the_daemon
    a_refused_ruleset_leaves_the_old_one_in_force
}

fn nftables() -> Policy {
    Policy::seed().mode(Mode::Nftables)
}

fn table(lab: &Lab, gateway: &Gateway<'_>) -> String {
    let name = format!("gateway_{}", gateway.instance().replace('-', "_2d"));
    lab.gateway.run("nft", &["list", "table", "inet", &name]).unwrap()
}

fn the_ruleset_is_taken_away_at_the_end(lab: &Lab) {
    let before = Machine::of(&lab.gateway);
    let gateway = Gateway::start(&lab.gateway, nftables().text()).unwrap();
    assert!(answers(&lab.vm1, SERVER) && answers(&lab.vm1, SERVER_V6));
    assert!(table(lab, &gateway).contains("comment \"windows masquerade\""));
    gateway.stop().unwrap();
    Machine::of(&lab.gateway).assert_is(&before);
    assert!(is_silent(&lab.vm1, SERVER));
}

fn what_the_kernel_forwarded_before_begins_anew_under_the_policy(lab: &Lab) {
    lab.forward_by_kernel().unwrap();
    // Somebody's rule that asks for connection tracking, and nothing else.
    lab.gateway.run("nft", &["add table inet mine { chain c { type filter hook forward priority 0; ct state new accept; } ; }"]).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let server = udp(&lab.pods, "10.128.0.1:5001");
    assert_eq!(ask(&client, &server, "10.128.0.1:5001").to_string(), "10.227.128.11:4000");
    let _gateway = Gateway::start(&lab.gateway, nftables().text()).unwrap();
    assert_eq!(ask(&client, &server, "10.128.0.1:5001").ip().to_string(), "10.128.0.15", "translated, as the policy says");
}

fn a_ruleset_that_somebody_flushed_is_put_back(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, nftables().text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, seen) = accept(&listener);
    for command in [&["flush", "ruleset"][..], &["flush", "table", "inet", &format!("gateway_{}", gateway.instance().replace('-', "_2d"))]]
    {
        lab.gateway.run("nft", command).unwrap();
        wait_until(PATIENCE, "the ruleset to be back", || {
            Ok(lab.gateway.run("nft", &["list", "ruleset"])?.contains("comment \"windows masquerade\""))
        })
        .unwrap();
    }
    assert!(gateway.log().contains("put back"), "{}", gateway.log());
    talk(&mut client, &mut accepted).unwrap();
    let mut another = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, again) = accept(&listener);
    assert_eq!(again.ip(), seen.ip());
    talk(&mut another, &mut accepted).unwrap();
    // Other people's changes are theirs.
    lab.gateway.run("nft", &["add table inet mine { chain c { type filter hook input priority 0; } ; }"]).unwrap();
    assert!(answers(&lab.vm2, SERVER));
    assert!(lab.gateway.run("nft", &["list", "tables"]).unwrap().contains("table inet mine"));
}

fn a_crash_leaves_the_filter_in_force_and_the_next_start_goes_on_with_the_flows(lab: &Lab) {
    let policy = nftables();
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&listener);
    gateway.crash().unwrap();
    talk(&mut client, &mut accepted).unwrap();
    assert!(answers(&lab.vm1, SERVER), "what is allowed goes on");
    assert!(is_silent(&lab.pods, "10.227.128.12"), "and what is not does not");
    let again = Gateway::start_as(&lab.gateway, &Start { instance: Some(gateway.instance()), ..Start::policy(policy.text()) }).unwrap();
    talk(&mut client, &mut accepted).unwrap();
    let flows = again.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["protocol"] == "tcp").unwrap_or_else(|| panic!("{flows:#?}"));
    assert_eq!((&flow["rule"], &flow["nat_rule"]), (&"overlay to pods".into(), &"windows masquerade".into()));
    again.stop().unwrap();
}

fn counters_go_on_through_a_reload(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, nftables().text()).unwrap();
    assert!(answers(&lab.vm1, SERVER) && answers(&lab.vm2, SERVER));
    assert_eq!(gateway.rule("overlay to pods").unwrap(), 2);
    let lines = "from = \"overlay\"\nprotocol = \"udp\"\naction = \"drop\"";
    gateway.reload(nftables().first_rule("no datagrams", lines).text()).unwrap();
    assert_eq!(gateway.rule("overlay to pods").unwrap(), 2);
    assert!(answers(&lab.vm1, SERVER));
    assert_eq!(gateway.rule("overlay to pods").unwrap(), 3);
    let status = gateway.status().unwrap();
    assert!(status["traffic"]["packets_forwarded"].as_u64() >= Some(6), "{:#}", status["traffic"]);
    assert_eq!(status["traffic"]["flows_opened"], 3);
}

/// A connection out, one in through the port forward, one of IPv6: all must live through every change of datapath.
fn connections_survive_the_way_to_nftables_and_back(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(Mode::Tc).text()).unwrap();
    let out = listen(&lab.pods, "10.128.0.1:8080");
    let desktop = listen(&lab.vm1, "10.227.128.11:3389");
    let six = listen(&lab.pods, "[fd00:128::1]:8080");
    let mut pairs = Vec::new();
    for (from, to, listener) in
        [(&lab.vm1, "10.128.0.1:8080", &out), (&lab.onprem, "10.128.0.15:33890", &desktop), (&lab.vm2, "[fd00:128::1]:8080", &six)]
    {
        let mut client = connect(from, to);
        let (mut accepted, seen) = accept(listener);
        talk(&mut client, &mut accepted).unwrap();
        pairs.push((client, accepted, seen));
    }
    let datagrams = udp(&lab.vm1, "10.227.128.11:4000");
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let seen = ask(&datagrams, &server, "10.128.0.1:5001");
    for mode in [Mode::Nftables, Mode::Tc, Mode::Nftables, Mode::Xdp] {
        gateway.reload(Policy::seed().mode(mode).text()).unwrap();
        assert_eq!(gateway.interface("eth0").unwrap()["datapath"], mode.datapath());
        for (client, accepted, _) in &mut pairs {
            for _ in 0..3 {
                talk(client, accepted).unwrap_or_else(|error| panic!("in mode {mode:?}: {error}\n{}", gateway.log()));
            }
        }
        // The other way round first: what comes back finds its mapping.
        gateway_tests::wait::wait_until(PATIENCE, "the datagram's way back", || {
            crate::traffic::send(&server, &seen.to_string(), "unasked");
            let (text, from) = crate::traffic::receive(&datagrams);
            Ok((text.as_str(), from.to_string().as_str()) == ("unasked", "10.128.0.1:5001"))
        })
        .unwrap();
        assert_eq!(ask(&datagrams, &server, "10.128.0.1:5001"), seen, "the same external endpoint in mode {mode:?}");
        let flows = gateway.flows().unwrap();
        assert_eq!(flows.iter().filter(|flow| flow["protocol"] == "tcp").count(), 3, "in mode {mode:?}: {flows:#?}");
        let forwarded = flows.iter().find(|flow| flow["original_destination"] == "10.128.0.15:33890").unwrap();
        assert_eq!((&forwarded["rule"], &forwarded["nat_rule"]), (&"rdp from on-prem".into(), &"rdp to app01".into()));
        assert_eq!(forwarded["remote"], pairs[1].2.to_string());
        // And new ones begin.
        assert!(answers(&lab.vm2, ONPREM));
    }
}

fn what_is_lost_on_the_way_is_said(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(Mode::Tc).text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&listener);
    talk(&mut client, &mut accepted).unwrap();
    gateway.reload(nftables().text()).unwrap();
    gateway.wait_log("nftables forwards now: 1 of 1 established flows go on").unwrap();
    gateway.reload(Policy::seed().mode(Mode::Tc).text()).unwrap();
    gateway.wait_log("eBPF forwards now: 1 of 1 established flows go on").unwrap();
    // Nothing of the other datapath is left.
    assert!(!table(lab, &gateway).contains("srcnat"));
    assert_eq!(lab.gateway.run("conntrack", &["-C"]).unwrap().trim(), "0");
}

fn a_policy_that_changes_with_the_datapath_cuts_what_it_refuses(lab: &Lab) {
    let lines = "from = \"overlay\"\nto = \"pods\"\nprotocol = \"tcp\"\nports = [\"8081\"]\naction = \"drop\"";
    for (before, after) in [(Mode::Tc, Mode::Nftables), (Mode::Nftables, Mode::Tc)] {
        let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(before).text()).unwrap();
        let (allowed, refused) = (listen(&lab.pods, "10.128.0.1:8080"), listen(&lab.pods, "10.128.0.1:8081"));
        let (mut kept, mut cut) = (connect(&lab.vm1, "10.128.0.1:8080"), connect(&lab.vm1, "10.128.0.1:8081"));
        let ((mut kept_end, _), (mut cut_end, _)) = (accept(&allowed), accept(&refused));
        talk(&mut kept, &mut kept_end).unwrap();
        talk(&mut cut, &mut cut_end).unwrap();
        gateway.reload(Policy::seed().mode(after).first_rule("no more", lines).text()).unwrap();
        talk(&mut kept, &mut kept_end).unwrap();
        cut_end.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        talk(&mut cut, &mut cut_end).expect_err("no byte of it arrives");
        gateway.stop().unwrap();
    }
}

/// Root as far as networking goes, without CAP_BPF and CAP_SYS_ADMIN, as in a container.
const WITHOUT_BPF: [&str; 2] = ["setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon"];

fn a_kernel_that_refuses_the_programs_gets_nftables_and_status_says_why(lab: &Lab) {
    let environment = WITHOUT_BPF.map(str::to_owned);
    let policy = Policy::seed();
    let gateway = Gateway::start_as(&lab.gateway, &Start { environment: &environment, ..Start::policy(policy.text()) }).unwrap();
    assert!(answers(&lab.vm1, SERVER) && is_silent(&lab.pods, "10.227.128.12"));
    let leg = gateway.interface("eth1").unwrap();
    assert_eq!(leg["datapath"], "nftables");
    let reason = leg["reason"].as_str().unwrap();
    assert!(reason.contains("auto") && reason.contains("BPF"), "{reason}");
    // Another policy changes nothing about that.
    gateway.reload(Policy::seed().first_rule("no datagrams", "from = \"overlay\"\nprotocol = \"udp\"\naction = \"drop\"").text()).unwrap();
    assert!(answers(&lab.vm1, SERVER));
}

fn a_datapath_that_is_asked_for_by_name_is_not_replaced(lab: &Lab) {
    let environment = WITHOUT_BPF.map(str::to_owned);
    let policy = Policy::seed().mode(Mode::Tc);
    let gateway = Gateway::launch(&lab.gateway, &Start { environment: &environment, ..Start::policy(policy.text()) }).unwrap();
    assert_eq!(gateway.wait_end().unwrap().code(), Some(1));
    assert!(gateway.log().contains("CAP_BPF"), "{}", gateway.log());

    // At a reload the old policy stays in force, and says so.
    let gateway =
        Gateway::start_as(&lab.gateway, &Start { environment: &environment, ..Start::policy(nftables().text().to_owned().leak()) });
    let gateway = gateway.unwrap();
    gateway.replace_policy(policy.text()).unwrap();
    wait_until(PATIENCE, "the refusal", || {
        Ok(gateway.status()?["policy"]["error"].as_str().is_some_and(|error| error.contains("CAP_BPF")))
    })
    .unwrap();
    assert_eq!(gateway.generation().unwrap(), 1);
    assert!(answers(&lab.vm1, SERVER));
}

fn differences_are_shown(lab: &Lab) {
    let policy = nftables().replace("translate = \"masquerade\"", "translate = \"masquerade\"\nfiltering = \"endpoint-independent\"");
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let status = gateway.status().unwrap();
    let warnings: Vec<&str> = status["policy"]["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(warnings.iter().any(|text| text.contains("filtering")), "{warnings:#?}");
}

fn the_rendered_ruleset_works_without_the_daemon(lab: &Lab) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), Policy::seed().text()).unwrap();
    lab.forward_by_kernel().unwrap();
    let instance = unique_instance();
    let path = file.path().display().to_string();
    let program = program().unwrap().display().to_string();
    let ruleset = lab.gateway.run(&program, &["render", "nftables", &path, "--instance", &instance]).unwrap();
    for name in ["windows masquerade", "rdp to app01", "rdp from on-prem", "overlay to pods"] {
        assert!(ruleset.contains(&format!("comment \"{name}\"")), "{name} is not in\n{ruleset}");
    }
    let rendered = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(rendered.path(), &ruleset).unwrap();
    lab.gateway.run("nft", &["-f", &rendered.path().display().to_string()]).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    let desktop = listen(&lab.vm1, "10.227.128.11:3389");
    let mut client = connect(&lab.onprem, "10.128.0.15:33890");
    let (mut accepted, seen) = accept(&desktop);
    assert_eq!(seen, client.local_addr().unwrap());
    talk(&mut client, &mut accepted).unwrap();
    assert!(is_silent(&lab.pods, "10.227.128.12"));
}

/// An nft in front of the real one, which it asks about a ruleset with a word that nft does not know in the lines of one rule, as soon as
/// the file beside it is there: a ruleset that an older nft refuses.
const OLDER_NFT: &str = r#"#!/bin/sh
if [ -e "${0%/*}/older" ] && [ "$*" = "-f -" ]; then
    sed '/comment "no datagrams"/ s/udp/udpnext/' | /usr/sbin/nft -f -
else
    exec /usr/sbin/nft "$@"
fi
"#;

fn a_refused_ruleset_leaves_the_old_one_in_force(lab: &Lab) {
    let place = tempfile::TempDir::with_prefix("gateway-nft-").unwrap();
    let script = place.path().join("nft");
    std::fs::write(&script, OLDER_NFT).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let environment = [format!("PATH={}:{}", place.path().display(), std::env::var("PATH").unwrap())];
    let policy = nftables();
    let gateway = Gateway::start_as(&lab.gateway, &Start { environment: &environment, ..Start::policy(policy.text()) }).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    ask(&client, &server, "10.128.0.1:5001");
    std::fs::write(place.path().join("older"), "").unwrap();
    let refused = nftables().first_rule("no datagrams", "from = \"overlay\"\nprotocol = \"udp\"\naction = \"drop\"");
    gateway.replace_policy(refused.text()).unwrap();
    let line = 1 + refused.text().lines().position(|line| line.contains("no datagrams")).unwrap();
    let place = format!("{}:{line}:", gateway.policy_path().display());
    wait_until(PATIENCE, "status to say which rule", || {
        let status = gateway.status()?;
        Ok(status["policy"]["error"].as_str().is_some_and(|error| error.contains(&place) && error.contains("udpnext")))
    })
    .unwrap();
    assert_eq!(gateway.generation().unwrap(), 1);
    ask(&client, &server, "10.128.0.1:5001");
    ask(&udp(&lab.vm2, "10.227.128.12:4000"), &server, "10.128.0.1:5001");
    assert!(table(lab, &gateway).contains("windows masquerade"));
}
