//! The sweep ends what is idle, and only that. Time is an argument of the sweep, so nothing waits.

use std::time::Duration;

use anyhow::Result;
use gateway_daemon::datapath::{Datapath, TcHook, inspect};
use gateway_daemon::model::Timeouts;
use gateway_ebpf::abi::{FlowState, Tick};
use gateway_tests::lab::{Lab, SERVER};
use gateway_tests::skip::may_use_namespaces;
use gateway_tests::wait::{tcp_listening, wait_until};

use crate::lent::with_datapath;

/// So many seconds after the last packet of any flow.
fn after(datapath: &Datapath, seconds: u64) -> Result<Tick> {
    let flows = inspect::flows(datapath.maps());
    let last = flows.iter().map(|flow| flow.last_seen.0).max().unwrap_or(0);
    Ok(Tick(last + Tick::ceil_millis(seconds * 1000)))
}

#[test]
fn an_idle_flow_ends_at_its_time_and_its_mapping_with_it() {
    if !may_use_namespaces("expiry::an_idle_flow_ends_at_its_time_and_its_mapping_with_it") {
        return;
    }
    let lab = Lab::unique("expiry").unwrap();
    let timeouts = Timeouts { icmp: Duration::from_secs(60), ..Timeouts::default() };
    with_datapath(&lab, TcHook::of_this_kernel(), |datapath| {
        lab.vm1.run("ping", &["-c", "2", "-i", "0.2", "-W", "2", SERVER])?;
        assert_eq!((inspect::flows(datapath.maps()).len(), inspect::mappings(datapath.maps()).len()), (1, 1));

        let early = after(datapath, 59)?;
        let swept = datapath.sweep(early, &timeouts)?;
        assert_eq!((swept.flows, swept.ended, swept.mappings), (1, 0, 1), "RFC 5508 REQ-2: at least 60 s");
        assert_eq!(swept.live.packets, 4, "two requests and two replies");

        let late = after(datapath, 62)?;
        let swept = datapath.sweep(late, &timeouts)?;
        assert_eq!((swept.flows, swept.ended, swept.mappings), (0, 1, 0));
        assert_eq!(swept.gone.packets, 4);
        assert_eq!((inspect::flows(datapath.maps()).len(), inspect::mappings(datapath.maps()).len()), (0, 0));
        // Both directions and the external endpoint are gone too: nothing is left in any table.
        let mut left = 0;
        datapath.maps().v4.flows.for_each(|_, _| left += 1);
        datapath.maps().v4.half_open.for_each(|_, _| left += 1);
        datapath.maps().endpoints.for_each(|_, _| left += 1);
        datapath.maps().v4.hosts.for_each(|_, _| left += 1)?;
        assert_eq!(left, 0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_mapping_lives_as_long_as_a_flow_uses_it() {
    if !may_use_namespaces("expiry::a_mapping_lives_as_long_as_a_flow_uses_it") {
        return;
    }
    let lab = Lab::unique("expiry").unwrap();
    let server = lab.pods.spawn(Duration::from_secs(60), "nc", &["-l", "-k", "4242"]).unwrap();
    wait_until(Duration::from_secs(10), "the server listens", || tcp_listening(&lab.pods, 4242)).unwrap();
    with_datapath(&lab, TcHook::of_this_kernel(), |datapath| {
        let client = lab.vm1.spawn(Duration::from_secs(60), "nc", &[SERVER, "4242"])?;
        wait_until(Duration::from_secs(10), "the connection is established", || {
            Ok(inspect::flows(datapath.maps()).iter().any(|flow| flow.state == FlowState::ESTABLISHED))
        })?;
        // A mapping of its own ends after four minutes; an established connection may be silent for two hours (RFC 5382 REQ-5).
        let silent = after(datapath, 7000)?;
        let swept = datapath.sweep(silent, &Timeouts::default())?;
        assert_eq!((swept.flows, swept.mappings), (1, 1));
        let too_long = after(datapath, 7445)?;
        let swept = datapath.sweep(too_long, &Timeouts::default())?;
        assert_eq!((swept.flows, swept.mappings), (0, 0));
        drop(client);
        Ok(())
    })
    .unwrap();
    drop(server);
}

#[test]
fn a_refused_connection_is_forgotten_soon_and_an_unanswered_one_is_not() {
    if !may_use_namespaces("expiry::a_refused_connection_is_forgotten_soon_and_an_unanswered_one_is_not") {
        return;
    }
    let lab = Lab::unique("expiry").unwrap();
    with_datapath(&lab, TcHook::of_this_kernel(), |datapath| {
        // Nobody listens there: the server answers with RST.
        let refused = lab.vm1.output("nc", &["-w", "2", "-z", SERVER, "4"])?;
        assert!(!refused.status.success());
        assert_eq!(inspect::flows(datapath.maps()).len(), 1);
        let soon = after(datapath, 12)?;
        assert_eq!(datapath.sweep(soon, &Timeouts::default())?.ended, 1);

        // Nobody is there at all.
        let _ = lab.vm1.output("nc", &["-w", "1", "-z", "10.10.0.99", "4"])?;
        assert_eq!(inspect::flows(datapath.maps()).len(), 1);
        let minutes = after(datapath, 230)?;
        assert_eq!(datapath.sweep(minutes, &Timeouts::default())?.ended, 0, "RFC 7857 section 2.1: four minutes");
        let more = after(datapath, 242)?;
        assert_eq!(datapath.sweep(more, &Timeouts::default())?.ended, 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_flood_of_first_packets_is_given_seconds_and_a_few_are_given_minutes() {
    if !may_use_namespaces("expiry::a_flood_of_first_packets_is_given_seconds_and_a_few_are_given_minutes") {
        return;
    }
    for (packets, ended) in [(10u64, 0), (600, 600)] {
        let lab = Lab::unique("expiry").unwrap();
        with_datapath(&lab, TcHook::of_this_kernel(), |datapath| {
            // The lent datapath has 1024 half-open places. One packet each to as many ports that nobody answers from.
            let flood = format!("for port in $(seq 2001 {}); do echo x > /dev/udp/10.10.0.99/$port; done", 2000 + packets);
            lab.vm1.output("bash", &["-c", &flood])?;
            let at_once = after(datapath, 1)?;
            assert_eq!(datapath.sweep(at_once, &Timeouts::default())?.half_open, packets);
            let soon = after(datapath, 12)?;
            assert_eq!(datapath.sweep(soon, &Timeouts::default())?.ended, ended);
            Ok(())
        })
        .unwrap();
    }
}
