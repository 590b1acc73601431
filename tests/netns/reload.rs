//! Another policy while traffic runs: what it allows goes on, what it refuses ends, and what is broken changes nothing.

use std::io::{Read, Write};
use std::time::Duration;

use gateway_tests::lab::SERVER;
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};
use rustix::process::Signal;

use crate::bench::{Mode, in_a_lab, in_every_mode, with_seed};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, accept, answers, connect, listen, talk};

in_every_mode! {
    flows_that_stay_allowed_lose_nothing
}
in_a_lab! {
    a_policy_replaced_or_written_takes_effect
    sighup_reads_the_policy_again
    a_broken_policy_changes_nothing_and_says_where
    capacity_cannot_change_while_it_runs
}

#[test]
fn a_tightened_policy_cuts_by_tc() {
    with_seed("netns::reload::a_tightened_policy_cuts_by_tc", Mode::Tc, |lab, gateway| cuts(lab, gateway, Mode::Tc));
}

#[test]
fn a_tightened_policy_cuts_by_xdp() {
    with_seed("netns::reload::a_tightened_policy_cuts_by_xdp", Mode::Xdp, |lab, gateway| cuts(lab, gateway, Mode::Xdp));
}

#[test]
fn a_tightened_policy_cuts_by_nftables() {
    with_seed("netns::reload::a_tightened_policy_cuts_by_nftables", Mode::Nftables, |lab, gateway| cuts(lab, gateway, Mode::Nftables));
}

/// The seed policy without pings from the overlay.
fn without_pings() -> Policy {
    Policy::seed().first_rule("no pings", "from = \"overlay\"\nprotocol = \"icmp\"\naction = \"drop\"")
}

fn a_policy_replaced_or_written_takes_effect(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    assert_eq!(gateway.generation().unwrap(), 1);
    gateway.reload(without_pings().text()).unwrap();
    assert!(!answers(&lab.vm1, SERVER));
    assert!(gateway.rule("no pings").unwrap() >= 1);
    gateway.write_policy(Policy::seed().text()).unwrap();
    wait_until(PATIENCE, "the third policy", || Ok(gateway.generation()? == 3)).unwrap();
    assert!(answers(&lab.vm1, SERVER));
    assert!(gateway.log().contains("policy reloaded"));
}

fn sighup_reads_the_policy_again(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    // Behind a link into another directory nobody sees the file change.
    let elsewhere = tempfile::TempDir::with_prefix("gateway-elsewhere-").unwrap();
    let target = elsewhere.path().join("policy.toml");
    std::fs::write(&target, Policy::seed().text()).unwrap();
    std::fs::remove_file(gateway.policy_path()).unwrap();
    std::os::unix::fs::symlink(&target, gateway.policy_path()).unwrap();
    std::fs::write(&target, without_pings().text()).unwrap();
    gateway.signal(Signal::HUP).unwrap();
    wait_until(PATIENCE, "the new policy", || Ok(gateway.generation()? == 2)).unwrap();
    assert!(!answers(&lab.vm1, SERVER));
}

fn a_broken_policy_changes_nothing_and_says_where(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&listener);
    // Both would close everything, were they taken up.
    let broken = Policy::seed().replace("action = \"accept\"", "action = \"dorp\"").replace("\"pods\"", "\"nowhere\"");
    gateway.replace_policy(broken.text()).unwrap();
    let path = gateway.policy_path().display().to_string();
    let mut places = Vec::new();
    for text in ["action = \"dorp\"", "\"nowhere\""] {
        let (line, column) =
            broken.text().lines().zip(1..).find_map(|(line, number)| Some((number, line.find(text.split(' ').next_back()?)? + 1))).unwrap();
        places.push(format!("{path}:{line}:{column}"));
    }
    for place in &places {
        gateway.wait_log(place).unwrap();
    }
    let status = gateway.status().unwrap();
    let error = status["policy"]["error"].as_str().unwrap();
    assert!(places.iter().all(|place| error.contains(place)), "{places:?} in {error}");
    assert_eq!(gateway.generation().unwrap(), 1);
    talk(&mut client, &mut accepted).unwrap();
    assert!(answers(&lab.vm2, SERVER));

    // A file that is gone is no reason to stop either.
    std::fs::remove_file(gateway.policy_path()).unwrap();
    gateway.signal(Signal::HUP).unwrap();
    wait_until(PATIENCE, "status to miss the file", || {
        Ok(gateway.status()?["policy"]["error"].as_str().is_some_and(|error| error.contains(&path) && !error.contains(&places[0])))
    })
    .unwrap();
    talk(&mut client, &mut accepted).unwrap();

    gateway.reload(without_pings().text()).unwrap();
    assert!(gateway.status().unwrap()["policy"]["error"].is_null(), "mended");
}

fn capacity_cannot_change_while_it_runs(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().datapath("flows = 128").text()).unwrap();
    let larger = Policy::seed().datapath("flows = 256");
    let line = larger.text().lines().zip(1..).find(|(line, _)| line.starts_with("flows")).unwrap().1;
    let place = format!("{}:{line}:1", gateway.policy_path().display());
    gateway.replace_policy(larger.text()).unwrap();
    gateway.wait_log(&place).unwrap();
    wait_until(PATIENCE, "status to say why", || {
        Ok(gateway.status()?["policy"]["error"].as_str().is_some_and(|error| error.contains(&place) && error.contains("restart")))
    })
    .unwrap();
    assert!(answers(&lab.vm1, SERVER));
}

fn cuts(lab: &Lab, gateway: &Gateway<'_>, mode: Mode) {
    let (allowed, refused) = (listen(&lab.pods, "10.128.0.1:8080"), listen(&lab.pods, "10.128.0.1:8081"));
    let (mut kept, mut cut) = (connect(&lab.vm1, "10.128.0.1:8080"), connect(&lab.vm1, "10.128.0.1:8081"));
    let ((mut kept_end, _), (mut cut_end, _)) = (accept(&allowed), accept(&refused));
    for _ in 0..3 {
        talk(&mut kept, &mut kept_end).unwrap();
        talk(&mut cut, &mut cut_end).unwrap();
    }
    let lines = "from = \"overlay\"\nto = \"pods\"\nprotocol = \"tcp\"\nports = [\"8081\"]\naction = \"drop\"";
    gateway.reload(Policy::seed().mode(mode).first_rule("no more", lines).text()).unwrap();
    cut.write_all(b"hello").unwrap();
    // Of a flow that the daemon has ended the next packet is one of no flow.
    let reason = if mode == Mode::Nftables { "tcp-no-flow" } else { "policy-changed" };
    wait_until(PATIENCE, "the flow to be cut", || Ok(gateway.reason("drop", reason)? >= 1)).unwrap();
    cut_end.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(cut_end.read(&mut [0; 5]).is_err(), "no byte of it arrives");
    for _ in 0..3 {
        talk(&mut kept, &mut kept_end).unwrap();
    }
    let flows = gateway.flows().unwrap();
    let remotes: Vec<_> = flows.iter().filter(|flow| flow["state"] == "established").map(|flow| flow["remote"].as_str().unwrap()).collect();
    assert_eq!(remotes, ["10.128.0.1:8080"]);
}

fn flows_that_stay_allowed_lose_nothing(lab: &Lab, gateway: &Gateway<'_>) {
    let mode = Mode::of(gateway);
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&listener);
    let words = ["-q", "-i0.02", "-c250", "-W10", SERVER];
    let pings = lab.vm2.spawn(Duration::from_secs(60), "ping", &words).unwrap();
    wait_until(PATIENCE, "the first ping", || Ok(gateway.rule("overlay to pods")? >= 2)).unwrap();
    let mut reloads = 0;
    while reloads < 10 || pings.ended().unwrap().is_none() {
        let lines = format!("from = \"overlay\"\nprotocol = \"udp\"\nports = [\"{}\"]\naction = \"drop\"", 6000 + reloads);
        gateway.reload(Policy::seed().mode(mode).first_rule("something else", &lines).text()).unwrap();
        talk(&mut client, &mut accepted).unwrap();
        reloads += 1;
    }
    let output = pings.output();
    assert!(output.contains("250 packets transmitted, 250 received"), "{reloads} reloads:\n{output}");
    let flows = gateway.flows().unwrap();
    assert_eq!(flows.iter().filter(|flow| flow["protocol"] == "tcp").count(), 1, "still the same flow: {flows:#?}");
}
