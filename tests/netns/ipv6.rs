//! IPv6 is routed and filtered statefully, untranslated.

use std::time::Duration;

use gateway_tests::lab::{ONPREM_V6, SERVER_V6, VM1_V6};
use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::in_every_mode;
use crate::traffic::{PATIENCE, accept, answers, ask, connect, endpoint, is_empty, is_silent, listen, send, talk, try_connect, udp};

in_every_mode! {
    the_overlay_reaches_the_pods_untranslated
    what_nobody_asked_for_stays_out
    a_big_transfer_arrives_intact
}

fn the_overlay_reaches_the_pods_untranslated(lab: &Lab, gateway: &Gateway<'_>) {
    assert!(answers(&lab.vm1, SERVER_V6) && answers(&lab.vm2, ONPREM_V6));
    let server = listen(&lab.onprem, "[fd00:10::10]:8080");
    let mut client = connect(&lab.vm1, "[fd00:10::10]:8080");
    let (mut accepted, seen) = accept(&server);
    assert_eq!(seen, client.local_addr().unwrap());
    talk(&mut client, &mut accepted).unwrap();
    let datagrams = udp(&lab.pods, "[fd00:128::1]:5001");
    let seen = ask(&udp(&lab.vm1, "[fd00:227::11]:4000"), &datagrams, "[fd00:128::1]:5001");
    assert_eq!(seen, endpoint("[fd00:227::11]:4000"));
    let flows = gateway.flows().unwrap();
    let flow = flows.iter().find(|flow| flow["family"] == 6 && flow["protocol"] == "tcp").unwrap();
    assert_eq!((&flow["state"], &flow["rule"]), (&"established".into(), &"overlay to pods".into()));
    assert!(flow["external"].is_null() && flow["nat_rule"].is_null(), "{flow:#}");
}

fn what_nobody_asked_for_stays_out(lab: &Lab, gateway: &Gateway<'_>) {
    let inside = udp(&lab.vm1, "[fd00:227::11]:4000");
    send(&udp(&lab.pods, "[fd00:128::1]:5001"), "[fd00:227::11]:4000", "unasked");
    wait_until(PATIENCE, "the refusal", || Ok(gateway.rule("default")? >= 1)).unwrap();
    assert!(is_empty(&inside));
    assert!(is_silent(&lab.onprem, VM1_V6));
    let _listener = listen(&lab.vm1, "[fd00:227::11]:3389");
    try_connect(&lab.onprem, "[fd00:227::11]:3389", Duration::from_millis(1500)).expect_err("not from there");
}

fn a_big_transfer_arrives_intact(lab: &Lab, _gateway: &Gateway<'_>) {
    let server = listen(&lab.pods, "[fd00:128::1]:8080");
    let client = connect(&lab.vm1, "[fd00:128::1]:8080");
    let (accepted, _) = accept(&server);
    let (client, accepted) = crate::flows::carry(client, accepted, 16 << 20);
    crate::flows::carry(accepted, client, 16 << 20);
}
