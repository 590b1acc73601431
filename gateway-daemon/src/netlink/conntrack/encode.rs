//! From entries to the attributes of requests.

use std::net::SocketAddr;
use std::time::Duration;

use rtnetlink::packet_core::DefaultNla;

use super::attribute::*;
use super::create::NewEntry;
use super::entry::{Entry, IpProtocol, Mark, Status, TcpState, Tuple};

/// `IP_CT_TCP_FLAG_BE_LIBERAL` (include/uapi/linux/netfilter/nf_conntrack_tcp.h): sequence numbers are not held against a window.
const LIBERAL: u8 = 0x08;

/// What names one entry: its original tuple, and its identity where it is known.
pub(super) fn name(entry: &Entry) -> Vec<DefaultNla> {
    let mut attributes = vec![tuple(CTA_TUPLE_ORIG, entry.protocol, &entry.original)];
    attributes.extend(entry.id.map(|id| word(CTA_ID, id.0)));
    attributes
}

/// Some bits of a mark, to be found or to be set: either way the kernel wants no bit outside the mask.
pub(super) fn mark(mark: Mark) -> [DefaultNla; 2] {
    [word(CTA_MARK, mark.value & mark.mask), word(CTA_MARK_MASK, mark.mask)]
}

/// A new entry; `None` for an ICMP message that has no answer.
///
/// The reply tuple is the untranslated one: `ctnetlink_setup_nat` translates it and sets the flag for each side that changes. Given
/// the translated tuple the kernel would see nothing to change, set no flag and let every packet pass untranslated.
pub(super) fn new_entry(entry: &NewEntry) -> Option<Vec<DefaultNla>> {
    let NewEntry { protocol, original, .. } = *entry;
    let reply = original.inverse(protocol)?;
    let mut attributes = vec![
        tuple(CTA_TUPLE_ORIG, protocol, &original),
        tuple(CTA_TUPLE_REPLY, protocol, &reply),
        // `ctnetlink_change_status` refuses a status without the bit that it has set itself.
        word(CTA_STATUS, (entry.status | Status::CONFIRMED).bits()),
        word(CTA_TIMEOUT, seconds(entry.timeout)),
        word(CTA_MARK, entry.mark),
    ];
    if entry.translated_destination != original.destination {
        attributes.push(translation(CTA_NAT_DST, entry.translated_destination));
    }
    if entry.translated_source != original.source {
        attributes.push(translation(CTA_NAT_SRC, entry.translated_source));
    }
    attributes.extend(entry.tcp.map(tcp));
    Some(attributes)
}

/// The kernel counts in whole seconds; an entry of 0 would end at once.
fn seconds(duration: Duration) -> u32 {
    let up = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    u32::try_from(up.max(1)).unwrap_or(u32::MAX)
}

fn tuple(kind: u16, protocol: IpProtocol, tuple: &Tuple) -> DefaultNla {
    let addresses =
        [address(CTA_IP_V4_SRC, CTA_IP_V6_SRC, tuple.source.ip()), address(CTA_IP_V4_DST, CTA_IP_V6_DST, tuple.destination.ip())];
    let mut transport = vec![byte(CTA_PROTO_NUM, protocol.0)];
    match tuple.icmp {
        Some(query) if protocol == IpProtocol::ICMPV6 => transport.extend([
            short(CTA_PROTO_ICMPV6_ID, tuple.source.port()),
            byte(CTA_PROTO_ICMPV6_TYPE, query.kind),
            byte(CTA_PROTO_ICMPV6_CODE, query.code),
        ]),
        Some(query) => transport.extend([
            short(CTA_PROTO_ICMP_ID, tuple.source.port()),
            byte(CTA_PROTO_ICMP_TYPE, query.kind),
            byte(CTA_PROTO_ICMP_CODE, query.code),
        ]),
        // Protocols without ports ignore them.
        None => {
            transport.extend([short(CTA_PROTO_SRC_PORT, tuple.source.port()), short(CTA_PROTO_DST_PORT, tuple.destination.port())]);
        }
    }
    nested(kind, &[nested(CTA_TUPLE_IP, &addresses), nested(CTA_TUPLE_PROTO, &transport)])
}

/// One address and one port (or ICMP identifier), so that the kernel has nothing to choose.
fn translation(kind: u16, to: SocketAddr) -> DefaultNla {
    let ports = [short(CTA_PROTONAT_PORT_MIN, to.port()), short(CTA_PROTONAT_PORT_MAX, to.port())];
    nested(
        kind,
        &[
            address(CTA_NAT_V4_MINIP, CTA_NAT_V6_MINIP, to.ip()),
            address(CTA_NAT_V4_MAXIP, CTA_NAT_V6_MAXIP, to.ip()),
            nested(CTA_NAT_PROTO, &ports),
        ],
    )
}

/// The windows of a connection that was not watched from its beginning are unknown, so they are not checked.
fn tcp(state: TcpState) -> DefaultNla {
    // struct nf_ct_tcp_flags: flags, mask.
    let flags = |kind| DefaultNla::new(kind, vec![LIBERAL, LIBERAL]);
    let state = byte(CTA_PROTOINFO_TCP_STATE, state as u8);
    let tcp = nested(CTA_PROTOINFO_TCP, &[state, flags(CTA_PROTOINFO_TCP_FLAGS_ORIGINAL), flags(CTA_PROTOINFO_TCP_FLAGS_REPLY)]);
    nested(CTA_PROTOINFO, &[tcp])
}
