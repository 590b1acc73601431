//! Bad packets, each kind with one sentence: what becomes of them at both hooks, and that none is forwarded.

mod ip_v4;
mod ip_v6;
mod link;
mod transport;
mod truncated;

use gateway_ebpf::abi::{Action, DropReason, IfIndex, PassReason, Reason};
use gateway_tests::frames::{Path, flag, hex};
use gateway_tests::site::{self, LAN_LEG};
use gateway_tests::world::{Policy, World};

/// A bad packet.
pub struct Case {
    /// What is bad about it.
    pub sentence: String,
    /// Where it arrives.
    pub arrival: IfIndex,
    /// The frame.
    pub frame: Vec<u8>,
    /// What tc does with it.
    pub reason: Reason,
}

/// A frame on the lan leg.
pub fn case(sentence: &str, frame: Vec<u8>, reason: Reason) -> Case {
    Case { sentence: sentence.to_owned(), arrival: LAN_LEG, frame, reason }
}

/// A frame on the lan leg that is dropped.
pub fn dropped(sentence: &str, frame: Vec<u8>, reason: DropReason) -> Case {
    case(sentence, frame, Reason::Drop(reason))
}

/// A frame on the lan leg that is not ours.
pub fn passed(sentence: &str, frame: Vec<u8>, reason: PassReason) -> Case {
    case(sentence, frame, Reason::Pass(reason))
}

/// The flow whose frames are spoilt: it is established, so that nothing but the fault can stop them.
pub fn v4() -> Path {
    site::path(LAN_LEG, "10.0.1.10", 5000, "192.0.2.80", 443)
}

/// The same over IPv6.
pub fn v6() -> Path {
    site::path(LAN_LEG, "fd00:1::10", 5000, "2001:db8:ffff::80", 443)
}

/// A world that accepts everything and in which the spoilt flows are established.
fn world() -> World {
    let mut world = site::world(&Policy { default: Action::ACCEPT, firewall: vec![], ..site::policy() });
    for path in [v4(), v6()] {
        let mut exchange = |mut there: Vec<u8>, answer: &dyn Fn(&Path) -> Vec<u8>| {
            let sent = world.tc(&mut there, LAN_LEG).expect("a good packet");
            let far = gateway_tests::frames::Seen::sound(&there).path;
            let _ = world.tc(&mut answer(&far.back()), sent.egress).expect("a good answer");
        };
        exchange(path.tcp(flag::SYN, b""), &|far| far.tcp(flag::SYN | flag::ACK, b""));
        exchange(path.udp(b""), &|far| far.udp(b""));
        exchange(path.echo_request(b""), &|far| far.echo_reply(b""));
        let _ = world.tc(&mut path.tcp(flag::ACK, b""), LAN_LEG).expect("a good packet");
    }
    world
}

/// XDP drops by itself what parsing alone finds, and leaves the rest to tc: packets with options or extension headers, too.
fn at_xdp(case: &Case) -> bool {
    use DropReason as D;
    let certain = [
        D::BadIpHeader,
        D::BadIpChecksum,
        D::BadTcpHeader,
        D::BadUdpHeader,
        D::BadIcmpHeader,
        D::Land,
        D::MartianSource,
        D::MartianDestination,
    ];
    matches!(case.reason, Reason::Drop(reason) if certain.contains(&reason)) && has_only_fixed_headers(&case.frame)
}

/// IPv4 of five words (RFC 791 section 3.1); IPv6 without the headers of RFC 8200 section 4 and RFC 4302.
fn has_only_fixed_headers(frame: &[u8]) -> bool {
    match frame[12..14] {
        [0x08, 0x00] => frame[14] == 0x45,
        [0x86, 0xdd] => ![0, 43, 44, 51, 60].contains(&frame[20]),
        _ => false,
    }
}

fn corpus() -> Vec<Case> {
    [link::cases(), ip_v4::cases(), ip_v6::cases(), transport::cases(), truncated::cases()].into_iter().flatten().collect()
}

#[test]
fn no_bad_packet_is_forwarded_and_each_has_its_reason() {
    let mut world = world();
    let corpus = corpus();
    for case in &corpus {
        let before = world.snapshot();
        let mut frame = case.frame.clone();
        let by_tc = world.tc(&mut frame, case.arrival);
        assert_eq!(by_tc, Err(case.reason), "{}: {}", case.sentence, hex(&case.frame));
        assert_eq!(hex(&frame), hex(&case.frame), "{}: touched", case.sentence);
        let by_xdp = world.xdp(&mut frame, case.arrival);
        if at_xdp(case) {
            assert_eq!(by_xdp, Err(case.reason), "{} at XDP: {}", case.sentence, hex(&case.frame));
        } else {
            assert!(matches!(by_xdp, Err(Reason::Pass(_))), "{} at XDP: {by_xdp:?}: {}", case.sentence, hex(&case.frame));
        }
        assert_eq!(hex(&frame), hex(&case.frame), "{}: touched by XDP", case.sentence);
        assert!(world.snapshot() == before, "{}: left something in a table", case.sentence);
    }
    println!("{} bad packets", corpus.len());
}

#[test]
fn the_frames_that_are_spoilt_are_good_before() {
    let mut world = world();
    for path in [v4(), v6()] {
        for frame in [path.tcp(flag::ACK, b"data"), path.udp(b"data"), path.echo_request(b"data")] {
            assert!(world.tc(&mut frame.clone(), LAN_LEG).is_ok(), "{}", hex(&frame));
        }
    }
}

#[test]
fn odd_but_good_packets_are_forwarded() {
    let mut world = world();
    for (sentence, mut frame) in ip_v4::good().into_iter().chain(ip_v6::good()).chain(transport::good()) {
        assert!(world.tc(&mut frame, LAN_LEG).is_ok(), "{sentence}: {}", hex(&frame));
    }
}
