//! What the gateway says of packets that it cannot forward: the kernel answers for it.

use gateway_tests::lab::{GATEWAY_OVERLAY, GATEWAY_OVERLAY_V6, SERVER, SERVER_V6};
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_both_modes};
use crate::policy::Policy;
use crate::traffic::{answers, ping, said};

in_both_modes! {
    a_hop_limit_that_ends_here_is_answered
    a_packet_too_big_for_the_next_link_is_answered
}
in_a_lab! { a_destination_without_a_route_is_answered }

fn a_hop_limit_that_ends_here_is_answered(lab: &Lab, gateway: &Gateway<'_>) {
    for (to, from) in [(SERVER, GATEWAY_OVERLAY), (SERVER_V6, GATEWAY_OVERLAY_V6)] {
        let output = ping(&lab.vm1, &["-c1", "-W5", "-t1", to]);
        assert!(said(&output).contains(&format!("From {from}")), "{}", said(&output));
        assert!(said(&output).contains("Time to live exceeded") || said(&output).contains("Hop limit"), "{}", said(&output));
        assert!(ping(&lab.vm1, &["-c1", "-W5", "-t2", to]).status.success(), "with one more hop it arrives");
    }
    assert!(gateway.reason("punt", "hop-limit").unwrap() >= 2);
}

fn a_packet_too_big_for_the_next_link_is_answered(lab: &Lab, gateway: &Gateway<'_>) {
    lab.pods.ip("link set pods0 mtu 1300").unwrap();
    lab.gateway.ip("link set eth0 mtu 1300").unwrap();
    gateway.wait_interface("eth0", "of the smaller MTU", |leg| leg["mtu"] == 1300).unwrap();
    assert!(ping(&lab.vm1, &["-c1", "-W5", "-Mdo", "-s1200", SERVER]).status.success());
    // 1372 and 28 bytes of headers fill the overlay's 1400.
    let output = ping(&lab.vm1, &["-c1", "-W5", "-Mdo", "-s1372", SERVER]);
    assert!(said(&output).contains("mtu = 1300") || said(&output).contains("mtu=1300"), "{}", said(&output));
    assert!(said(&output).contains(&format!("From {GATEWAY_OVERLAY}")), "{}", said(&output));
    assert!(gateway.reason("punt", "too-big").unwrap() >= 1);
    // TCP learns it and goes on (path MTU discovery).
    let server = crate::traffic::listen(&lab.pods, "10.128.0.1:8080");
    let client = crate::traffic::connect(&lab.vm1, "10.128.0.1:8080");
    let (accepted, _) = crate::traffic::accept(&server);
    crate::flows::carry(client, accepted, 1 << 20);
    let output = ping(&lab.vm2, &["-c1", "-W5", "-Mdo", "-s1352", SERVER_V6]);
    assert!(said(&output).contains("1300") && said(&output).contains(GATEWAY_OVERLAY_V6), "{}", said(&output));
}

fn a_destination_without_a_route_is_answered(lab: &Lab) {
    lab.gateway.ip("route del default\nroute add 10.10.0.0/16 via 10.128.0.1").unwrap();
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let output = ping(&lab.vm1, &["-c1", "-W5", "192.0.2.1"]);
    assert!(said(&output).contains(&format!("From {GATEWAY_OVERLAY}")) && said(&output).contains("Unreachable"), "{}", said(&output));
    assert!(gateway.reason("punt", "no-route").unwrap() >= 1);
    assert!(answers(&lab.vm1, SERVER));
}
