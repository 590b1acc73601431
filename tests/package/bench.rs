//! What every test here begins with.

use std::path::{Path, PathBuf};

use gateway_tests::lab::SERVER;
use gateway_tests::skip::{may_use_namespaces, skip};
use gateway_tests::wait::wait_until;
use gateway_tests::{Lab, Namespace};

use crate::container::Container;

/// Names the directory of what `cargo xtask package` has built.
const DIRECTORY: &str = "GATEWAY_PACKAGE_DIR";
/// The users' own case.
pub const SEED: &str = include_str!("../policies/seed.toml");

/// Where the packages are; records the skip of `test` and gives nothing where they are not.
pub fn built(test: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
    if directory.is_none() {
        skip(test, &format!("{DIRECTORY} names no built package; `cargo xtask package --test` builds one"));
    }
    directory
}

/// Runs a test in a Debian system without the gateway, booted in the lab's gateway namespace.
pub fn in_container(test: &str, body: impl FnOnce(&Lab, &Container, &Path)) {
    let Some(built) = built(test) else { return };
    if !may_use_namespaces(test) {
        return;
    }
    if let Err(error) = std::process::Command::new("systemd-nspawn").arg("--version").output() {
        skip(test, &format!("needs systemd-nspawn (package systemd-container): {error}"));
        return;
    }
    let lab = Lab::unique("package").unwrap();
    let container = Container::boot(&lab.gateway, &built.join("root.tar")).unwrap();
    body(&lab, &container, &built);
}

/// As [`in_container`], with the package installed and nothing changed.
pub fn installed(test: &str, body: impl FnOnce(&Lab, &Container, &Path)) {
    in_container(test, |lab, container, built| {
        container.install(&built.join("gateway.deb")).unwrap();
        body(lab, container, built);
    });
}

/// As [`installed`], with the users' own policy in force.
pub fn with_seed(test: &str, body: impl FnOnce(&Lab, &Container, &Path)) {
    installed(test, |lab, container, built| {
        container.write("/etc/gateway/policy.toml", SEED).unwrap();
        container.run("systemctl reload gateway").unwrap();
        assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
        body(lab, container, built);
    });
}

/// True when an echo request is answered.
pub fn answers(from: &Namespace, to: &str) -> bool {
    ping(from, &["-c1", "-W5", to])
}

/// True when none of three echo requests is answered.
pub fn is_silent(from: &Namespace, to: &str) -> bool {
    !ping(from, &["-c3", "-i0.2", "-W1", to])
}

fn ping(from: &Namespace, words: &[&str]) -> bool {
    from.output("ping", words).unwrap().status.success()
}

/// Waits until the unit is in this state.
pub fn wait_state(container: &Container, unit: &str, state: &str) {
    wait_until(std::time::Duration::from_secs(60), format_args!("{unit} to be {state}"), || Ok(container.state(unit)? == state))
        .unwrap_or_else(|error| panic!("{error:#}\n{}", container.journal()));
}
