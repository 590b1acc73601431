//! What systemd makes of the gateway: reload, death, silence, a policy that is broken, and instances.

use gateway_tests::lab::SERVER;
use gateway_tests::wait::wait_until;

use crate::bench::{SEED, answers, installed, is_silent, wait_state, with_seed};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
/// The first one, and the template of those beside it.
const UNIT: &str = include_str!("../../gateway-daemon/packaging/systemd/gateway.service");
const TEMPLATE: &str = include_str!("../../gateway-daemon/packaging/systemd/gateway@.service");

#[test]
fn the_template_is_the_unit_with_names() {
    let named = UNIT
        .replace("Description=Gateway:", "Description=Gateway %i:")
        .replace("gateway run --policy /etc/gateway/policy.toml", "gateway run --instance %i --policy /etc/gateway/%i.toml")
        .replace("gateway reload\n", "gateway reload --instance %i\n");
    assert_eq!(named, TEMPLATE);
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_reload_with_a_broken_policy_fails_and_changes_nothing() {
    with_seed("units::a_reload_with_a_broken_policy_fails_and_changes_nothing", |lab, container, _| {
        container.write("/etc/gateway/policy.toml", &SEED.replace("masquerade\"\n", "masquerad\"\n")).unwrap();
        let reload = container.output("systemctl reload gateway").unwrap();
        assert!(!reload.status.success(), "the administrator must hear of it");
        let journal = container.journal();
        assert!(journal.contains("/etc/gateway/policy.toml:") && journal.contains("masquerad"), "{journal}");
        assert_eq!(container.state("gateway").unwrap(), "active");
        assert!(answers(&lab.vm1, SERVER));
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_gateway_that_died_comes_back_and_a_hung_one_is_replaced() {
    with_seed("units::a_gateway_that_died_comes_back_and_a_hung_one_is_replaced", |lab, container, _| {
        let restarted = |times: &str| {
            wait_until(PATIENCE * 2, format_args!("restart {times}"), || Ok(container.property("gateway", "NRestarts")? == times))
                .unwrap_or_else(|error| panic!("{error:#}\n{}", container.journal()));
            wait_state(container, "gateway", "active");
            assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
        };
        container.run("systemctl kill --kill-whom=main --signal=KILL gateway").unwrap();
        restarted("1");
        // What the dead one had changed is taken over, not taken for the machine's own.
        container.run("systemctl stop gateway").unwrap();
        assert!(!container.run("ip -4 address show dev eth1").unwrap().contains("10.227.128.15"));

        // A watchdog that is less patient, for a test that is shorter.
        let drop_in = "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n";
        let directory = "/etc/systemd/system/gateway.service.d";
        container.run(&format!("mkdir -p {directory}")).unwrap();
        container.write(&format!("{directory}/test.conf"), drop_in).unwrap();
        container.run("systemctl daemon-reload && systemctl start gateway").unwrap();
        let (process, restarts) = (container.property("gateway", "MainPID").unwrap(), container.property("gateway", "NRestarts").unwrap());
        container.run("systemctl kill --kill-whom=main --signal=STOP gateway").unwrap();
        restarted(&(restarts.parse::<u32>().unwrap() + 1).to_string());
        assert_ne!(container.property("gateway", "MainPID").unwrap(), process);
    });
}

/// Debian's own nftables.service flushes the whole ruleset when it starts, and the gateway's table with it.
#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_restart_of_nftables_does_not_take_the_guard_away() {
    with_seed("units::a_restart_of_nftables_does_not_take_the_guard_away", |lab, container, _| {
        let tables = || container.run("nft list tables").unwrap();
        assert!(tables().contains("table inet gateway_default"), "{}", tables());
        container.run("systemctl restart nftables").unwrap();
        wait_until(PATIENCE, "the guard to be back", || Ok(tables().contains("table inet gateway_default"))).unwrap();
        assert!(container.journal().contains("put back"), "{}", container.journal());
        assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
        // The administrator's own rules are there as well.
        assert!(tables().contains("table inet filter"), "{}", tables());
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn a_broken_policy_is_tried_again_until_it_is_mended() {
    installed("units::a_broken_policy_is_tried_again_until_it_is_mended", |lab, container, _| {
        container.run("systemctl stop gateway").unwrap();
        container.write("/etc/gateway/policy.toml", "version = 7\n").unwrap();
        assert!(!container.output("systemctl start gateway").unwrap().status.success());
        let journal = container.journal();
        assert!(journal.contains("policy.toml:1:"), "the place is in the journal:\n{journal}");
        assert!(is_silent(&lab.vm1, SERVER));
        container.write("/etc/gateway/policy.toml", SEED).unwrap();
        wait_state(container, "gateway", "active");
        assert!(answers(&lab.vm1, SERVER));
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn an_instance_has_a_policy_and_commands_of_its_own() {
    installed("units::an_instance_has_a_policy_and_commands_of_its_own", |lab, container, _| {
        container.write("/etc/gateway/lab.toml", SEED).unwrap();
        container.run("systemctl start gateway@lab && systemctl reload gateway@lab").unwrap();
        assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
        assert!(container.run("gateway flows --instance lab").unwrap().contains("10.227.128.11"));
        assert!(!container.run("gateway flows").unwrap().contains("10.227.128.11"));
        // One ends, the other goes on, with its files.
        container.run("systemctl stop gateway").unwrap();
        assert!(container.run("gateway status --instance lab").unwrap().contains("eth1"));
        assert!(answers(&lab.vm2, SERVER));
    });
}
