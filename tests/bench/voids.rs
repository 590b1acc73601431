//! The bench notices: a run with a wrong or a missing packet is void.
use anyhow::Result;
use gateway_daemon::datapath::bench_object;
use gateway_ebpf::bench::Fault;
use gateway_tests::skip::may_use_namespaces;

use crate::clock::CpuClock;
use crate::path::{Path, Range};
use crate::subject::Expected;
use crate::workload::{Family, Nat, Setting, Size};

const PACKETS: u32 = 10_000;
/// Each flow has ten packets: so many are spoilt.
const FLOWS: u32 = PACKETS / 10;

const V6: Setting = Setting { family: Family::V6, nat: Nat::None, capacity: Setting::USUAL };

fn forward(path: &mut Path, setting: Setting, fault: Fault) -> Result<()> {
    path.config().fault = fault as u32;
    path.forward_by_xdp(if setting.family == Family::V4 { "bench_faulty" } else { "bench_faulty_v6" })
}

/// Sends through a forwarder with a fault; what the run says.
fn outcome(setting: Setting, fault: Fault, translated: bool) -> Result<f64> {
    let mut path = Path::through("void", bench_object(), setting, Expected { translated, routed: false })?;
    forward(&mut path, setting, fault)?;
    path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS)
}

fn is_void(test: &str, fault: Fault, translated: bool, why: &str) {
    if !may_use_namespaces(test) {
        return;
    }
    let error = outcome(Setting::masquerade(), fault, translated).expect_err("the run is void").to_string();
    assert!(error.contains(why), "{error}");
}

/// Faults that no checksum shows.
fn are_void_by_header(setting: Setting, faults: &[Fault]) {
    for fault in faults {
        let error = outcome(setting, *fault, false).expect_err("the run is void").to_string();
        assert!(error.contains("0 by checksum, 10 by header"), "{fault:?}: {error}");
    }
}

#[test]
fn a_run_without_faults_counts() {
    if may_use_namespaces("bench::voids::a_run_without_faults_counts") {
        assert!(outcome(Setting::masquerade(), Fault::None, false).unwrap() > 0.0);
        assert!(outcome(V6, Fault::None, false).unwrap() > 0.0);
    }
}

#[test]
fn a_corrupted_packet_voids_the_run() {
    is_void("bench::voids::a_corrupted_packet_voids_the_run", Fault::Corrupt, false, "10 by checksum, 0 by header");
}

#[test]
fn a_lost_packet_voids_the_run() {
    is_void("bench::voids::a_lost_packet_voids_the_run", Fault::Lose, false, "9990 of 10000 packets arrived");
}

#[test]
fn a_lost_and_a_repeated_packet_do_not_cancel_out() {
    let test = "bench::voids::a_lost_and_a_repeated_packet_do_not_cancel_out";
    is_void(test, Fault::Repeat, false, "10000, but some of them twice in place of others");
}

#[test]
fn a_wrong_mac_ethertype_or_hop_limit_voids_the_run() {
    let test = "bench::voids::a_wrong_mac_ethertype_or_hop_limit_voids_the_run";
    if may_use_namespaces(test) {
        are_void_by_header(Setting::masquerade(), &[Fault::Source, Fault::Destination, Fault::Ethertype, Fault::Hop]);
    }
}

#[test]
fn a_packet_that_was_not_routed_voids_the_run() {
    if !may_use_namespaces("bench::voids::a_packet_that_was_not_routed_voids_the_run") {
        return;
    }
    // With the hop limit that routing leaves, but the MACs of the link before.
    let mut path = Path::through("void", bench_object(), Setting::masquerade(), Expected { translated: false, routed: true }).unwrap();
    path.config().ttl += 1;
    forward(&mut path, Setting::masquerade(), Fault::None).unwrap();
    let error = path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS).unwrap_err().to_string();
    assert!(error.contains("0 by checksum, 10000 by header"), "{error}");
}

#[test]
fn ipv6_is_verified_alike() {
    if !may_use_namespaces("bench::voids::ipv6_is_verified_alike") {
        return;
    }
    are_void_by_header(V6, &[Fault::Misdirect, Fault::Hop, Fault::Source, Fault::Destination, Fault::Ethertype, Fault::Length]);
    let others = [
        (Fault::Corrupt, "10 by checksum, 0 by header"),
        (Fault::Lose, "9990 of 10000 packets arrived"),
        (Fault::Repeat, "10000, but some of them twice in place of others"),
    ];
    for (fault, why) in others {
        let error = outcome(V6, fault, false).expect_err("the run is void").to_string();
        assert!(error.contains(why), "{fault:?}: {error}");
    }
}

#[test]
fn a_packet_to_another_port_voids_the_run() {
    is_void("bench::voids::a_packet_to_another_port_voids_the_run", Fault::Misdirect, false, "0 by checksum, 10 by header");
}

#[test]
fn a_packet_that_was_not_translated_voids_the_run() {
    is_void("bench::voids::a_packet_that_was_not_translated_voids_the_run", Fault::None, true, "10000 by header");
}

#[test]
fn a_corrupted_tail_of_a_large_packet_voids_the_run() {
    let test = "bench::voids::a_corrupted_tail_of_a_large_packet_voids_the_run";
    if !may_use_namespaces(test) {
        return;
    }
    let mut path = Path::through("void", bench_object(), Setting::masquerade(), Expected { translated: false, routed: false }).unwrap();
    path.prepare(Size::Large);
    forward(&mut path, Setting::masquerade(), Fault::None).unwrap();
    path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS).unwrap();
    *path.frame().last_mut().unwrap() ^= 0x10;
    let error = path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS).unwrap_err().to_string();
    assert!(error.contains("10000 by checksum"), "{error}");
}
