//! Another version over the one that runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use gateway_tests::Lab;
use gateway_tests::lab::SERVER;

use crate::bench::{SEED, answers, wait_state, with_seed};

/// A connection from the first VM to the server, both ends.
fn connection(lab: &Lab) -> (TcpStream, TcpStream) {
    let address: SocketAddr = format!("{SERVER}:8080").parse().unwrap();
    let listener = lab.pods.within(|| TcpListener::bind(address)).unwrap().unwrap();
    let client = lab.vm1.within(|| TcpStream::connect_timeout(&address, Duration::from_secs(10))).unwrap().unwrap();
    let (server, _) = listener.accept().unwrap();
    for end in [&client, &server] {
        end.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    (client, server)
}

/// Sends a line each way.
fn talk((client, server): &mut (TcpStream, TcpStream)) -> std::io::Result<()> {
    let mut buffer = [0; 5];
    client.write_all(b"hello")?;
    server.read_exact(&mut buffer)?;
    server.write_all(b"world")?;
    client.read_exact(&mut buffer)
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn an_upgrade_keeps_established_connections_and_a_stop_ends_them() {
    with_seed("upgrade::an_upgrade_keeps_established_connections_and_a_stop_ends_them", |lab, container, built| {
        let mut connection = connection(lab);
        talk(&mut connection).unwrap();
        let process = container.property("gateway", "MainPID").unwrap();
        container.install(&built.join("next.deb")).unwrap();
        wait_state(container, "gateway", "active");
        assert_ne!(container.property("gateway", "MainPID").unwrap(), process);
        talk(&mut connection).unwrap_or_else(|error| panic!("{error}\n{}", container.journal()));
        let flows = || container.run("gateway flows --json").unwrap();
        assert!(flows().contains("8080"), "{}", flows());

        container.run("systemctl stop gateway").unwrap();
        container.run("systemctl start gateway").unwrap();
        assert!(!flows().contains("8080"), "{}", flows());
    });
}

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
