//! From bytes to a [`Packet`]. Everything a header claims is checked against the frame before it is believed.

use super::{Headers, Kind, Packet};
use crate::abi::{DropReason, Family, FlowKey, IfIndex, Ipv4, Ipv6, Link, PassReason, Port, Protocol, Reason, V4, V6};
use crate::frame::Frame;
use crate::verifier::forget;
use crate::wire::{checksum, icmp, ipv4 as ip4, ipv6 as ip6, tcp, udp};

/// Options walked before an IPv4 header counts as abusive. Real ones carry one or two.
const MAX_OPTIONS: usize = 10;
/// Extension headers walked before an IPv6 packet counts as abusive (RFC 8883 asks routers to be able to give up).
const MAX_EXTENSIONS: usize = 6;

/// Parses an IPv4 packet whose header begins at `l3`.
///
/// # Errors
/// The reason why the packet must be dropped, or that more than `headers` is to be followed.
#[inline(always)]
pub fn ipv4<T: Frame>(frame: &T, l3: usize, ifindex: IfIndex, headers: Headers) -> Result<Packet<V4>, Reason> {
    let header = frame.words::<5>(l3).ok_or(DropReason::Truncated)?;
    let first = u32::from_be(header[0]);
    let header_len = match headers {
        Headers::Plain if first >> 24 == ip4::PLAIN => ip4::HEADER,
        Headers::Plain => return Err(Reason::Pass(PassReason::NotFast)),
        Headers::All => ((first >> 22) & 0x3c) as usize,
    };
    let total = (first & 0xffff) as usize;
    if first >> 28 != 4 || header_len < ip4::HEADER || total < header_len {
        return Err(DropReason::BadIpHeader.into());
    }
    if l3 + total > frame.len() {
        return Err(DropReason::Truncated.into());
    }
    let mut sum = checksum::sum(header);
    if header_len > ip4::HEADER {
        // However many options there are, what follows is the same to the verifier.
        sum = forget(checksum::fold(sum + options_sum(frame, l3, header_len)?) as u32, first) as u64;
    }
    // RFC 1812 section 5.2.2: verify before anything else in the header is believed; an incremental update would keep it wrong.
    if checksum::fold(sum) != 0xffff {
        return Err(DropReason::BadIpChecksum.into());
    }
    if header_len > ip4::HEADER {
        options(frame, l3, header_len)?;
    }
    let second = u32::from_be(header[1]);
    let third = u32::from_be(header[2]);
    let network = Network {
        source: Ipv4(header[3]),
        destination: Ipv4(header[4]),
        protocol: Protocol(((third >> 16) & 0xff) as u8),
        hop_limit: (third >> 24) as u8,
        dont_fragment: second & ip4::DONT_FRAGMENT != 0,
        fragment: second & ip4::FRAGMENT != 0,
        l3,
        l4: l3 + header_len,
        end: l3 + total,
    };
    Ok(transport::<V4, T>(frame, &network, ifindex)?)
}

/// Parses an IPv6 packet whose header begins at `l3`.
///
/// # Errors
/// The reason why the packet must be dropped, or that more than `headers` is to be followed.
#[inline(always)]
pub fn ipv6<T: Frame>(frame: &T, l3: usize, ifindex: IfIndex, headers: Headers) -> Result<Packet<V6>, Reason> {
    let header = frame.words::<10>(l3).ok_or(DropReason::Truncated)?;
    if u32::from_be(header[0]) >> 28 != 6 {
        return Err(DropReason::BadIpHeader.into());
    }
    let second = u32::from_be(header[1]);
    let end = l3 + ip6::HEADER + (second >> 16) as usize;
    if end > frame.len() {
        return Err(DropReason::Truncated.into());
    }
    let next = ((second >> 8) & 0xff) as u8;
    let Chain { protocol, l4, fragment } = match headers {
        Headers::Plain if is_extension(next) => return Err(Reason::Pass(PassReason::NotFast)),
        Headers::Plain => Chain { protocol: next, l4: l3 + ip6::HEADER, fragment: false },
        Headers::All => extensions(frame, next, l3 + ip6::HEADER, end, second)?,
    };
    let network = Network {
        source: Ipv6([header[2], header[3], header[4], header[5]]),
        destination: Ipv6([header[6], header[7], header[8], header[9]]),
        protocol: Protocol(protocol),
        hop_limit: (second & 0xff) as u8,
        dont_fragment: true,
        fragment,
        l3,
        l4,
        end,
    };
    Ok(transport::<V6, T>(frame, &network, ifindex)?)
}

/// What the network layer says, whatever the family.
struct Network<A> {
    source: A,
    destination: A,
    protocol: Protocol,
    hop_limit: u8,
    dont_fragment: bool,
    fragment: bool,
    l3: usize,
    l4: usize,
    end: usize,
}

/// What the transport layer says.
struct Transport {
    kind: Kind,
    source_port: u16,
    destination_port: u16,
    tcp_flags: u8,
    icmp_type: u8,
    checksum: u16,
    header: usize,
}

const UNTRACKED: Transport =
    Transport { kind: Kind::Other, source_port: 0, destination_port: 0, tcp_flags: 0, icmp_type: 0, checksum: 0, header: 0 };

#[inline(always)]
fn transport<F: Family, T: Frame>(frame: &T, network: &Network<F::Address>, ifindex: IfIndex) -> Result<Packet<F>, DropReason> {
    let room = network.end - network.l4;
    let transport = if network.fragment {
        Transport { kind: Kind::Fragment, ..UNTRACKED }
    } else if network.protocol == Protocol::TCP {
        parse_tcp(frame, network.l4, room)?
    } else if network.protocol == Protocol::UDP {
        parse_udp(frame, network.l4, room)?
    } else if network.protocol == F::ICMP {
        parse_icmp::<F, T>(frame, network.l4, room)?
    } else {
        UNTRACKED
    };
    let link = Link::new(ifindex, network.protocol);
    Ok(Packet {
        key: FlowKey::new(
            network.source,
            network.destination,
            Port::from_wire(transport.source_port),
            Port::from_wire(transport.destination_port),
            link,
        ),
        kind: transport.kind,
        hop_limit: network.hop_limit,
        tcp_flags: transport.tcp_flags,
        icmp_type: transport.icmp_type,
        dont_fragment: network.dont_fragment,
        zero: 0,
        l3: network.l3 as u16,
        l4: network.l4 as u16,
        length: (network.end - network.l3) as u16,
        headers: (network.l4 - network.l3 + transport.header) as u16,
        checksum: transport.checksum,
    })
}

#[inline(always)]
fn parse_tcp<T: Frame>(frame: &T, l4: usize, room: usize) -> Result<Transport, DropReason> {
    if room < tcp::HEADER {
        return Err(DropReason::BadTcpHeader);
    }
    let words = frame.words::<5>(l4).ok_or(DropReason::Truncated)?;
    let [source_port, destination_port] = halves(words[0]);
    let [offset, flags, _, _] = words[3].to_ne_bytes();
    let header = ((offset >> 4) as usize) * 4;
    if header < tcp::HEADER || header > room || !tcp::valid_flags(flags) {
        return Err(DropReason::BadTcpHeader);
    }
    let [checksum, _] = halves(words[4]);
    Ok(Transport { kind: Kind::Tcp, source_port, destination_port, tcp_flags: flags, icmp_type: 0, checksum, header })
}

#[inline(always)]
fn parse_udp<T: Frame>(frame: &T, l4: usize, room: usize) -> Result<Transport, DropReason> {
    if room < udp::HEADER {
        return Err(DropReason::BadUdpHeader);
    }
    let words = frame.words::<2>(l4).ok_or(DropReason::Truncated)?;
    let [source_port, destination_port] = halves(words[0]);
    let [length, checksum] = halves(words[1]);
    let length = u16::from_be(length) as usize;
    if length < udp::HEADER || length > room {
        return Err(DropReason::BadUdpHeader);
    }
    Ok(Transport { kind: Kind::Udp, source_port, destination_port, checksum, header: udp::HEADER, ..UNTRACKED })
}

#[inline(always)]
fn parse_icmp<F: Family, T: Frame>(frame: &T, l4: usize, room: usize) -> Result<Transport, DropReason> {
    if room < icmp::HEADER {
        return Err(DropReason::BadIcmpHeader);
    }
    let words = frame.words::<2>(l4).ok_or(DropReason::Truncated)?;
    let [icmp_type, code, _, _] = words[0].to_ne_bytes();
    let [_, checksum] = halves(words[0]);
    let [identifier, _] = halves(words[1]);
    let common = Transport { kind: Kind::IcmpOther, icmp_type, checksum, header: icmp::HEADER, ..UNTRACKED };
    if code != 0 {
        return Ok(common);
    }
    Ok(if icmp_type == F::ECHO_REQUEST {
        Transport { kind: Kind::EchoRequest, source_port: identifier, ..common }
    } else if icmp_type == F::ECHO_REPLY {
        Transport { kind: Kind::EchoReply, destination_port: identifier, ..common }
    } else {
        common
    })
}

/// The two 16-bit halves of a word in the order of the wire.
#[inline(always)]
fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}

#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, ip6::HOP_BY_HOP | ip6::ROUTING | ip6::FRAGMENT | ip6::AUTHENTICATION | ip6::DESTINATION_OPTIONS)
}

/// Where IPv6's extension headers lead.
struct Chain {
    protocol: u8,
    l4: usize,
    fragment: bool,
}

/// Walks the extension headers from `l4` on. `unknown`: see [`forget`].
#[inline(always)]
fn extensions<T: Frame>(frame: &T, mut next: u8, mut l4: usize, end: usize, unknown: u32) -> Result<Chain, DropReason> {
    let mut fragment = false;
    for position in 0..MAX_EXTENSIONS + 1 {
        if !is_extension(next) {
            break;
        }
        // Hop-by-hop options stand first or not at all (RFC 8200 section 4.1).
        if position == MAX_EXTENSIONS || (next == ip6::HOP_BY_HOP && position > 0) {
            return Err(DropReason::ExtensionHeaders);
        }
        if next == ip6::FRAGMENT {
            fragment = true;
            break;
        }
        let [word] = frame.words::<1>(l4).ok_or(DropReason::Truncated)?;
        let [following, length, kind, segments] = word.to_ne_bytes();
        if next == ip6::ROUTING && (kind == 0 || segments != 0) {
            // RFC 5095 for type 0; any other with segments left asks us to route by it.
            return Err(DropReason::ExtensionHeaders);
        }
        // Authentication counts in words of 4 bytes less 2 (RFC 4302 section 2.2), the others in 8 bytes less 1.
        l4 += if next == ip6::AUTHENTICATION { (length as usize + 2) * 4 } else { (length as usize + 1) * 8 };
        if l4 > end {
            return Err(DropReason::Truncated);
        }
        next = following;
    }
    // However many extensions there are, what follows is the same to the verifier. Together they have 12,288 bytes at most; Linux 6.1 wants to
    // be told that there is a limit.
    Ok(Chain { protocol: forget(next as u32, unknown) as u8, l4: forget(l4 as u32, unknown) as usize % 0x4000, fragment })
}

/// The options' part of the header checksum.
#[inline(always)]
fn options_sum<T: Frame>(frame: &T, l3: usize, header_len: usize) -> Result<u64, DropReason> {
    let mut sum = 0;
    let mut at = ip4::HEADER;
    for _ in 0..10 {
        if at >= header_len {
            break;
        }
        let [word] = frame.words::<1>(l3 + at).ok_or(DropReason::Truncated)?;
        sum += word as u64;
        at += 4;
    }
    Ok(sum)
}

/// Walks the options: source routing lets a sender choose the path past a firewall (RFC 7126 section 4.3), and a list that does not end
/// is an attack on parsers.
#[inline(always)]
fn options<T: Frame>(frame: &T, l3: usize, header_len: usize) -> Result<(), DropReason> {
    let mut at = ip4::HEADER;
    for _ in 0..MAX_OPTIONS {
        if at >= header_len {
            return Ok(());
        }
        // Two bytes can be loaded at the last option byte as well: a transport header or the frame's end stands behind it.
        let Some(half) = frame.half(l3 + at) else {
            return if at + 1 == header_len { Ok(()) } else { Err(DropReason::IpOptions) };
        };
        let [kind, length] = half.to_ne_bytes();
        if kind == ip4::OPTION_END {
            return Ok(());
        }
        if kind == ip4::OPTION_NOP {
            at += 1;
            continue;
        }
        if kind == ip4::OPTION_LSRR || kind == ip4::OPTION_SSRR || length < 2 || at + length as usize > header_len {
            return Err(DropReason::IpOptions);
        }
        // To the verifier this is where the other kinds have come to as well. A header has 60 bytes at most; Linux 6.1 wants to be told.
        at = forget((at + length as usize) as u32, length as u32) as usize % 64;
    }
    if at >= header_len { Ok(()) } else { Err(DropReason::IpOptions) }
}
