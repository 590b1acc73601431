//! From a refused packet's first bytes to the packet that tells its sender. The bytes are whatever somebody sent: nothing about them is
//! believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::icmpv4::{DestUnreachableHeader, TimeExceededCode as TimeExceededV4};
use etherparse::icmpv6::{DestUnreachableCode, TimeExceededCode as TimeExceededV6};
use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, IpNumber, Ipv4Header, Ipv6Header, LaxNetSlice, LaxSlicedPacket, PacketBuilder, TcpHeader, TcpSlice,
    TransportSlice,
};
use gateway_ebpf::abi::{DropReason, Refused};

/// As every stack sends it (RFC 1700).
const HOP_LIMIT: u8 = 64;
/// Precedence "internetwork control" (RFC 1812 section 4.3.2.5), which is CS6.
const CONTROL: u8 = 48;
// All that is handed over can be quoted: an error may have 576 bytes (RFC 1812 section 4.3.2.3), 1280 in IPv6 (RFC 4443 section 2.4 (c)).
const _: () = assert!(28 + Refused::BYTES <= 576 && 48 + Refused::BYTES <= 1280);
/// What an IPv4 error quotes at least, behind the IP header: the ports (RFC 792).
const LEAST_QUOTED: usize = 8;

/// A packet that tells a sender that its own was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The sender.
    pub to: IpAddr,
    /// The whole packet, from the IP header on, its checksums complete.
    pub packet: Vec<u8>,
}

/// What the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// The policy forbids it.
    Prohibited,
    /// There is no room for another flow.
    Unreachable,
    /// It has to send smaller packets; bytes.
    TooBig(u16),
    /// The hop limit is used up.
    TimeExceeded,
}

/// Builds the answer. `own` is asked for the gateway's address that ICMP errors come from, given the refused packet's source; a TCP reset
/// comes from the address that the refused packet was sent to (RFC 5382 leaves open which; every host accepts only that).
///
/// `None`: the bytes are no packet, the reason has no answer, or no address is there to answer from.
#[must_use]
pub fn build(refused: &Refused, own: impl FnOnce(IpAddr) -> Option<IpAddr>) -> Option<Answer> {
    let message = message(refused)?;
    let bytes = refused.packet();
    let packet = LaxSlicedPacket::from_ip(bytes).ok()?;
    let original = Original::read(&packet)?;
    if !may_be_answered(original.source) {
        return None;
    }
    let reset = match &packet.transport {
        Some(TransportSlice::Tcp(segment)) if segment.rst() => return None,
        Some(TransportSlice::Tcp(segment)) if message == Message::Prohibited => Some(reset(segment, &original)),
        _ => None,
    };
    let packet = match reset {
        Some(header) => {
            let builder = PacketBuilder::ip(ip(original.destination, original.source, 0)?).tcp_header(header);
            let mut packet = Vec::new();
            builder.write_to_vec(&mut packet, &[]).ok()?;
            packet
        }
        None => error(message, &original, own(original.source)?, bytes)?,
    };
    Some(Answer { to: original.source, packet })
}

fn message(refused: &Refused) -> Option<Message> {
    Some(match DropReason::ALL.get(usize::from(refused.reason))? {
        DropReason::RuleReject | DropReason::DefaultReject => Message::Prohibited,
        DropReason::FlowTableFull
        | DropReason::HalfOpenTableFull
        | DropReason::MappingTableFull
        | DropReason::NoFreePort
        | DropReason::HostQuota => Message::Unreachable,
        // A host that is told 0 has to guess.
        DropReason::TooBig if refused.mtu > 0 => Message::TooBig(refused.mtu),
        DropReason::HopLimit => Message::TimeExceeded,
        _ => return None,
    })
}

/// What matters of the refused packet's network layer.
struct Original {
    source: IpAddr,
    destination: IpAddr,
    /// Bytes from the IP header to the end, as the header says: more than were handed over.
    length: usize,
    /// Bytes before the transport header.
    network: usize,
}

impl Original {
    fn read(packet: &LaxSlicedPacket<'_>) -> Option<Self> {
        match packet.net.as_ref()? {
            LaxNetSlice::Ipv4(slice) => {
                let header = slice.header();
                let authentication = slice.extensions().auth.map_or(0, |auth| auth.slice().len());
                Some(Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    length: usize::from(header.total_len()),
                    network: header.slice().len() + authentication,
                })
            }
            LaxNetSlice::Ipv6(slice) => {
                let header = slice.header();
                Some(Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    length: Ipv6Header::LEN + usize::from(header.payload_length()),
                    network: Ipv6Header::LEN + slice.extensions().slice().len(),
                })
            }
            LaxNetSlice::Arp(_) => None,
        }
    }
}

/// The datapath lets no other source so far; a second look costs nothing (RFC 1122 section 3.2.2).
fn may_be_answered(source: IpAddr) -> bool {
    let broadcast = matches!(source, IpAddr::V4(source) if source.is_broadcast());
    !(source.is_unspecified() || source.is_multicast() || source.is_loopback() || broadcast)
}

/// RFC 9293 section 3.10.7.1: what a closed port answers.
fn reset(segment: &TcpSlice<'_>, original: &Original) -> TcpHeader {
    let mut header = TcpHeader::new(segment.destination_port(), segment.source_port(), 0, 0);
    header.rst = true;
    if segment.ack() {
        header.sequence_number = segment.acknowledgment_number();
    } else {
        // A SYN counts as a byte, a FIN too, and a SYN may carry data (RFC 7413).
        let payload = original.length.saturating_sub(original.network + segment.header_len());
        let length = u32::try_from(payload).unwrap_or(0) + u32::from(segment.syn()) + u32::from(segment.fin());
        header.ack = true;
        header.acknowledgment_number = segment.sequence_number().wrapping_add(length);
    }
    header
}

/// The ICMP error from `own`, which quotes the refused packet.
fn error(message: Message, original: &Original, own: IpAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let builder = PacketBuilder::ip(ip(own, original.source, CONTROL)?);
    let mut packet = Vec::new();
    match original.source {
        IpAddr::V4(_) if bytes.len() < original.network + LEAST_QUOTED => return None,
        IpAddr::V4(_) => builder.icmpv4(icmpv4(message)).write_to_vec(&mut packet, bytes).ok()?,
        IpAddr::V6(_) => builder.icmpv6(icmpv6(message)).write_to_vec(&mut packet, bytes).ok()?,
    }
    Some(packet)
}

fn icmpv4(message: Message) -> Icmpv4Type {
    match message {
        Message::Prohibited => Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited),
        Message::Unreachable => Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Host),
        Message::TooBig(mtu) => Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu }),
        Message::TimeExceeded => Icmpv4Type::TimeExceeded(TimeExceededV4::TtlExceededInTransit),
    }
}

fn icmpv6(message: Message) -> Icmpv6Type {
    match message {
        Message::Prohibited => Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Prohibited),
        Message::Unreachable => Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Address),
        Message::TooBig(mtu) => Icmpv6Type::PacketTooBig { mtu: mtu.into() },
        Message::TimeExceeded => Icmpv6Type::TimeExceeded(TimeExceededV6::HopLimitExceeded),
    }
}

/// An IP header of either family; lengths, protocol and checksum are the builder's. `None` when the families differ.
fn ip(source: IpAddr, destination: IpAddr, dscp: u8) -> Option<IpHeaders> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(ip_v4(source, destination, dscp)?),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Some(ip_v6(source, destination, dscp)),
        _ => None,
    }
}

fn ip_v4(source: Ipv4Addr, destination: Ipv4Addr, dscp: u8) -> Option<IpHeaders> {
    let header = Ipv4Header::new(0, HOP_LIMIT, IpNumber::ICMP, source.octets(), destination.octets()).ok()?;
    Some(IpHeaders::Ipv4(Ipv4Header { dscp: dscp.try_into().ok()?, ..header }, Default::default()))
}

fn ip_v6(source: Ipv6Addr, destination: Ipv6Addr, dscp: u8) -> IpHeaders {
    let header = Ipv6Header {
        traffic_class: dscp << 2,
        hop_limit: HOP_LIMIT,
        source: source.octets(),
        destination: destination.octets(),
        ..Default::default()
    };
    IpHeaders::Ipv6(header, Default::default())
}

#[cfg(test)]
mod tests;
