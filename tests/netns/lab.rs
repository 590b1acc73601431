//! The lab itself: its wires carry what the gateway's tests and the demo send, and it leaves nothing behind.
//! The gateway's part is played by the kernel, without translation.

use std::time::{Duration, Instant};

use gateway_tests::lab::{self, GATEWAY_PODS, Lab, ONPREM, SERVER, SERVER_V6, VM1, VM1_V6, VM2};
use gateway_tests::skip::may_use_namespaces;
use gateway_tests::{Namespace, tcp_listening, wait_until};

#[test]
fn wires_reach_from_end_to_end() {
    if !may_use_namespaces("lab::wires_reach_from_end_to_end") {
        return;
    }
    let lab = Lab::unique("wires").unwrap();
    let ping = |from: &Namespace, to: &str| from.run("ping", &["-c1", "-W2", to]);
    ping(&lab.gateway, SERVER).unwrap();
    ping(&lab.vm1, VM2).unwrap();
    ping(&lab.vm1, SERVER).expect_err("the gateway forwards nothing by itself");
    lab.forward_by_kernel().unwrap();
    ping(&lab.vm1, SERVER).unwrap();
    ping(&lab.vm2, ONPREM).unwrap();
    ping(&lab.onprem, VM1).unwrap();
    ping(&lab.onprem, GATEWAY_PODS).unwrap();
    ping(&lab.vm1, SERVER_V6).unwrap();
    ping(&lab.onprem, VM1_V6).unwrap();
    let too_big = lab.vm1.output("ping", &["-c1", "-W1", "-Mdo", "-s1400", VM2]).unwrap();
    assert!(!too_big.status.success(), "the overlay's MTU is 1400 bytes");
}

#[test]
fn the_gateways_legs_are_named_as_the_policy_says_and_lack_the_overlay_address() {
    if !may_use_namespaces("lab::the_gateways_legs_are_named_as_the_policy_says_and_lack_the_overlay_address") {
        return;
    }
    let lab = Lab::unique("legs").unwrap();
    let shown = lab.gateway.run("ip", &["-4", "-o", "address"]).unwrap();
    assert!(shown.contains("eth0    inet 10.128.0.15/24"), "{shown}");
    assert!(!shown.contains("10.227.128.15"), "{shown}");
    lab.gateway.run("ip", &["link", "show", "eth1"]).unwrap();
}

#[test]
fn programs_end_with_their_namespace() {
    if !may_use_namespaces("lab::programs_end_with_their_namespace") {
        return;
    }
    let room = Namespace::unique("programs").unwrap();
    let name = room.name().to_owned();
    let server = room.spawn(Duration::from_secs(60), "socat", &["TCP-LISTEN:8080,fork", "EXEC:cat"]).unwrap();
    wait_until(Duration::from_secs(5), "socat to listen", || tcp_listening(&room, 8080)).unwrap();
    assert!(!tcp_listening(&room, 8081).unwrap());
    assert_eq!(server.ended().unwrap(), None);
    drop(room);
    assert!(server.ended().unwrap().is_some());
    assert!(!Namespace::existing(&name).exists());
}

#[test]
fn a_program_ends_when_its_lifetime_is_over_and_when_asked() {
    if !may_use_namespaces("lab::a_program_ends_when_its_lifetime_is_over_and_when_asked") {
        return;
    }
    let room = Namespace::unique("lifetime").unwrap();
    let start = Instant::now();
    let short = room.spawn(Duration::from_secs(1), "sleep", &["60"]).unwrap();
    assert_eq!(short.wait(Duration::from_secs(10)).unwrap().code(), Some(124));
    assert!(start.elapsed() < Duration::from_secs(10));
    let asked =
        room.spawn(Duration::from_secs(60), "sh", &["-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"]).unwrap();
    wait_until(Duration::from_secs(5), "the trap", || Ok(asked.output().contains("up"))).unwrap();
    assert_eq!(asked.stop(Duration::from_secs(5)).unwrap().code(), Some(7));
    assert_eq!(asked.output().matches("bye").count(), 1, "one signal, not two: {}", asked.output());
}

#[test]
fn a_lab_that_cannot_be_built_leaves_nothing() {
    if !may_use_namespaces("lab::a_lab_that_cannot_be_built_leaves_nothing") {
        return;
    }
    let prefix = gateway_tests::namespace::unique_prefix("taken");
    let taken = Namespace::create(&format!("{prefix}-vm2")).unwrap();
    Lab::up(&prefix).expect_err("one name is taken");
    assert!(taken.exists(), "somebody else's namespace stays");
    let left: Vec<String> =
        lab::names(&prefix).into_iter().filter(|name| name != taken.name() && Namespace::existing(name).exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}
