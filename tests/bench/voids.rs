//! The bench notices: a run with a wrong or a missing packet is void.
use anyhow::Result;
use gateway_daemon::datapath::bench_object;
use gateway_ebpf::bench::Fault;
use gateway_tests::skip::may_use_namespaces;

use crate::clock::CpuClock;
use crate::path::{Expected, Path, Range};
use crate::workload::{Setting, Size};

const PACKETS: u32 = 10_000;
/// Each flow has ten packets: so many are spoilt.
const FLOWS: u32 = PACKETS / 10;

fn forward(path: &mut Path, fault: Fault) -> Result<()> {
    path.config().fault = fault as u32;
    path.forward_by_xdp("bench_faulty")
}

/// Sends through a forwarder with a fault; what the run says.
fn outcome(fault: Fault, translated: bool) -> Result<f64> {
    let mut path = Path::through("void", bench_object(), Setting::masquerade(), Expected { translated, routed: false })?;
    forward(&mut path, fault)?;
    path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS)
}

fn is_void(test: &str, fault: Fault, translated: bool, why: &str) {
    if !may_use_namespaces(test) {
        return;
    }
    let error = outcome(fault, translated).expect_err("the run is void").to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_run_without_faults_counts() {
    if may_use_namespaces("bench::voids::a_run_without_faults_counts") {
        assert!(outcome(Fault::None, false).unwrap() > 0.0);
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
    forward(&mut path, Fault::None).unwrap();
    path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS).unwrap();
    *path.frame().last_mut().unwrap() ^= 0x10;
    let error = path.measure(&CpuClock::of(0), Range::of(FLOWS), PACKETS).unwrap_err().to_string();
    assert!(error.contains("10000 by checksum"), "{error}");
}
