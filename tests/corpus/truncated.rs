//! Frames that end too early, at every byte.

use gateway_ebpf::abi::{DropReason, PassReason};
use gateway_tests::frames::flag;

use crate::{Case, dropped, passed, v4, v6};

/// Every kind of frame, cut at every byte. XDP leaves them to tc: the rest may be in a second buffer.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (family, path) in [("IPv4", v4()), ("IPv6", v6())] {
        for (kind, frame) in [("TCP", path.tcp(flag::ACK, b"data")), ("UDP", path.udp(b"data")), ("echo", path.echo_request(b"data"))] {
            for length in 0..frame.len() {
                let sentence = format!("{family} {kind} ends after {length} bytes");
                let cut = frame[..length].to_vec();
                cases.push(if length < 14 {
                    passed(&sentence, cut, PassReason::NotIp)
                } else {
                    dropped(&sentence, cut, DropReason::Truncated)
                });
            }
        }
    }
    cases
}
