//! IPv6 headers and extension headers (RFC 8200).

use gateway_ebpf::abi::{DropReason as D, PassReason, PuntReason, Reason};
use gateway_tests::frames::flag;

use crate::{Case, case, dropped, passed, v6};

/// Where the IPv6 header begins.
const IP: usize = 14;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// A good TCP frame with extension headers, first to last: kind, and its bytes from the length on.
fn chain(headers: &[(u8, &[u8])]) -> Vec<u8> {
    let mut frame = v6().tcp(flag::ACK, b"data");
    for (kind, body) in headers.iter().rev() {
        let mut header = vec![frame[IP + 6]];
        header.extend(*body);
        frame.splice(IP + 40..IP + 40, header);
        frame[IP + 6] = *kind;
    }
    let payload = (frame.len() - IP - 40) as u16;
    frame[IP + 4..IP + 6].copy_from_slice(&payload.to_be_bytes());
    frame
}

/// An extension header of 8 bytes with padding inside.
const PAD: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

fn with(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = v6().udp(b"data");
    bytes.iter().for_each(|(at, value)| frame[IP + at] = *value);
    frame
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut spoofed = v6().raw(6, &[0; 4]);
    spoofed[IP + 6] = DESTINATION;
    vec![
        dropped("version 4 behind the EtherType of IPv6", with(&[(0, 0x45)]), D::BadIpHeader),
        dropped("a payload length beyond the frame", with(&[(4, 0xff)]), D::Truncated),
        dropped("a payload length of zero leaves no room for UDP", with(&[(4, 0), (5, 0)]), D::BadUdpHeader),
        dropped("seven extension headers (RFC 8883)", chain(&[(DESTINATION, PAD); 7]), D::ExtensionHeaders),
        dropped("forty extension headers", chain(&[(DESTINATION, PAD); 40]), D::ExtensionHeaders),
        dropped("hop-by-hop options that are not first", chain(&[(DESTINATION, PAD), (HOP_BY_HOP, PAD)]), D::ExtensionHeaders),
        dropped("hop-by-hop options twice", chain(&[(HOP_BY_HOP, PAD), (HOP_BY_HOP, PAD)]), D::ExtensionHeaders),
        dropped("a type 0 routing header with segments left (RFC 5095)", chain(&[(ROUTING, &[0, 0, 1, 0, 0, 0, 0])]), D::ExtensionHeaders),
        dropped("a type 0 routing header without", chain(&[(ROUTING, &[0, 0, 0, 0, 0, 0, 0])]), D::ExtensionHeaders),
        dropped("a segment routing header asks us to route by it", chain(&[(ROUTING, &[0, 4, 2, 0, 0, 0, 0])]), D::ExtensionHeaders),
        dropped(
            "a type 0 routing header behind options",
            chain(&[(DESTINATION, PAD), (ROUTING, &[0, 0, 1, 0, 0, 0, 0])]),
            D::ExtensionHeaders,
        ),
        dropped("a fragment", chain(&[(FRAGMENT, &[0, 0, 1, 0, 0, 0, 9])]), D::Fragment),
        dropped("a fragment behind options", chain(&[(DESTINATION, PAD), (FRAGMENT, &[0, 0, 9, 0, 0, 0, 9])]), D::Fragment),
        dropped("an atomic fragment (RFC 6946)", chain(&[(FRAGMENT, &[0, 0, 0, 0, 0, 0, 9])]), D::Fragment),
        dropped("an extension header longer than the packet", chain(&[(DESTINATION, &[200, 1, 4, 0, 0, 0, 0])]), D::Truncated),
        dropped("an extension header of four bytes", spoofed, D::Truncated),
        dropped("no next header", v6().raw(59, &[]), D::Protocol),
        dropped("ESP hides its ports", v6().raw(50, &[0; 24]), D::Protocol),
        dropped("mobility", v6().raw(135, &[0; 24]), D::Protocol),
        dropped("IPv4 in IPv6", v6().raw(4, &crate::v4().udp(b"")[IP..]), D::Protocol),
        dropped("ICMP for IPv4 over IPv6", v6().raw(1, &[8, 0, 0, 0, 0, 0, 0, 0]), D::Protocol),
        dropped("source and destination are the same (land)", v6().from("2001:db8:ffff::80").tcp(flag::SYN, b""), D::Land),
        dropped("the source is the gateway", v6().from("fd00:1::1").udp(b""), D::SourceIsSelf),
        dropped("the source is of another leg", v6().from("fd00:2::10").udp(b""), D::SourceValidation),
        dropped("the source is unspecified", v6().from("::").udp(b""), D::MartianSource),
        dropped("the source is loopback", v6().from("::1").udp(b""), D::MartianSource),
        dropped("the source is multicast", v6().from("ff05::1").udp(b""), D::MartianSource),
        passed("a link-local source is the local stack's business", v6().from("fe80::10").udp(b""), PassReason::StaysOnLink),
        dropped("the source is a mapped IPv4 address (RFC 4942)", v6().from("::ffff:10.0.0.1").udp(b""), D::MartianSource),
        dropped("the destination is loopback", v6().to("::1", 22).udp(b""), D::MartianDestination),
        dropped("the destination is a mapped IPv4 address", v6().to("::ffff:127.0.0.1", 22).udp(b""), D::MartianDestination),
        passed("a subnet's anycast address is the gateway's", v6().to("fd00:2::", 22).udp(b""), PassReason::Local),
        case("a hop limit of 1 expires here", v6().ttl(1).udp(b"data"), Reason::Punt(PuntReason::HopLimit)),
        case("a hop limit of 0", v6().ttl(0).tcp(flag::ACK, b""), Reason::Punt(PuntReason::HopLimit)),
        case("routers do not fragment IPv6", v6().udp(&[0; 1460]), Reason::Punt(PuntReason::TooBig)),
    ]
}

/// Odd, but good.
pub fn good() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("hop-by-hop options that stand first", chain(&[(HOP_BY_HOP, PAD)])),
        ("six extension headers", chain(&[(DESTINATION, PAD); 6])),
        (
            "an authentication header counts in words of four bytes",
            chain(&[(AUTHENTICATION, &[4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
        ),
        ("a routing header that is used up", chain(&[(ROUTING, &[0, 4, 0, 0, 0, 0, 0])])),
        ("a flow label", with(&[(2, 0x12), (3, 0x34)])),
    ]
}
