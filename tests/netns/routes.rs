//! Routes: those of the kernel are followed, those of the policy are configured and taken back.

use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{Mode, in_a_lab};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, ask, endpoint, udp};

in_a_lab! {
    flows_move_with_a_route
    routes_of_the_policy_are_configured_kept_and_taken_back
    the_kernel_keeps_next_hops_resolved_while_the_gateway_runs
}

/// Packets that the interface in the pods' namespace has received.
fn received(lab: &Lab, interface: &str) -> u64 {
    let text = lab.pods.run("cat", &["/proc/net/dev"]).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{interface}:")));
    line.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn flows_move_with_a_route(lab: &Lab) {
    let pods = lab.pods.name();
    lab.gateway
        .ip(&format!("link add eth2 type veth peer name pods1 netns {pods}\nlink set eth2 up\naddress add 10.129.0.15/24 dev eth2"))
        .unwrap();
    lab.pods.ip("link set pods1 up\naddress add 10.129.0.1/24 dev pods1").unwrap();
    lab.gateway.run("ethtool", &["-K", "eth2", "gro", "on"]).unwrap();
    lab.pods.run("ethtool", &["-K", "pods1", "gro", "on"]).unwrap();
    for mode in [Mode::Tc, Mode::Xdp] {
        let policy = Policy::seed().mode(mode).replace("pods = [\"eth0\"]", "pods = [\"eth0\", \"eth2\"]");
        let policy = policy.replace("translate = \"masquerade\"", "translate = \"none\"");
        let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
        let client = udp(&lab.vm1, "10.227.128.11:4000");
        let server = udp(&lab.onprem, "10.10.0.10:5001");
        let talk = |packets: usize| {
            for _ in 0..packets {
                assert_eq!(ask(&client, &server, "10.10.0.10:5001"), endpoint("10.227.128.11:4000"));
            }
        };
        talk(10);
        for (route, back, interface) in [("10.129.0.1", "10.129.0.15", "pods1"), ("10.128.0.1", "10.128.0.15", "pods0")] {
            lab.gateway.ip(&format!("route replace 10.10.0.0/16 via {route}")).unwrap();
            lab.pods.ip(&format!("route replace 10.227.128.0/21 via {back}")).unwrap();
            // The change reaches the datapath by way of the daemon; until then packets take the way that they took. So many at a time that
            // neighbour discovery on the link is not taken for them.
            wait_until(PATIENCE, format_args!("packets through {interface}"), || {
                let before = received(lab, interface);
                for _ in 0..20 {
                    crate::traffic::send(&client, "10.10.0.10:5001", "knock");
                    server.recv_from(&mut [0; 64])?;
                }
                Ok(received(lab, interface) >= before + 20)
            })
            .unwrap();
            let before = received(lab, interface);
            talk(10);
            assert!(received(lab, interface) >= before + 10, "{interface}, {mode:?}");
        }
        assert_eq!(gateway.flows().unwrap().len(), 1, "still one flow");
        gateway.stop().unwrap();
        lab.gateway.ip("route del 10.10.0.0/16").unwrap();
    }
}

fn routes_of_the_policy_are_configured_kept_and_taken_back(lab: &Lab) {
    let shows = |text: &str| Ok(lab.gateway.run("ip", &["route"])?.contains(text));
    lab.gateway.ip("route add 192.0.2.0/24 via 10.128.0.1").unwrap();
    let route = "[[routes]]\nto = \"172.16.0.0/12\"\nvia = \"10.128.0.1\"\nmetric = 50";
    let gateway = Gateway::start(&lab.gateway, Policy::seed().and(route).text()).unwrap();
    assert!(shows("172.16.0.0/12 via 10.128.0.1").unwrap());
    lab.gateway.ip("route del 172.16.0.0/12").unwrap();
    wait_until(PATIENCE, "the route to be put back", || shows("172.16.0.0/12 via 10.128.0.1")).unwrap();
    gateway.reload(Policy::seed().and(&route.replace("172.16.0.0/12", "172.20.0.0/16")).text()).unwrap();
    wait_until(PATIENCE, "the exchange", || Ok(shows("172.20.0.0/16 via")? && !shows("172.16.0.0/12")?)).unwrap();
    gateway.stop().unwrap();
    assert!(!shows("172.20.0.0/16").unwrap() && shows("192.0.2.0/24").unwrap());
}

fn the_kernel_keeps_next_hops_resolved_while_the_gateway_runs(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().text()).unwrap();
    let is_managed = |neighbour: &str| -> bool { lab.gateway.run("ip", &["neigh", "show", neighbour]).unwrap().contains("managed") };
    // The default gateway is needed by whatever comes; a host once flows go to it.
    wait_until(PATIENCE, "the default gateway to be managed", || Ok(is_managed("10.128.0.1"))).unwrap();
    assert!(!is_managed("10.227.128.11"));
    assert!(crate::traffic::answers(&lab.vm1, gateway_tests::lab::SERVER));
    wait_until(PATIENCE, "the host to be managed", || Ok(is_managed("10.227.128.11"))).unwrap();
    gateway.stop().unwrap();
    assert!(!is_managed("10.128.0.1") && !is_managed("10.227.128.11"));
}
