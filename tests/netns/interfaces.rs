//! Interfaces come, go and change, and the gateway follows.

use std::net::UdpSocket;

use gateway_tests::lab::SERVER;
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_every_mode};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, answers, ask, receive, send, udp};

in_every_mode! {
    an_interface_made_anew_is_used_again
    a_neighbour_with_another_address_is_followed
    the_gateways_own_change_of_address_is_followed
    a_link_that_was_down_carries_again
}
in_a_lab! {
    an_address_that_somebody_removed_is_put_back
    an_mtu_is_set_kept_and_given_back
    a_missing_interface_is_waited_for_and_shown
    other_addresses_are_left_alone
}

fn shows(lab: &Lab, leg: &str, text: &str) -> anyhow::Result<bool> {
    Ok(lab.gateway.run("ip", &["-o", "address", "show", "dev", leg])?.contains(text))
}

fn an_address_that_somebody_removed_is_put_back(lab: &Lab) {
    let _gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    for _ in 0..2 {
        lab.gateway.ip("address del 10.227.128.15/21 dev eth1").unwrap();
        wait_until(PATIENCE, "the address", || shows(lab, "eth1", "10.227.128.15/21")).unwrap();
        assert!(answers(&lab.vm1, SERVER));
    }
}

fn other_addresses_are_left_alone(lab: &Lab) {
    lab.gateway.ip("address add 192.0.2.1/24 dev eth1").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert!(shows(lab, "eth1", "192.0.2.1/24").unwrap());
    // An address that leaves the policy leaves the interface.
    gateway.reload(Policy::seed().replace("10.227.128.15/21", "10.227.128.16/21").text()).unwrap();
    wait_until(PATIENCE, "the exchange", || Ok(shows(lab, "eth1", "10.227.128.16/21")? && !shows(lab, "eth1", "10.227.128.15/21")?))
        .unwrap();
    gateway.stop().unwrap();
    assert!(shows(lab, "eth1", "192.0.2.1/24").unwrap() && shows(lab, "eth0", "10.128.0.15/24").unwrap());
    assert!(!shows(lab, "eth1", "10.227.128.").unwrap());
}

fn an_mtu_is_set_kept_and_given_back(lab: &Lab) {
    let mtu = |wanted: &str| Ok(lab.gateway.run("ip", &["link", "show", "eth1"])?.contains(&format!("mtu {wanted} ")));
    lab.gateway.ip("link set eth1 mtu 1450").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert!(mtu("1400").unwrap());
    lab.gateway.ip("link set eth1 mtu 1300").unwrap();
    wait_until(PATIENCE, "the MTU of the policy", || mtu("1400")).unwrap();
    gateway.stop().unwrap();
    assert!(!mtu("1400").unwrap(), "not ours any more");
}

fn a_missing_interface_is_waited_for_and_shown(lab: &Lab) {
    lab.gateway.ip("link set eth1 down\nlink set eth1 name spare0").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let leg = gateway.interface("eth1").unwrap();
    assert_eq!((&leg["state"], &leg["datapath"]), (&"missing".into(), &"none".into()));
    assert!(leg["ifindex"].is_null() && leg["reason"].as_str().unwrap().contains("waiting"), "{leg:#}");
    assert!(gateway.log().contains("eth1 (overlay): no such interface"), "{}", gateway.log());
    assert_eq!(gateway.interface("eth0").unwrap()["state"], "up");
    lab.gateway.ip("link set spare0 name eth1\nlink set eth1 up").unwrap();
    gateway.wait_interface("eth1", "used", |leg| leg["state"] == "up" && leg["datapath"] == "tc").unwrap();
    wait_until(PATIENCE, "the address", || shows(lab, "eth1", "10.227.128.15/21")).unwrap();
    assert!(answers(&lab.vm1, SERVER));
}

/// The mode that the gateway's legs are in.
fn mode(gateway: &Gateway<'_>) -> String {
    gateway.interface("eth0").unwrap()["datapath"].as_str().unwrap().to_owned()
}

fn an_interface_made_anew_is_used_again(lab: &Lab, gateway: &Gateway<'_>) {
    let mode = mode(gateway);
    assert!(answers(&lab.vm1, SERVER));
    for _ in 0..2 {
        lab.gateway.ip("link del eth1").unwrap();
        gateway.wait_interface("eth1", "missing", |leg| leg["state"] == "missing").unwrap();
        let switch = lab.switch.name();
        lab.gateway.ip(&format!("link add eth1 type veth peer name overlay0 mtu 1400 netns {switch}\nlink set eth1 up")).unwrap();
        lab.switch.ip("link set overlay0 master br0 up").unwrap();
        lab.gateway.run("ethtool", &["-K", "eth1", "gro", "on"]).unwrap();
        lab.switch.run("ethtool", &["-K", "overlay0", "gro", "on"]).unwrap();
        gateway.wait_interface("eth1", "used again", |leg| leg["state"] == "up" && leg["datapath"] == *mode && leg["mtu"] == 1400).unwrap();
        wait_until(PATIENCE, "the address", || shows(lab, "eth1", "10.227.128.15/21")).unwrap();
        // The VMs remember the old leg's Ethernet address.
        lab.vm1.ip("neigh flush all").unwrap();
        let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
        for _ in 0..3 {
            ask(&client, &server, "10.128.0.1:5001");
        }
    }
}

/// Asks until the answer comes: packets on their way to the old address are lost, as with any router.
fn reaches(client: &UdpSocket, server: &UdpSocket, mut nudge: impl FnMut()) {
    for socket in [client, server] {
        socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    }
    wait_until(PATIENCE, "the flow to go on", || {
        nudge();
        send(client, "10.128.0.1:5001", "still there?");
        let mut buffer = [0; 64];
        let Ok((_, seen)) = server.recv_from(&mut buffer) else { return Ok(false) };
        send(server, &seen.to_string(), "yes");
        Ok(client.recv_from(&mut buffer).is_ok())
    })
    .unwrap();
    for socket in [client, server] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

fn a_neighbour_with_another_address_is_followed(lab: &Lab, gateway: &Gateway<'_>) {
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    for _ in 0..3 {
        ask(&client, &server, "10.128.0.1:5001");
    }
    lab.pods.ip("link set pods0 address 02:00:00:00:77:01").unwrap();
    // What a machine that took over an address does: it says so, until it is heard.
    reaches(&client, &server, || {
        lab.pods.run("arping", &["-U", "-c1", "-I", "pods0", SERVER]).unwrap();
    });
    ask(&client, &server, "10.128.0.1:5001");
    assert_eq!(gateway.flows().unwrap().len(), 1, "still the same flow");
}

fn the_gateways_own_change_of_address_is_followed(lab: &Lab, gateway: &Gateway<'_>) {
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    for _ in 0..3 {
        ask(&client, &server, "10.128.0.1:5001");
    }
    lab.gateway.ip("link set eth1 address 02:00:00:00:77:02\nlink set eth0 address 02:00:00:00:77:03").unwrap();
    gateway.wait_interface("eth1", "known under its new address", |leg| leg["mac"] == "02:00:00:00:77:02").unwrap();
    gateway.wait_interface("eth0", "known under its new address", |leg| leg["mac"] == "02:00:00:00:77:03").unwrap();
    for peer in [&lab.vm1, &lab.pods] {
        peer.ip("neigh flush all").unwrap();
    }
    reaches(&client, &server, || {});
    ask(&client, &server, "10.128.0.1:5001");
}

fn a_link_that_was_down_carries_again(lab: &Lab, gateway: &Gateway<'_>) {
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    let seen = ask(&client, &server, "10.128.0.1:5001");
    // The other end of the cable.
    lab.pods.ip("link set pods0 down").unwrap();
    gateway.wait_interface("eth0", "without a carrier", |leg| leg["state"] == "no-carrier").unwrap();
    lab.pods.ip("link set pods0 up").unwrap();
    gateway.wait_interface("eth0", "up", |leg| leg["state"] == "up").unwrap();
    reaches(&client, &server, || {});
    // Our own end.
    lab.gateway.ip("link set eth0 down").unwrap();
    gateway.wait_interface("eth0", "down", |leg| leg["state"] == "down").unwrap();
    lab.gateway.ip("link set eth0 up").unwrap();
    gateway.wait_interface("eth0", "up", |leg| leg["state"] == "up").unwrap();
    reaches(&client, &server, || {});
    send(&client, "10.128.0.1:5001", "and now?");
    assert_eq!(receive(&server), ("and now?".to_owned(), seen), "under the endpoint that it had");
}
