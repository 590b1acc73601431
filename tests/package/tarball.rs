//! The tarball: a program without libraries, laid out for /usr/local.

use std::fs;
use std::process::Command;

use gateway_tests::lab::SERVER;

use crate::bench::{SEED, answers, built, in_container};

#[test]
#[ignore = "needs a built package; see `cargo xtask package --test`"]
fn the_program_runs_where_there_is_nothing_else() {
    let Some(built) = built("tarball::the_program_runs_where_there_is_nothing_else") else { return };
    if !gateway_tests::skip::may_use_namespaces("tarball::the_program_runs_where_there_is_nothing_else") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(root.path())
        .args(["--strip-components=2", "--wildcards", "-xzf"])
        .arg(built.join("gateway.tar.gz"))
        .arg("*/bin/gateway")
        .status()
        .unwrap();
    assert!(unpacked.success());
    fs::write(root.path().join("policy.toml"), SEED).unwrap();
    let output = Command::new("chroot").arg(root.path()).args(["/gateway", "check", "/policy.toml"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("policy is valid"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn unpacked_into_usr_local_it_is_a_service() {
    in_container("tarball::unpacked_into_usr_local_it_is_a_service", |lab, container, built| {
        fs::copy(built.join("gateway.tar.gz"), container.path("/var/tmp/gateway.tar.gz")).unwrap();
        container.run("tar -C /usr/local --strip-components=1 -xzf /var/tmp/gateway.tar.gz").unwrap();
        container.run("install -D -m 644 /usr/local/share/doc/gateway/policy.toml /etc/gateway/policy.toml").unwrap();
        container.run("systemctl daemon-reload && systemctl enable --now gateway").unwrap();
        assert_eq!(container.state("gateway").unwrap(), "active");
        container.write("/etc/gateway/policy.toml", SEED).unwrap();
        container.run("systemctl reload gateway").unwrap();
        assert!(answers(&lab.vm1, SERVER), "{}", container.journal());
        for file in ["man/man8/gateway.8", "man/man5/gateway-policy.5", "bash-completion/completions/gateway", "doc/gateway/LICENSE-MIT"] {
            assert!(container.path(&format!("/usr/local/share/{file}")).is_file(), "{file}");
        }
    });
}
