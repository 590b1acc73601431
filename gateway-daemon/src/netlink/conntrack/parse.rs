//! From a ctnetlink message to an [`Entry`].

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use rtnetlink::packet_core::NlaBuffer;

use super::attribute::*;
use super::entry::{Counters, Entry, EntryId, IcmpQuery, IpProtocol, Status, TcpState, Tuple};

/// `struct nfgenmsg`: family, version, resource.
pub(super) const HEADER_LEN: usize = 4;

/// The number of the zone that everything is in unless a rule says otherwise.
const DEFAULT_ZONE: u16 = 0;

/// A tuple with the protocol that the kernel keeps in it.
struct Direction {
    protocol: IpProtocol,
    tuple: Tuple,
    zone: u16,
}

/// The entry of a message's payload, from the nfgenmsg header on; `None` when it is malformed, lacks a tuple or is of another conntrack
/// zone than the default one.
pub(super) fn entry(payload: &[u8]) -> Option<Entry> {
    let mut original = None;
    let mut reply = None;
    let mut zone = DEFAULT_ZONE;
    let mut status = Status::empty();
    let mut timeout = None;
    let mut mark = 0;
    let mut tcp = None;
    let mut original_counters = None;
    let mut reply_counters = None;
    let mut started = None;
    let mut id = None;
    for attribute in walk(payload.get(HEADER_LEN..)?) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            CTA_TUPLE_ORIG => original = Some(direction(&attribute)?),
            CTA_TUPLE_REPLY => reply = Some(direction(&attribute)?),
            CTA_ZONE => zone = u16_of(&attribute)?,
            CTA_STATUS => status = Status::from_bits_retain(u32_of(&attribute)?),
            CTA_TIMEOUT => timeout = u32_of(&attribute).map(|seconds| Duration::from_secs(seconds.into())),
            CTA_MARK => mark = u32_of(&attribute)?,
            CTA_PROTOINFO => tcp = tcp_state(&attribute),
            CTA_COUNTERS_ORIG => original_counters = counters(&attribute),
            CTA_COUNTERS_REPLY => reply_counters = counters(&attribute),
            CTA_TIMESTAMP => started = start(&attribute),
            CTA_ID => id = u32_of(&attribute).map(EntryId),
            _ => {}
        }
    }
    let (original, reply) = (original?, reply?);
    let zones = [zone, original.zone, reply.zone];
    if zones != [DEFAULT_ZONE; 3] || original.protocol != reply.protocol {
        return None;
    }
    Some(Entry {
        protocol: original.protocol,
        original: original.tuple,
        reply: reply.tuple,
        status,
        timeout,
        mark,
        tcp,
        original_counters,
        reply_counters,
        started,
        id,
    })
}

fn direction(attribute: &NlaBuffer<&[u8]>) -> Option<Direction> {
    let mut addresses = None;
    let mut transport = None;
    let mut zone = DEFAULT_ZONE;
    for attribute in inside(attribute) {
        match attribute.kind() {
            CTA_TUPLE_IP => addresses = Some(source_and_destination(&attribute)?),
            CTA_TUPLE_PROTO => transport = Some(Transport::of(&attribute)?),
            CTA_TUPLE_ZONE => zone = u16_of(&attribute)?,
            _ => {}
        }
    }
    let (source, destination) = addresses?;
    let Transport { protocol, source_port, destination_port, icmp } = transport?;
    let tuple = Tuple { source: SocketAddr::new(source, source_port), destination: SocketAddr::new(destination, destination_port), icmp };
    Some(Direction { protocol, tuple, zone })
}

fn source_and_destination(attribute: &NlaBuffer<&[u8]>) -> Option<(IpAddr, IpAddr)> {
    let mut source = None;
    let mut destination = None;
    for attribute in inside(attribute) {
        match attribute.kind() {
            CTA_IP_V4_SRC | CTA_IP_V6_SRC => source = address_of(&attribute),
            CTA_IP_V4_DST | CTA_IP_V6_DST => destination = address_of(&attribute),
            _ => {}
        }
    }
    let (source, destination) = (source?, destination?);
    (source.is_ipv4() == destination.is_ipv4()).then_some((source, destination))
}

/// `CTA_TUPLE_PROTO`.
struct Transport {
    protocol: IpProtocol,
    source_port: u16,
    destination_port: u16,
    icmp: Option<IcmpQuery>,
}

impl Transport {
    fn of(attribute: &NlaBuffer<&[u8]>) -> Option<Self> {
        let mut protocol = None;
        let (mut source_port, mut destination_port) = (0, 0);
        let (mut kind, mut code) = (None, 0);
        for attribute in inside(attribute) {
            match attribute.kind() {
                CTA_PROTO_NUM => protocol = u8_of(&attribute).map(IpProtocol),
                CTA_PROTO_SRC_PORT => source_port = u16_of(&attribute)?,
                CTA_PROTO_DST_PORT => destination_port = u16_of(&attribute)?,
                CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID => {
                    source_port = u16_of(&attribute)?;
                    destination_port = source_port;
                }
                CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE => kind = u8_of(&attribute),
                CTA_PROTO_ICMP_CODE | CTA_PROTO_ICMPV6_CODE => code = u8_of(&attribute)?,
                _ => {}
            }
        }
        let icmp = kind.map(|kind| IcmpQuery { kind, code });
        Some(Self { protocol: protocol?, source_port, destination_port, icmp })
    }
}

fn tcp_state(attribute: &NlaBuffer<&[u8]>) -> Option<TcpState> {
    let tcp = inside(attribute).find(|attribute| attribute.kind() == CTA_PROTOINFO_TCP)?;
    let state = inside(&tcp).find(|attribute| attribute.kind() == CTA_PROTOINFO_TCP_STATE)?;
    TcpState::from_kernel(u8_of(&state)?)
}

fn counters(attribute: &NlaBuffer<&[u8]>) -> Option<Counters> {
    let mut counters = Counters::default();
    for attribute in inside(attribute) {
        match attribute.kind() {
            CTA_COUNTERS_PACKETS => counters.packets = u64_of(&attribute)?,
            CTA_COUNTERS_BYTES => counters.bytes = u64_of(&attribute)?,
            _ => {}
        }
    }
    Some(counters)
}

fn start(attribute: &NlaBuffer<&[u8]>) -> Option<SystemTime> {
    let start = inside(attribute).find(|attribute| attribute.kind() == CTA_TIMESTAMP_START)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(u64_of(&start)?))
}
