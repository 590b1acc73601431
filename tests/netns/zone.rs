//! The firewall between zones: the first rule that matches decides, is counted, and is written to the log where it asks for that.

use std::io::ErrorKind;
use std::time::Duration;

use gateway_tests::lab::{GATEWAY_OVERLAY, ONPREM, SERVER};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, Namespace};

use crate::bench::in_a_lab;
use crate::policy::Policy;
use crate::traffic::{self, PATIENCE, accept, answers, ask, connect, is_silent, listen, receive, send, talk, try_connect, udp};

in_a_lab! {
    a_rule_that_drops_is_counted_and_logged_by_name
    an_unsolicited_packet_is_no_reply
    a_rejected_sender_is_told_at_once_and_a_dropped_one_is_not
    an_interface_in_no_zone_carries_nothing_and_is_not_touched
    rules_to_self_filter_the_gateways_own_services
}

fn a_rule_that_drops_is_counted_and_logged_by_name(lab: &Lab) {
    let lines = "from = \"overlay\"\nto = \"pods\"\nprotocol = \"udp\"\nports = [\"5001\"]\naction = \"drop\"\nlog = true";
    let gateway = Gateway::start(&lab.gateway, Policy::seed().first_rule("no such service", lines).text()).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let (refused, allowed) = (udp(&lab.pods, "10.128.0.1:5001"), udp(&lab.pods, "10.128.0.1:5002"));
    for _ in 0..3 {
        send(&client, "10.128.0.1:5001", "refused");
    }
    ask(&client, &allowed, "10.128.0.1:5002");
    assert!(traffic::is_empty(&refused));
    assert_eq!(gateway.rule("no such service").unwrap(), 3);
    assert_eq!(gateway.reason("drop", "rule-drop").unwrap(), 3);
    assert_eq!((gateway.rule("overlay to pods").unwrap(), gateway.rule("default").unwrap()), (1, 0));
    gateway.wait_log("rule \"no such service\" refused").unwrap();
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("rule \"no such service\"")).unwrap();
    assert!(line.contains("10.227.128.11:4000") && line.contains("10.128.0.1:5001") && line.contains("udp"), "{line}");
    assert!(!log.contains("rule \"overlay to pods\""), "a rule without `log` writes nothing: {log}");
}

fn an_unsolicited_packet_is_no_reply(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let client = udp(&lab.vm1, "10.227.128.11:4000");
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let seen = ask(&client, &server, "10.128.0.1:5001");
    // The same host from another port, and another host: neither was asked.
    for stranger in [udp(&lab.pods, "10.128.0.1:5002"), udp(&lab.onprem, "10.10.0.10:5001")] {
        send(&stranger, &seen.to_string(), "unasked");
        send(&stranger, "10.227.128.11:4000", "unasked");
    }
    wait_until(PATIENCE, "the refusals", || Ok(gateway.rule("default")? >= 2)).unwrap();
    // Replies of the accepted flow go on.
    send(&server, &seen.to_string(), "more");
    assert_eq!(receive(&client).0, "more");
    assert!(traffic::is_empty(&client));
}

fn a_rejected_sender_is_told_at_once_and_a_dropped_one_is_not(lab: &Lab) {
    let lines = "from = \"overlay\"\nto = \"pods\"\nports = [\"8080\"]\nprotocol = ";
    for (action, answered) in [("reject", true), ("drop", false)] {
        let policy = Policy::seed()
            .first_rule("no proxies", &format!("{lines}\"tcp\"\naction = \"{action}\""))
            .first_rule("no datagrams", &format!("{lines}\"udp\"\naction = \"{action}\""));
        let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
        let server = listen(&lab.pods, "10.128.0.1:8080");
        let refused = try_connect(&lab.vm1, "10.128.0.1:8080", Duration::from_millis(1500)).unwrap_err();
        assert_eq!(refused.kind() == ErrorKind::ConnectionRefused, answered, "{action}: {refused}");
        assert!(server.accept().is_err());
        assert!(gateway.rule("no proxies").unwrap() >= 1);
        assert_eq!(gateway.rule("no proxies").unwrap(), gateway.reason("drop", &format!("rule-{action}")).unwrap());

        let client = udp(&lab.vm1, "10.227.128.11:4000");
        client.connect("10.128.0.1:8080").unwrap();
        client.send(b"let me through").unwrap();
        wait_until(PATIENCE, "the refusal", || Ok(gateway.rule("no datagrams")? == 1)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let told = client.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(told.kind() != ErrorKind::WouldBlock, answered, "{action}: {told}");
        gateway.stop().unwrap();
    }
}

fn an_interface_in_no_zone_carries_nothing_and_is_not_touched(lab: &Lab) {
    let dmz = Namespace::unique("dmz").unwrap();
    lab.gateway.ip(&format!("link add dmz0 type veth peer name eth0 netns {}", dmz.name())).unwrap();
    lab.gateway.ip("link set dmz0 up\naddress add 10.99.0.1/24 dev dmz0").unwrap();
    dmz.ip("link set eth0 up\naddress add 10.99.0.2/24 dev eth0\nroute add default via 10.99.0.1").unwrap();
    lab.pods.ip("route add 10.99.0.0/24 via 10.128.0.15").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    assert!(answers(&dmz, "10.99.0.1"), "the gateway itself still answers there");
    assert!(is_silent(&dmz, SERVER));
    assert!(is_silent(&lab.vm1, "10.99.0.2"));
    assert!(gateway.reason("drop", "no-zone").unwrap() >= 1, "{:#}", gateway.drops().unwrap());
    assert!(gateway.interface("dmz0").is_err());
    let shown = lab.gateway.run("bpftool", &["net", "show", "dev", "dmz0"]).unwrap();
    assert!(!shown.contains("dmz0"), "{shown}");
    let forwarding = lab.gateway.run("cat", &["/proc/sys/net/ipv4/conf/dmz0/forwarding"]).unwrap();
    assert_eq!(forwarding.trim(), "0");
}

fn rules_to_self_filter_the_gateways_own_services(lab: &Lab) {
    let _inside = listen(&lab.gateway, "0.0.0.0:22");
    let lines = "from = \"overlay\"\nto = \"self\"\nprotocol = \"tcp\"\nports = [\"22\"]\naction = \"accept\"";
    let gateway = Gateway::start(&lab.gateway, Policy::seed().first_rule("ssh from the overlay", lines).text()).unwrap();
    drop(connect(&lab.vm1, "10.227.128.15:22"));
    try_connect(&lab.onprem, "10.128.0.15:22", Duration::from_millis(1500)).expect_err("no rule allows it");
    assert!(is_silent(&lab.vm1, GATEWAY_OVERLAY), "nor this");
    // What the gateway itself begins goes on, and so does what it forwards.
    let server = listen(&lab.onprem, "10.10.0.10:80");
    for from in [&lab.gateway, &lab.vm1] {
        let mut client = connect(from, "10.10.0.10:80");
        let (mut accepted, _) = accept(&server);
        talk(&mut client, &mut accepted).unwrap();
    }
    assert!(answers(&lab.gateway, ONPREM));
    gateway.reload(Policy::seed().text()).unwrap();
    assert!(answers(&lab.vm1, GATEWAY_OVERLAY), "without a rule to self nothing of it is filtered");
}
