//! Source NAT: one external endpoint per internal endpoint, pools, exemptions, a masquerade that follows its interface, and the gateway's
//! own connections beside it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::lab::{ONPREM, SERVER};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_every_mode};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, accept, ask, connect, endpoint, is_empty, listen, receive, send, talk, udp};

in_every_mode! {
    one_internal_endpoint_has_one_external_endpoint_for_all_remotes
    a_udp_checksum_of_zero_stays_zero
}
in_a_lab! {
    another_internal_endpoint_has_another_port_of_the_same_class
    a_pool_lends_its_addresses_and_ports
    the_first_matching_rule_decides_and_none_exempts
    filtering_may_be_endpoint_independent
    mapping_may_depend_on_the_remote
    the_masquerade_follows_the_egress_address
    the_gateways_own_connections_survive_beside_the_masquerade
}

/// The seed policy with another `translate` (and what else) in its only rule of source NAT.
fn translated(lines: &str) -> Policy {
    Policy::seed().replace("translate = \"masquerade\"", lines)
}

fn one_internal_endpoint_has_one_external_endpoint_for_all_remotes(lab: &Lab, gateway: &Gateway<'_>) {
    let first = udp(&lab.pods, "10.128.0.1:5001");
    let second = udp(&lab.pods, "10.128.0.1:5002");
    let third = udp(&lab.onprem, "10.10.0.10:5001");
    let client = udp(&lab.vm1, "10.227.128.11:4001");
    let seen = ask(&client, &first, "10.128.0.1:5001");
    assert_eq!(ask(&client, &second, "10.128.0.1:5002"), seen);
    assert_eq!(ask(&client, &third, "10.10.0.10:5001"), seen);
    assert_eq!(seen.port() % 2, 1, "RFC 4787 REQ-4: the parity of the port is kept");
    let mappings = gateway.mappings().unwrap();
    assert_eq!(mappings.iter().filter(|mapping| mapping["internal"] == "10.227.128.11:4001").count(), 1, "{mappings:#?}");
    assert_eq!(gateway.flows().unwrap().len(), 3);
}

fn a_udp_checksum_of_zero_stays_zero(lab: &Lab, _gateway: &Gateway<'_>) {
    let lifetime = Duration::from_secs(60);
    let words = ["-n", "-vv", "-l", "-i", "pods0", "udp and dst port 5004"];
    let eye = lab.pods.spawn(lifetime, "tcpdump", &words).unwrap();
    wait_until(PATIENCE, "tcpdump to listen", || Ok(eye.output().contains("listening on"))).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5004");
    let without = "UDP:10.128.0.1:5004,bind=10.227.128.11:4004,so-no-check=1";
    // With an answer in between, so that XDP takes the second one.
    for round in 0..2 {
        lab.vm1.run("sh", &["-c", &format!("echo none | socat -u - {without}")]).unwrap();
        let (text, seen) = receive(&server);
        assert_eq!(text, "none\n");
        send(&server, &seen.to_string(), "answer");
        wait_until(PATIENCE, "the packet", || Ok(eye.output().matches("[no cksum]").count() == round + 1)).unwrap();
    }
    let with = udp(&lab.vm1, "10.227.128.11:4005");
    for _ in 0..2 {
        ask(&with, &server, "10.128.0.1:5004");
    }
    // tcpdump sees outgoing frames before a checksum is completed, but these come in: from the gateway, by a veth that completes nothing.
    wait_until(PATIENCE, "the packets", || Ok(eye.output().matches("length").count() >= 4)).unwrap();
    assert_eq!(eye.output().matches("[no cksum]").count(), 2, "{}", eye.output());
}

fn another_internal_endpoint_has_another_port_of_the_same_class(lab: &Lab) {
    let _gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let ports: Vec<u16> =
        (4000..4016).map(|port| ask(&udp(&lab.vm1, &format!("10.227.128.11:{port}")), &server, "10.128.0.1:5001").port()).collect();
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "no two share a port: {ports:?}");
    assert!(ports.iter().all(|port| (1024..61000).contains(port)), "{ports:?}");
    assert!(!ports.is_sorted(), "ports that can be guessed: {ports:?}");
    // RFC 4787 REQ-3a: a well-known port stays one.
    let seen = ask(&udp(&lab.vm1, "10.227.128.11:500"), &server, "10.128.0.1:5001");
    assert!((600..1024).contains(&seen.port()), "{seen}");
}

fn a_pool_lends_its_addresses_and_ports(lab: &Lab) {
    let policy = translated("translate = { addresses = [\"10.128.7.10-10.128.7.13\"], ports = \"2048-4095\" }");
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    lab.pods.ip("route add 10.128.7.0/24 via 10.128.0.15").unwrap();
    let server = listen(&lab.pods, "10.128.0.1:8080");
    let datagrams = udp(&lab.pods, "10.128.0.1:5001");
    for vm in [&lab.vm1, &lab.vm2] {
        let mut client = connect(vm, "10.128.0.1:8080");
        let (mut accepted, seen) = accept(&server);
        talk(&mut client, &mut accepted).unwrap();
        let of_udp = ask(&udp(vm, "0.0.0.0:4000"), &datagrams, "10.128.0.1:5001");
        for seen in [seen, of_udp] {
            assert!((endpoint("10.128.7.10:0").ip()..=endpoint("10.128.7.13:0").ip()).contains(&seen.ip()), "{seen}");
            assert!((2048..=4095).contains(&seen.port()), "{seen}");
        }
        assert_eq!(seen.ip(), of_udp.ip(), "RFC 4787 REQ-2: one internal host, one pool address");
    }
    assert_eq!(gateway.mappings().unwrap().len(), 4);
}

fn the_first_matching_rule_decides_and_none_exempts(lab: &Lab) {
    let exemption = "[[nat.source]]\nname = \"on-prem sees real addresses\"\nfrom = \"overlay\"\nto = \"pods\"\n\
                     destination = [\"@on-prem\"]\ntranslate = \"none\"\n\n[[nat.source]]\nname = \"windows masquerade\"";
    let policy = Policy::seed().replace("[[nat.source]]\nname = \"windows masquerade\"", exemption);
    let _gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let onprem = udp(&lab.onprem, "10.10.0.10:5001");
    assert_eq!(ask(&client, &onprem, "10.10.0.10:5001"), endpoint("10.227.128.11:4000"));
    let server = udp(&lab.pods, "10.128.0.1:5001");
    assert_eq!(ask(&client, &server, "10.128.0.1:5001").ip(), endpoint("10.128.0.15:0").ip());
}

fn filtering_may_be_endpoint_independent(lab: &Lab) {
    for (filtering, passes) in [("address-and-port-dependent", false), ("endpoint-independent", true)] {
        let gateway =
            Gateway::start(&lab.gateway, translated(&format!("translate = \"masquerade\"\nfiltering = \"{filtering}\"")).text()).unwrap();
        let client = udp(&lab.vm1, "10.227.128.11:4000");
        let server = udp(&lab.pods, "10.128.0.1:5001");
        let seen = ask(&client, &server, "10.128.0.1:5001");
        // Another remote, which the client has never spoken to.
        let stranger = udp(&lab.onprem, "10.10.0.10:6000");
        send(&stranger, &seen.to_string(), "may I?");
        if passes {
            assert_eq!(receive(&client), ("may I?".to_owned(), endpoint("10.10.0.10:6000")));
        } else {
            // Once an answer to a later packet has come, the earlier one would have.
            ask(&client, &server, "10.128.0.1:5001");
            assert!(is_empty(&client));
        }
        gateway.stop().unwrap();
    }
}

fn mapping_may_depend_on_the_remote(lab: &Lab) {
    let policy = translated("translate = \"masquerade\"\nmapping = \"address-and-port-dependent\"");
    let _gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let seen: BTreeSet<SocketAddr> = (5001..5005)
        .map(|port| {
            let address = format!("10.128.0.1:{port}");
            ask(&client, &udp(&lab.pods, &address), &address)
        })
        .collect();
    // Four times the same of 30,000 ports by chance: once in 10^13 runs.
    assert!(seen.len() > 1, "{seen:?}");
}

fn the_masquerade_follows_the_egress_address(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let server = udp(&lab.pods, "10.128.0.1:5001");
    assert_eq!(ask(&client, &server, "10.128.0.1:5001").ip(), endpoint("10.128.0.15:0").ip());
    lab.gateway.ip("address del 10.128.0.15/24 dev eth0\naddress add 10.128.0.16/24 dev eth0\nroute add default via 10.128.0.1").unwrap();
    let new = endpoint("10.128.0.16:0").ip();
    gateway.wait_interface("eth0", "known under its new address", |leg| leg["addresses"][0] == "10.128.0.16/24").unwrap();
    // An endpoint that had a mapping to the old address, and one that had none, come through under the new one: at the latest when the
    // daemon has told the datapath.
    server.set_nonblocking(true).unwrap();
    let late = udp(&lab.vm1, "10.227.128.11:4001");
    for from in [&client, &late] {
        wait_until(PATIENCE, "packets under the new address", || {
            send(from, "10.128.0.1:5001", "again");
            std::thread::sleep(Duration::from_millis(20));
            Ok(server.recv_from(&mut [0; 64]).is_ok_and(|(_, seen)| seen.ip() == new))
        })
        .unwrap();
    }
    let other = udp(&lab.pods, "10.128.0.1:5002");
    for from in [&client, &late] {
        assert_eq!(ask(from, &other, "10.128.0.1:5002").ip(), new);
    }
}

fn the_gateways_own_connections_survive_beside_the_masquerade(lab: &Lab) {
    let range =
        || lab.gateway.run("cat", &["/proc/sys/net/ipv4/ip_local_port_range"]).unwrap().split_whitespace().collect::<Vec<_>>().join("-");
    let before = range();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert_eq!(range(), "61000-65535");
    let server = listen(&lab.pods, "10.128.0.1:8080");
    let mut pairs = Vec::new();
    for from in [&lab.gateway, &lab.vm1, &lab.gateway, &lab.vm2, &lab.gateway, &lab.vm1] {
        let client = connect(from, "10.128.0.1:8080");
        let (accepted, seen) = accept(&server);
        let own = from.name() == lab.gateway.name();
        assert_eq!(seen.port() >= 61000, own, "{seen} of {}", from.name());
        pairs.push((client, accepted));
    }
    for (client, accepted) in &mut pairs {
        talk(client, accepted).unwrap();
    }
    for to in [SERVER, ONPREM] {
        assert!(crate::traffic::answers(&lab.gateway, to), "{to}");
    }
    assert_eq!(gateway.flows().unwrap().iter().filter(|flow| flow["protocol"] == "tcp").count(), 3, "its own are none of the datapath's");
    gateway.stop().unwrap();
    assert_eq!(range(), before);
}
