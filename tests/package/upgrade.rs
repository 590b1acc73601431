//! Another version over the one that runs.

use gateway_tests::lab::SERVER;

use crate::bench::{SEED, answers, wait_state, with_seed};

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn an_upgrade_keeps_the_policy_and_goes_on_forwarding() {
    with_seed("upgrade::an_upgrade_keeps_the_policy_and_goes_on_forwarding", |lab, container, built| {
        let version = || container.run("dpkg-query --show --showformat='${Version}' gateway").unwrap();
        let process = |unit: &str| container.property(unit, "MainPID").unwrap();
        container.write("/etc/gateway/beside.toml", "version = 1\n").unwrap();
        container.write("/etc/gateway/idle.toml", "version = 1\n").unwrap();
        container.run("systemctl start gateway@beside").unwrap();
        let before = (version(), process("gateway"), process("gateway@beside"));

        let said = container.install(&built.join("next.deb")).unwrap();
        assert!(!said.contains("Configuration file"), "nobody is asked:\n{said}");
        assert_ne!(version(), before.0);
        assert_eq!(container.read("/etc/gateway/policy.toml").unwrap(), SEED);
        for unit in ["gateway", "gateway@beside"] {
            wait_state(container, unit, "active");
        }
        assert_ne!(process("gateway"), before.1, "the new program runs");
        assert_ne!(process("gateway@beside"), before.2, "and in the instance too");
        assert_eq!(container.state("gateway@idle").unwrap(), "inactive", "what did not run is not started");
        assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
    });
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn an_upgrade_does_not_start_what_was_turned_off() {
    with_seed("upgrade::an_upgrade_does_not_start_what_was_turned_off", |_, container, built| {
        container.run("systemctl disable --now gateway").unwrap();
        container.install(&built.join("next.deb")).unwrap();
        assert_eq!(container.state("gateway").unwrap(), "inactive");
        assert_eq!(container.output("systemctl is-enabled gateway").unwrap().stdout, b"disabled\n");
    });
}
