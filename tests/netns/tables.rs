//! Full tables refuse what is new, count it, and keep what is there.

use gateway_tests::wait::wait_until;
use gateway_tests::{Gateway, Lab};

use crate::bench::in_a_lab;
use crate::policy::Policy;
use crate::traffic::{PATIENCE, ask, is_empty, listen, send, talk, udp};

in_a_lab! {
    a_full_flow_table_refuses_new_flows_and_keeps_the_old
    a_flood_of_first_packets_cannot_end_an_established_flow
    one_host_cannot_have_more_than_its_quota
    status_shows_how_full_the_tables_are
}

/// Both places where a flow can find no room.
fn refused_for_room(gateway: &Gateway<'_>) -> anyhow::Result<u64> {
    ["flow-table-full", "half-open-table-full", "mapping-table-full"].iter().map(|reason| gateway.reason("drop", reason)).sum()
}

fn a_full_flow_table_refuses_new_flows_and_keeps_the_old(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().datapath("flows = 64").text()).unwrap();
    let listener = listen(&lab.pods, "10.128.0.1:8080");
    let mut client = crate::traffic::connect(&lab.vm1, "10.128.0.1:8080");
    let (mut accepted, _) = crate::traffic::accept(&listener);
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let mut established = 0;
    let mut clients = Vec::new();
    // Flows that are answered, until there is no room for another. Two hosts: each may have as many as the table is made for.
    for port in 10_000..10_400 {
        let client =
            if port % 2 == 0 { udp(&lab.vm1, &format!("10.227.128.11:{port}")) } else { udp(&lab.vm2, &format!("10.227.128.12:{port}")) };
        let before = refused_for_room(&gateway).unwrap();
        send(&client, "10.128.0.1:5001", "question");
        server.set_nonblocking(true).unwrap();
        let mut buffer = [0; 16];
        let answered = gateway_tests::wait::wait_for(PATIENCE, "an answer or a refusal", || {
            if let Ok((_, seen)) = server.recv_from(&mut buffer) {
                send(&server, &seen.to_string(), "answer");
            }
            client.set_nonblocking(true)?;
            if client.recv_from(&mut buffer).is_ok() {
                return Ok(Some(true));
            }
            Ok((refused_for_room(&gateway)? > before).then_some(false))
        })
        .unwrap();
        established += usize::from(answered);
        clients.push(client);
        if !answered {
            break;
        }
    }
    // A table is two thirds full with what it is made for; so small a one may refuse a key a little earlier, and never holds more than its places.
    assert!((48..=104).contains(&established), "{established} flows fit into a table of 64");
    assert!(refused_for_room(&gateway).unwrap() > 0);
    // The old ones go on.
    talk(&mut client, &mut accepted).unwrap();
    for client in [&clients[0], &clients[established - 1]] {
        client.set_nonblocking(false).unwrap();
        server.set_nonblocking(false).unwrap();
        ask(client, &server, "10.128.0.1:5001");
    }
}

fn a_flood_of_first_packets_cannot_end_an_established_flow(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().datapath("flows = 64").text()).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let old = udp(&lab.vm1, "10.227.128.11:4000");
    let seen = ask(&old, &server, "10.128.0.1:5001");
    for port in 0..2_000 {
        // No host alone can have all of the table.
        for (vm, address) in [(&lab.vm1, "10.227.128.11:0"), (&lab.vm2, "10.227.128.12:0")] {
            send(&udp(vm, address), &format!("10.10.0.10:{}", 10_000 + port), "flood");
        }
    }
    wait_until(PATIENCE, "refusals", || Ok(refused_for_room(&gateway)? > 0)).unwrap();
    assert_eq!(ask(&old, &server, "10.128.0.1:5001"), seen, "under the mapping that it had");
}

fn one_host_cannot_have_more_than_its_quota(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().datapath("flows = 4096\nflows-per-host = 8").text()).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    let greedy: Vec<_> = (4000..4012).map(|port| udp(&lab.vm1, &format!("10.227.128.11:{port}"))).collect();
    for client in &greedy[..8] {
        ask(client, &server, "10.128.0.1:5001");
    }
    for client in &greedy[8..] {
        send(client, "10.128.0.1:5001", "one more");
    }
    wait_until(PATIENCE, "the refusals", || Ok(gateway.reason("drop", "host-quota")? == 4)).unwrap();
    assert!(is_empty(&server));
    ask(&greedy[0], &server, "10.128.0.1:5001");
    ask(&udp(&lab.vm2, "10.227.128.12:4000"), &server, "10.128.0.1:5001");
    assert_eq!(gateway.flows().unwrap().len(), 9);
}

fn status_shows_how_full_the_tables_are(lab: &Lab) {
    let gateway = Gateway::start(&lab.gateway, Policy::seed().datapath("flows = 512").text()).unwrap();
    let server = udp(&lab.pods, "10.128.0.1:5001");
    for port in 4000..4010 {
        ask(&udp(&lab.vm1, &format!("10.227.128.11:{port}")), &server, "10.128.0.1:5001");
    }
    wait_until(PATIENCE, "the sweep to have counted", || {
        let status = gateway.status()?;
        let tables = status["tables"].as_array().unwrap();
        let of = |name: &str| tables.iter().find(|table| table["name"] == name).unwrap();
        Ok(of("flows")["used"] == 10 && of("mappings")["used"] == 10 && of("flows")["capacity"] == 512)
    })
    .unwrap();
    let traffic = &gateway.status().unwrap()["traffic"];
    assert!(traffic["flows_opened"] == 10 && traffic["packets_forwarded"].as_u64() >= Some(20), "{traffic:#}");
}
