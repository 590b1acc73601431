//! Sources that cannot be: strict reverse path (RFC 3704), and the gateway's own addresses from outside.

use gateway_tests::lab::{GATEWAY_PODS, SERVER};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::{in_a_lab, in_both_modes};
use crate::policy::Policy;
use crate::traffic::{PATIENCE, answers, endpoint, is_empty, receive, send, udp};

in_both_modes! { a_source_from_the_wrong_side_is_dropped the_gateways_own_address_is_no_source }
in_a_lab! { source_validation_may_be_loose_or_off }

fn a_source_from_the_wrong_side_is_dropped(lab: &Lab, gateway: &Gateway<'_>) {
    // On-premises lies behind the other leg.
    lab.vm1.ip("address add 10.10.0.77/32 dev lo").unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    send(&udp(&lab.vm1, "10.10.0.77:4000"), "10.128.0.1:5001", "spoofed");
    wait_until(PATIENCE, "the drop", || Ok(gateway.reason("drop", "source-validation")? == 1)).unwrap();
    assert!(is_empty(&server));
    assert!(gateway.flows().unwrap().is_empty() && gateway.mappings().unwrap().is_empty());
    assert!(answers(&lab.vm1, SERVER));
}

fn the_gateways_own_address_is_no_source(lab: &Lab, gateway: &Gateway<'_>) {
    // Neighbours first: who asks for them in the gateway's own name gets no answer.
    assert!(answers(&lab.vm1, SERVER));
    lab.vm1.ip(&format!("address add {GATEWAY_PODS}/32 dev lo")).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    send(&udp(&lab.vm1, "10.128.0.15:4000"), "10.128.0.1:5001", "spoofed");
    wait_until(PATIENCE, "the drop", || Ok(gateway.reason("drop", "source-is-self")? == 1)).unwrap();
    assert!(is_empty(&server));
    assert!(gateway.flows().unwrap().iter().all(|flow| flow["protocol"] == "icmp"));
}

fn source_validation_may_be_loose_or_off(lab: &Lab) {
    lab.vm1.ip("address add 10.10.0.77/32 dev lo").unwrap();
    lab.gateway.ip("route del default\nroute add 10.10.0.0/16 via 10.128.0.1").unwrap();
    lab.vm1.ip("address add 192.0.2.7/32 dev lo").unwrap();
    // The masquerade is for the overlay's own addresses, so these keep theirs.
    let (reachable, unreachable) = ("10.10.0.77:4000", "192.0.2.7:4000");
    for (validation, passes) in [("strict", &[][..]), ("loose", &[reachable]), ("off", &[reachable, unreachable])] {
        let policy = Policy::seed().overlay_leg(&format!("source-validation = \"{validation}\""));
        let gateway = Gateway::start(&lab.gateway, policy.text()).unwrap();
        let server = udp(&lab.pods, "10.128.0.1:5001");
        for source in [reachable, unreachable] {
            let before = gateway.reason("drop", "source-validation").unwrap();
            send(&udp(&lab.vm1, source), "10.128.0.1:5001", source);
            if passes.contains(&source) {
                assert_eq!(receive(&server), (source.to_owned(), endpoint(source)), "{validation}");
            } else {
                wait_until(PATIENCE, format_args!("{source} to be dropped ({validation})"), || {
                    Ok(gateway.reason("drop", "source-validation")? == before + 1)
                })
                .unwrap();
                assert!(is_empty(&server));
            }
        }
        gateway.stop().unwrap();
    }
}
