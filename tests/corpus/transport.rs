//! TCP, UDP and ICMP headers.

use gateway_ebpf::abi::{DropReason as D, PassReason, Reason};
use gateway_tests::frames::{Path, flag, repair};

use crate::{Case, dropped, v4, v6};

/// Where the transport header begins.
fn l4(path: &Path) -> usize {
    if path.source.is_ipv4() { 34 } else { 54 }
}

fn tcp(path: &Path, at: usize, value: u8) -> Vec<u8> {
    let mut frame = path.tcp(flag::ACK, b"data");
    frame[l4(path) + at] = value;
    repair(&mut frame);
    frame
}

fn udp_length(path: &Path, length: u16) -> Vec<u8> {
    let mut frame = path.udp(b"data");
    let at = l4(path) + 4;
    frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
    repair(&mut frame);
    frame
}

fn icmp(path: &Path, kind: u8, code: u8) -> Vec<u8> {
    let mut frame = path.echo_request(b"an answer to something");
    frame[l4(path)] = kind;
    frame[l4(path) + 1] = code;
    repair(&mut frame);
    frame
}

fn cases_of(path: &Path) -> Vec<Case> {
    let (protocol, unreachable, redirect) = if path.source.is_ipv4() { (1, 3, 5) } else { (58, 1, 137) };
    let mut cases: Vec<Case> = [
        (0, "no flag at all (null scan)"),
        (flag::SYN | flag::FIN, "SYN and FIN"),
        (flag::SYN | flag::RST, "SYN and RST"),
        (flag::FIN, "FIN without ACK (FIN scan)"),
        (flag::FIN | flag::PSH | flag::URG, "FIN, PSH and URG (Christmas tree)"),
        (flag::FIN | flag::RST | flag::ACK, "FIN and RST"),
        (0x3f, "every flag"),
        (flag::PSH, "PSH alone"),
        (flag::URG, "URG alone"),
    ]
    .into_iter()
    .map(|(flags, sentence)| dropped(sentence, tcp(path, 13, flags), D::BadTcpHeader))
    .collect();
    cases.extend([
        dropped("a TCP header below the minimum", tcp(path, 12, 0x40), D::BadTcpHeader),
        dropped("a TCP header of nothing", tcp(path, 12, 0x00), D::BadTcpHeader),
        dropped("a TCP header beyond the packet", tcp(path, 12, 0xf0), D::BadTcpHeader),
        dropped("half a TCP header in a whole packet (tiny packet)", path.raw(6, &[0; 12]), D::BadTcpHeader),
        dropped("a TCP packet without a byte", path.raw(6, &[]), D::BadTcpHeader),
        dropped("a UDP length below its header", udp_length(path, 7), D::BadUdpHeader),
        dropped("a UDP length of zero", udp_length(path, 0), D::BadUdpHeader),
        dropped("a UDP length beyond the packet", udp_length(path, 13), D::BadUdpHeader),
        dropped("a UDP length of 65535", udp_length(path, 0xffff), D::BadUdpHeader),
        dropped("half a UDP header", path.raw(17, &[0; 4]), D::BadUdpHeader),
        dropped("half an ICMP header", path.raw(protocol, &[8, 0, 0, 0]), D::BadIcmpHeader),
        dropped("an unreachable message that no flow asked for", icmp(path, unreachable, 1), D::IcmpType),
        dropped("a redirect would change routes", icmp(path, redirect, 1), D::IcmpType),
        dropped("an ICMP type that nobody knows", icmp(path, 200, 0), D::IcmpType),
        dropped("an echo request with a code", icmp(path, if protocol == 1 { 8 } else { 128 }, 9), D::IcmpType),
        dropped("an echo reply in place of a request", icmp(path, if protocol == 1 { 0 } else { 129 }, 0), D::State),
        dropped("an ACK of no flow", path.from_port(6000).tcp(flag::ACK, b"data"), D::TcpNoFlow),
        dropped("a SYN ACK of no flow", path.from_port(6000).tcp(flag::SYN | flag::ACK, b""), D::TcpNoFlow),
        dropped("a RST of no flow", path.from_port(6000).tcp(flag::RST, b""), D::TcpNoFlow),
        dropped("a FIN of no flow", path.from_port(6000).tcp(flag::FIN | flag::ACK, b""), D::TcpNoFlow),
    ]);
    for case in &mut cases {
        case.sentence = format!("{}: {}", if protocol == 1 { "IPv4" } else { "IPv6" }, case.sentence);
    }
    cases
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut cases = cases_of(&v4());
    cases.extend(cases_of(&v6()));
    let discovery = icmp(&v6(), 135, 0);
    cases.push(dropped("a neighbour solicitation must not be forwarded", discovery, D::IcmpType));
    let mut at_us = v6().to("fd00:1::1", 0).echo_request(b"");
    at_us[54] = 136;
    cases.push(crate::case("a neighbour advertisement for the gateway is the kernel's", at_us, Reason::Pass(PassReason::Local)));
    cases
}

/// Odd, but good.
pub fn good() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a UDP datagram shorter than its packet", udp_length(&v4(), 10)),
        ("an empty UDP datagram", v4().udp(b"")),
        ("a UDP datagram without a checksum", v4().udp_without_checksum(b"data")),
        ("a SYN with data (RFC 7413)", v4().from_port(6001).tcp(flag::SYN, b"cookie")),
        ("ports of zero are ports", v4().from_port(0).to("192.0.2.80", 0).udp(b"data")),
    ]
}
