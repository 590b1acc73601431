//! From an installation to traffic, and to a machine without the gateway again.

use gateway_tests::lab::{GATEWAY_PODS, SERVER, VM1};
use gateway_tests::wait::tcp_listening;

use crate::bench::{SEED, answers, installed, is_silent, wait_state, with_seed};

/// The policy that the package brings.
const SHIPPED: &str = include_str!("../../gateway-daemon/packaging/policy.toml");

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_fresh_installation_runs_and_forwards_nothing() {
    installed("install::a_fresh_installation_runs_and_forwards_nothing", |lab, container, _| {
        assert_eq!(container.state("gateway").unwrap(), "active");
        assert_eq!(container.run("systemctl is-enabled gateway").unwrap(), "enabled");
        assert_eq!(container.read("/etc/gateway/policy.toml").unwrap(), SHIPPED);
        let status: serde_json::Value = serde_json::from_str(&container.run("gateway status --json").unwrap()).unwrap();
        assert_eq!((&status["ready"], &status["interfaces"]), (&true.into(), &serde_json::json!([])), "{status:#}");
        assert!(is_silent(&lab.vm1, SERVER));
        // And leaves the machine's own traffic alone.
        assert!(answers(&lab.gateway, SERVER));
        container.run("gateway check /etc/gateway/policy.toml").unwrap();
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn the_commented_example_is_a_valid_policy() {
    installed("install::the_commented_example_is_a_valid_policy", |_, container, _| {
        let (prose, example) = SHIPPED.split_once("# An example").unwrap();
        let example: Vec<&str> = example.lines().skip(2).map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
        container.write("/etc/gateway/policy.toml", &format!("{prose}\n{}\n", example.join("\n"))).unwrap();
        let said = container.run("gateway check /etc/gateway/policy.toml 2>&1").unwrap();
        assert!(said.contains("zone inside: eth1") && said.contains("10.227.128.11:3389") && !said.contains("warning"), "{said}");
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn it_translates_forwards_and_filters_as_a_service() {
    with_seed("install::it_translates_forwards_and_filters_as_a_service", |lab, container, _| {
        let shown = container.run("gateway flows --json").unwrap();
        assert!(shown.contains(VM1) && shown.contains(GATEWAY_PODS), "{shown}");
        // The remote desktop of vm1 from on-premises, and from nowhere else.
        lab.vm1.spawn(std::time::Duration::from_secs(60), "socat", &["TCP-LISTEN:3389,fork,reuseaddr", "SYSTEM:echo desktop"]).unwrap();
        gateway_tests::wait_until(std::time::Duration::from_secs(10), "the server", || tcp_listening(&lab.vm1, 3389)).unwrap();
        let target = format!("TCP:{GATEWAY_PODS}:33890,connect-timeout=3");
        let seen = lab.onprem.run("socat", &["-T5", "-", &target]).unwrap();
        assert_eq!(seen.trim(), "desktop");
        assert!(!lab.pods.output("socat", &["-T5", "-", &target]).unwrap().status.success());
        let drops = container.run("gateway drops").unwrap();
        assert!(drops.contains("default"), "{drops}");
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_removed_gateway_leaves_the_policy_and_nothing_else() {
    with_seed("install::a_removed_gateway_leaves_the_policy_and_nothing_else", |lab, container, _| {
        container.write("/etc/gateway/beside.toml", "version = 1\n").unwrap();
        container.run("systemctl start gateway@beside").unwrap();
        wait_state(container, "gateway@beside", "active");
        container.run("dpkg --remove gateway 2>&1").unwrap();
        assert!(is_silent(&lab.vm1, SERVER));
        for unit in ["gateway", "gateway@beside"] {
            assert_eq!(container.state(unit).unwrap(), "inactive");
        }
        assert_eq!(container.run("nft list tables").unwrap(), "");
        assert_eq!(container.run("tc filter show dev eth1 ingress; cat /proc/sys/net/ipv4/conf/eth1/forwarding").unwrap(), "0");
        assert!(!container.run("ip -4 address show dev eth1").unwrap().contains("10.227.128.15"));
        assert!(!container.path("/usr/bin/gateway").exists() && !container.path("/run/gateway").exists());
        assert_eq!(container.read("/etc/gateway/policy.toml").unwrap(), SEED);

        container.run("dpkg --purge gateway 2>&1").unwrap();
        assert!(!container.path("/etc/gateway/policy.toml").exists());
        // What the administrator has made stays the administrator's.
        assert!(container.path("/etc/gateway/beside.toml").exists());
        let links = container.run("find /etc/systemd -name 'gateway*'").unwrap();
        assert_eq!(links, "");
    });
}
