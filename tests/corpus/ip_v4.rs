//! IPv4 headers.

use gateway_ebpf::abi::{DropReason as D, PassReason, PuntReason, Reason};
use gateway_tests::frames::{flag, repair};

use crate::{Case, case, dropped, passed, v4};

/// Where the IPv4 header begins.
const IP: usize = 14;

/// A good UDP frame with bytes of its IPv4 header replaced, checksums right.
fn with(bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = v4().udp(b"data");
    bytes.iter().for_each(|(at, value)| frame[IP + at] = *value);
    repair(&mut frame);
    frame
}

/// A good TCP frame with options in its IPv4 header.
fn options(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes.len() % 4, 0);
    let mut frame = v4().tcp(flag::ACK, b"data");
    frame.splice(IP + 20..IP + 20, bytes.iter().copied());
    frame[IP] = 0x45 + (bytes.len() / 4) as u8;
    let total = (frame.len() - IP) as u16;
    frame[IP + 2..IP + 4].copy_from_slice(&total.to_be_bytes());
    repair(&mut frame);
    frame
}

/// Cases without options.
fn headers() -> Vec<Case> {
    let mut sum = v4().udp(b"data");
    sum[IP + 10] ^= 0x01;
    let mut zero_sum = v4().udp(b"data");
    zero_sum[IP + 10..IP + 12].fill(0);
    let mut version = v4().udp(b"data");
    version[IP] = 0x65;
    let mut short_header = v4().udp(b"data");
    short_header[IP] = 0x44;
    let mut long_header = v4().udp(b"");
    long_header[IP] = 0x4f;
    vec![
        dropped("the header checksum has one wrong bit (RFC 1812 section 5.2.2)", sum, D::BadIpChecksum),
        dropped("the header checksum is missing", zero_sum, D::BadIpChecksum),
        dropped("version 6 behind the EtherType of IPv4", version, D::BadIpHeader),
        dropped("version 0", with(&[(0, 0x05)]), D::BadIpHeader),
        dropped("a header length below the minimum", short_header, D::BadIpHeader),
        dropped("a header length beyond the total length", long_header, D::BadIpHeader),
        dropped("a total length below the header length", with(&[(2, 0), (3, 19)]), D::BadIpHeader),
        dropped("a total length of zero", with(&[(2, 0), (3, 0)]), D::BadIpHeader),
        dropped("a total length beyond the frame", with(&[(2, 0), (3, 200)]), D::Truncated),
        dropped("a total length of 65535", with(&[(2, 0xff), (3, 0xff)]), D::Truncated),
        dropped("a first fragment has ports, but its others have not", with(&[(6, 0x20)]), D::Fragment),
        dropped("a middle fragment has no ports", with(&[(6, 0x20), (7, 0x10)]), D::Fragment),
        dropped("a last fragment has no ports", with(&[(6, 0x00), (7, 0x10)]), D::Fragment),
        dropped("a fragment that overlaps the first one's transport header (RFC 1858)", with(&[(6, 0x00), (7, 0x01)]), D::Fragment),
        dropped("a fragment beyond 65535 bytes (ping of death)", with(&[(6, 0x1f), (7, 0xff)]), D::Fragment),
        dropped("don't fragment and more fragments at once", with(&[(6, 0x60)]), D::Fragment),
        case("a TTL of 1 expires here", v4().ttl(1).udp(b"data"), Reason::Punt(PuntReason::HopLimit)),
        case("a TTL of 0 should not be on a wire", v4().ttl(0).udp(b"data"), Reason::Punt(PuntReason::HopLimit)),
        case("a TTL of 1 in an established TCP flow", v4().ttl(1).tcp(flag::ACK, b"data"), Reason::Punt(PuntReason::HopLimit)),
        case("a TTL of 0 in an echo", v4().ttl(0).echo_request(b"data"), Reason::Punt(PuntReason::HopLimit)),
    ]
}

/// Cases of addresses.
fn addresses() -> Vec<Case> {
    vec![
        dropped("source and destination are the same (land)", v4().from("192.0.2.80").tcp(flag::SYN, b""), D::Land),
        dropped("source and destination are the gateway (land)", v4().from("10.0.1.1").to("10.0.1.1", 22).tcp(flag::SYN, b""), D::Land),
        dropped("the source is the gateway's address on this leg", v4().from("10.0.1.1").udp(b""), D::SourceIsSelf),
        dropped("the source is the gateway's address on another leg", v4().from("203.0.113.1").udp(b""), D::SourceIsSelf),
        dropped("the source is the broadcast address of this leg", v4().from("10.0.1.255").udp(b""), D::SourceIsSelf),
        dropped("the source is of another leg's network (RFC 3704)", v4().from("10.0.2.10").udp(b""), D::SourceValidation),
        dropped("the source is of nobody here", v4().from("8.8.8.8").udp(b""), D::SourceValidation),
        dropped("the source is 0.0.0.0", v4().from("0.0.0.0").udp(b""), D::MartianSource),
        dropped("the source is of 0/8", v4().from("0.255.0.1").udp(b""), D::MartianSource),
        dropped("the source is loopback", v4().from("127.0.0.1").udp(b""), D::MartianSource),
        dropped("the source is multicast (smurf by group)", v4().from("224.0.0.1").udp(b""), D::MartianSource),
        dropped("the source is broadcast", v4().from("255.255.255.255").udp(b""), D::MartianSource),
        dropped("the source is reserved", v4().from("240.0.0.1").udp(b""), D::MartianSource),
        passed(
            "a link-local source is the local stack's business (RFC 3927 section 7)",
            v4().from("169.254.1.1").udp(b""),
            PassReason::StaysOnLink,
        ),
        dropped("the destination is 0.0.0.0", v4().to("0.0.0.0", 1).udp(b""), D::MartianDestination),
        dropped("the destination is loopback", v4().to("127.0.0.1", 22).tcp(flag::SYN, b""), D::MartianDestination),
        dropped("the destination is reserved", v4().to("250.0.0.1", 22).udp(b""), D::MartianDestination),
        passed("a directed broadcast must not be amplified (RFC 2644)", v4().to("203.0.113.255", 7).udp(b""), PassReason::Local),
        dropped("IP in IP", v4().raw(4, &v4().udp(b"")[IP..]), D::Protocol),
        dropped("IPv6 in IPv4 could cross the firewall unseen", v4().raw(41, &crate::v6().udp(b"")[IP..]), D::Protocol),
        dropped("GRE", v4().raw(47, &[0; 24]), D::Protocol),
        dropped("ESP", v4().raw(50, &[0; 24]), D::Protocol),
        dropped("protocol 0", v4().raw(0, &[0; 24]), D::Protocol),
        dropped("protocol 255", v4().raw(255, &[0; 24]), D::Protocol),
        dropped("ICMPv6 over IPv4", v4().raw(58, &[128, 0, 0, 0, 0, 0, 0, 0]), D::Protocol),
    ]
}

/// Cases of options (RFC 7126).
fn with_options() -> Vec<Case> {
    vec![
        dropped("a loose source route chooses the way past a firewall", options(&[131, 7, 4, 10, 0, 1, 1, 0]), D::IpOptions),
        dropped("a strict source route", options(&[137, 7, 4, 10, 0, 1, 1, 0]), D::IpOptions),
        dropped("a source route behind a no-operation", options(&[1, 131, 3, 4]), D::IpOptions),
        dropped("an option of length 0 would never end", options(&[7, 0, 0, 0]), D::IpOptions),
        dropped("an option of length 1 is shorter than itself", options(&[68, 1, 0, 0]), D::IpOptions),
        dropped("an option longer than the header", options(&[68, 12, 5, 0]), D::IpOptions),
        dropped("an option whose length is behind the header", options(&[1, 1, 1, 7]), D::IpOptions),
        dropped("more no-operations than anybody needs", options(&[1; 40]), D::IpOptions),
    ]
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [headers(), addresses(), with_options()].into_iter().flatten().collect()
}

/// Odd, but good.
pub fn good() -> Vec<(&'static str, Vec<u8>)> {
    let mut padded = v4().udp(b"data");
    padded.resize(60, 0);
    vec![
        ("Ethernet padding behind a short packet is not part of it", padded),
        ("a record-route option", options(&[7, 7, 4, 0, 0, 0, 0, 0])),
        ("a router alert", options(&[148, 4, 0, 0])),
        ("options that end early, with rubbish behind", options(&[0, 131, 255, 0])),
        ("a type of service", with(&[(1, 0xb8)])),
    ]
}
