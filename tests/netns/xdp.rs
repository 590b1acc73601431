//! XDP in front of tc: what it carries, what it leaves, and where it cannot be.

use gateway_tests::lab::SERVER;
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab, Namespace};

use crate::bench::{Mode, complete_checksums, in_a_lab};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, accept, answers, ask, connect, listen, talk, udp};

in_a_lab! {
    established_flows_are_carried_by_xdp_and_the_rest_by_tc
    open_checksums_are_left_to_tc_and_arrive_complete
    an_interface_without_native_xdp_falls_back_to_tc_and_says_why
    the_mode_of_one_interface_may_differ
    the_mode_may_change_at_a_reload
}

/// Packets that XDP has redirected away from an interface, by the driver's own count.
fn redirected(namespace: &Namespace, interface: &str) -> u64 {
    let text = namespace.run("ethtool", &["-S", interface]).unwrap();
    let counts = text.lines().filter(|line| line.trim().starts_with("rx_queue") && line.contains("xdp_redirect:"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// The kernel says which drivers accept frames from XDP (6.3). Where it does not, tc forwards, and `status` says so.
fn tells(gateway: &Gateway<'_>) -> bool {
    !gateway.interface("eth0").unwrap()["reason"].as_str().unwrap().contains("before Linux 6.3")
}

fn established_flows_are_carried_by_xdp_and_the_rest_by_tc(lab: &Lab) {
    complete_checksums(lab);
    let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(Mode::Xdp).text()).unwrap();
    let both = || redirected(&lab.gateway, "eth0") + redirected(&lab.gateway, "eth1");
    let before = both();
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    // The first packet opens the flow, and the answer establishes it: both are tc's.
    ask(&client, &server, "10.128.0.1:5001");
    assert_eq!(both(), before);
    for _ in 0..50 {
        ask(&client, &server, "10.128.0.1:5001");
    }
    let carried = both() - before;
    if tells(&gateway) {
        // A few may be tc's, until both next hops are known.
        assert!(carried >= 80, "of 100 packets XDP carried {carried}");
    } else {
        assert_eq!(carried, 0, "to nobody who may not accept it");
    }
    let flows = gateway.flows().unwrap();
    let flow = &flows[0];
    assert_eq!((flow["packets_original"].as_u64(), flow["packets_reply"].as_u64()), (Some(51), Some(51)), "counted all the same: {flow:#}");

    // A connection opens and closes by tc.
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut stream = connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = accept(&listener);
    for _ in 0..10 {
        talk(&mut stream, &mut accepted).unwrap();
    }
    drop((stream, accepted));
    wait_until(PATIENCE, "the flow to close", || {
        Ok(gateway.flows()?.iter().all(|flow| flow["protocol"] != "tcp" || flow["state"] == "closed"))
    })
    .unwrap();
}

fn open_checksums_are_left_to_tc_and_arrive_complete(lab: &Lab) {
    let _gateway = Gateway::start(&lab.gateway, Policy::seed().mode(Mode::Xdp).text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let stream = connect(&lab.vm1, "10.128.0.1:8080");
    let (accepted, _) = accept(&listener);
    let (stream, accepted) = crate::flows::carry(stream, accepted, 4 << 20);
    crate::flows::carry(accepted, stream, 4 << 20);
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    for _ in 0..10 {
        ask(&client, &server, "10.128.0.1:5001");
    }
    let by_xdp = redirected(&lab.gateway, "eth0") + redirected(&lab.gateway, "eth1");
    // A whole checksum may look like an open one and the other way round, once in 65,535.
    assert!(by_xdp < 100, "{by_xdp} packets with open checksums were taken by XDP");
}

fn an_interface_without_native_xdp_falls_back_to_tc_and_says_why(lab: &Lab) {
    // A bridge has no XDP of its own.
    lab.gateway.ip("link add br9 type bridge stp_state 0 forward_delay 0\nlink set br9 up\nlink set eth1 master br9").unwrap();
    let policy = Policy::seed().mode(Mode::Xdp).replace("[interfaces.eth1]", "[interfaces.br9]").replace("[\"eth1\"]", "[\"br9\"]");
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let leg = gateway.interface("br9").unwrap();
    assert_eq!(leg["datapath"], "tc", "{leg:#}");
    let reason = leg["reason"].as_str().unwrap();
    if tells(&gateway) {
        assert!(reason.contains("no native XDP"), "{leg:#}");
    } else {
        assert!(reason.contains("the kernel refused xdp") && reason.contains("Operation not supported"), "{leg:#}");
    }
    assert_eq!(gateway.interface("eth0").unwrap()["datapath"], "xdp+tc");
    assert!(answers(&lab.vm1, SERVER));
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let stream = connect(&lab.vm1, "10.128.0.1:8080");
    let (accepted, _) = accept(&listener);
    let (stream, accepted) = crate::flows::carry(stream, accepted, 4 << 20);
    crate::flows::carry(accepted, stream, 4 << 20);
}

fn the_mode_of_one_interface_may_differ(lab: &Lab) {
    let policy = Policy::seed().mode(Mode::Tc).overlay_leg("datapath = \"xdp\"");
    let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
    let shown = |leg: &str| gateway.interface(leg).unwrap()["datapath"].as_str().unwrap().to_owned();
    assert_eq!((shown("eth0"), shown("eth1")), ("tc".to_owned(), "xdp+tc".to_owned()));
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    for _ in 0..5 {
        ask(&client, &server, "10.128.0.1:5001");
    }
}

fn the_mode_may_change_at_a_reload(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().mode(Mode::Tc).text()).unwrap();
    let (client, server) = (udp(&lab.vm1, "10.227.128.11:4000"), udp(&lab.pods, "10.128.0.1:5001"));
    let seen = ask(&client, &server, "10.128.0.1:5001");
    for mode in [Mode::Xdp, Mode::Tc] {
        gateway.reload(Policy::seed().mode(mode).text()).unwrap();
        gateway.wait_interface("eth1", "in its new mode", |leg| leg["datapath"] == mode.datapath()).unwrap();
        assert_eq!(ask(&client, &server, "10.128.0.1:5001"), seen, "the flow goes on");
    }
}
