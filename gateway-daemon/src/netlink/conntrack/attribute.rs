//! Numbers of include/uapi/linux/netfilter/nfnetlink_conntrack.h, and their values on the wire: all in network byte order.

use std::net::IpAddr;

use rtnetlink::packet_core::{DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NlaBuffer, NlasIterator};

/// `NFNL_SUBSYS_CTNETLINK`, as the upper byte of a message type.
const SUBSYSTEM: u16 = 1 << 8;

/// `enum cntl_msg_types`.
pub(super) const CT_NEW: u16 = SUBSYSTEM;
pub(super) const CT_GET: u16 = SUBSYSTEM | 1;
pub(super) const CT_DELETE: u16 = SUBSYSTEM | 2;
pub(super) const CT_GET_STATS: u16 = SUBSYSTEM | 5;

/// `enum ctattr_type`.
pub(super) const CTA_TUPLE_ORIG: u16 = 1;
pub(super) const CTA_TUPLE_REPLY: u16 = 2;
pub(super) const CTA_STATUS: u16 = 3;
pub(super) const CTA_PROTOINFO: u16 = 4;
pub(super) const CTA_NAT_SRC: u16 = 6;
pub(super) const CTA_TIMEOUT: u16 = 7;
pub(super) const CTA_MARK: u16 = 8;
pub(super) const CTA_COUNTERS_ORIG: u16 = 9;
pub(super) const CTA_COUNTERS_REPLY: u16 = 10;
pub(super) const CTA_ID: u16 = 12;
pub(super) const CTA_NAT_DST: u16 = 13;
pub(super) const CTA_ZONE: u16 = 18;
pub(super) const CTA_TIMESTAMP: u16 = 20;
pub(super) const CTA_MARK_MASK: u16 = 21;

/// `enum ctattr_tuple`.
pub(super) const CTA_TUPLE_IP: u16 = 1;
pub(super) const CTA_TUPLE_PROTO: u16 = 2;
pub(super) const CTA_TUPLE_ZONE: u16 = 3;

/// `enum ctattr_ip`.
pub(super) const CTA_IP_V4_SRC: u16 = 1;
pub(super) const CTA_IP_V4_DST: u16 = 2;
pub(super) const CTA_IP_V6_SRC: u16 = 3;
pub(super) const CTA_IP_V6_DST: u16 = 4;

/// `enum ctattr_l4proto`.
pub(super) const CTA_PROTO_NUM: u16 = 1;
pub(super) const CTA_PROTO_SRC_PORT: u16 = 2;
pub(super) const CTA_PROTO_DST_PORT: u16 = 3;
pub(super) const CTA_PROTO_ICMP_ID: u16 = 4;
pub(super) const CTA_PROTO_ICMP_TYPE: u16 = 5;
pub(super) const CTA_PROTO_ICMP_CODE: u16 = 6;
pub(super) const CTA_PROTO_ICMPV6_ID: u16 = 7;
pub(super) const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
pub(super) const CTA_PROTO_ICMPV6_CODE: u16 = 9;

/// `enum ctattr_protoinfo`, `enum ctattr_protoinfo_tcp`.
pub(super) const CTA_PROTOINFO_TCP: u16 = 1;
pub(super) const CTA_PROTOINFO_TCP_STATE: u16 = 1;
pub(super) const CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: u16 = 4;
pub(super) const CTA_PROTOINFO_TCP_FLAGS_REPLY: u16 = 5;

/// `enum ctattr_counters`.
pub(super) const CTA_COUNTERS_PACKETS: u16 = 1;
pub(super) const CTA_COUNTERS_BYTES: u16 = 2;

/// `enum ctattr_tstamp`.
pub(super) const CTA_TIMESTAMP_START: u16 = 1;

/// `enum ctattr_nat`, `enum ctattr_protonat`.
pub(super) const CTA_NAT_V4_MINIP: u16 = 1;
pub(super) const CTA_NAT_V4_MAXIP: u16 = 2;
pub(super) const CTA_NAT_PROTO: u16 = 3;
pub(super) const CTA_NAT_V6_MINIP: u16 = 4;
pub(super) const CTA_NAT_V6_MAXIP: u16 = 5;
pub(super) const CTA_PROTONAT_PORT_MIN: u16 = 1;
pub(super) const CTA_PROTONAT_PORT_MAX: u16 = 2;

/// `enum ctattr_stats_global`.
pub(super) const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
pub(super) const CTA_STATS_GLOBAL_MAX_ENTRIES: u16 = 2;

/// Attributes one after the other; ends at the first that is malformed.
pub(super) fn walk(bytes: &[u8]) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, DecodeError>> {
    NlasIterator::new(bytes)
}

/// Attributes inside another, without those from the first malformed one on.
pub(super) fn inside<'a>(attribute: &'a NlaBuffer<&'a [u8]>) -> impl Iterator<Item = NlaBuffer<&'a [u8]>> {
    walk(attribute.value()).map_while(Result::ok)
}

pub(super) fn u8_of(attribute: &NlaBuffer<&[u8]>) -> Option<u8> {
    attribute.value().first().copied()
}

pub(super) fn u16_of(attribute: &NlaBuffer<&[u8]>) -> Option<u16> {
    attribute.value().try_into().map(u16::from_be_bytes).ok()
}

pub(super) fn u32_of(attribute: &NlaBuffer<&[u8]>) -> Option<u32> {
    attribute.value().try_into().map(u32::from_be_bytes).ok()
}

pub(super) fn u64_of(attribute: &NlaBuffer<&[u8]>) -> Option<u64> {
    attribute.value().try_into().map(u64::from_be_bytes).ok()
}

pub(super) fn address_of(attribute: &NlaBuffer<&[u8]>) -> Option<IpAddr> {
    let value = attribute.value();
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

pub(super) fn byte(kind: u16, value: u8) -> DefaultNla {
    DefaultNla::new(kind, vec![value])
}

pub(super) fn short(kind: u16, value: u16) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

pub(super) fn word(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

/// An address under the number of its family.
pub(super) fn address(v4: u16, v6: u16, value: IpAddr) -> DefaultNla {
    match value {
        IpAddr::V4(value) => DefaultNla::new(v4, value.octets().to_vec()),
        IpAddr::V6(value) => DefaultNla::new(v6, value.octets().to_vec()),
    }
}

pub(super) fn nested(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NLA_F_NESTED, emitted(inner))
}

pub(super) fn emitted(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}
