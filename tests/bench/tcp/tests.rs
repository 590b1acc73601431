//! TCP: a wrong byte, a missing one, and a wrong checksum void the run.

use anyhow::Result;

use crate::contents::{PERIOD, pattern, receive};
use crate::counters::Counters;

const BYTES: usize = 2 * PERIOD + 100;

fn outcome(spoil: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let pattern = pattern();
    let mut bytes: Vec<u8> = pattern.iter().copied().cycle().take(BYTES).collect();
    spoil(&mut bytes);
    receive(&mut bytes.as_slice(), &pattern, BYTES)
}

#[test]
fn what_is_whole_counts() {
    outcome(|_| {}).unwrap();
}

#[test]
fn a_turned_bit_a_missing_byte_and_one_too_many_are_noticed() {
    let last = outcome(|bytes| *bytes.last_mut().unwrap() ^= 1).unwrap_err().to_string();
    assert!(last.contains("some are wrong"), "{last}");
    let missing = outcome(|bytes| bytes.truncate(BYTES - 1)).unwrap_err().to_string();
    assert!(missing.contains("131141 of 131142 bytes arrived"), "{missing}");
    let within = outcome(|bytes| _ = bytes.remove(PERIOD + 7)).unwrap_err().to_string();
    assert!(within.contains("some are wrong"), "{within}");
    let more = outcome(|bytes| bytes.push(bytes[100])).unwrap_err().to_string();
    assert!(more.contains("131143 of 131142 bytes arrived"), "{more}");
}

/// `/proc/net/snmp`, with faults of the IP header, TCP segments sent again, and TCP segments with a wrong checksum.
fn snmp(header: u32, again: u32, checksum: u32) -> String {
    format!(
        "Ip: Forwarding InReceives InHdrErrors\nIp: 1 9 {header}\nIcmp: InMsgs InCsumErrors\nIcmp: 3 77\n\
         Tcp: MaxConn RetransSegs InErrs InCsumErrors\nTcp: -1 {again} 8 {checksum}\n"
    )
}

#[test]
fn a_wrong_checksum_voids_and_a_segment_sent_again_is_counted() {
    let before = Counters::parse(&snmp(1, 2, 3)).unwrap();
    assert_eq!(Counters::parse(&snmp(1, 7, 3)).unwrap().judge(before).unwrap(), 5);
    for wrong in [snmp(2, 2, 3), snmp(1, 2, 4)] {
        let error = Counters::parse(&wrong).unwrap().judge(before).unwrap_err().to_string();
        assert!(error.contains("1 segments were received with a wrong checksum"), "{error}");
    }
}

#[test]
fn a_kernel_that_does_not_count_is_an_error() {
    let error = Counters::parse("Ip: InHdrErrors\nIp: 0\nTcp: RetransSegs\nTcp: 1\n").unwrap_err().to_string();
    assert!(error.contains("no InCsumErrors of Tcp"), "{error}");
}
