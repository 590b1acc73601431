//! What is written is read back, and nothing that is read makes a panic.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use rtnetlink::packet_core::DefaultNla;

use super::attribute::*;
use super::*;
use super::{encode, parse};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A message's payload from the nfgenmsg header on.
fn message(attributes: &[DefaultNla]) -> Vec<u8> {
    [vec![2, 0, 0, 0], emitted(attributes)].concat()
}

/// What the kernel lists of a TCP connection through a masquerade, with everything that it can tell.
fn listed() -> Vec<DefaultNla> {
    let flow = NewEntry::established(IpProtocol::TCP, addr("10.0.0.2:40000"), addr("192.0.2.1:443"), Duration::from_secs(90));
    let long = |kind, value: u64| DefaultNla::new(kind, value.to_be_bytes().to_vec());
    let mut attributes = encode::new_entry(&flow).unwrap();
    attributes.extend([
        nested(CTA_COUNTERS_ORIG, &[long(CTA_COUNTERS_PACKETS, 3), long(CTA_COUNTERS_BYTES, 180)]),
        nested(CTA_COUNTERS_REPLY, &[long(CTA_COUNTERS_PACKETS, 2), long(CTA_COUNTERS_BYTES, 1 << 33)]),
        nested(CTA_TIMESTAMP, &[long(CTA_TIMESTAMP_START, 1_700_000_000_000_000_001)]),
        word(CTA_ID, 0xdead_beef),
    ]);
    attributes
}

#[test]
fn everything_that_the_kernel_tells_is_read() {
    let entry = parse::entry(&message(&listed())).unwrap();
    let source = addr("10.0.0.2:40000");
    let destination = addr("192.0.2.1:443");
    assert_eq!(entry.protocol, IpProtocol::TCP);
    assert_eq!(entry.original, Tuple { source, destination, icmp: None });
    assert_eq!(entry.reply, Tuple { source: destination, destination: source, icmp: None });
    assert_eq!(entry.status, NewEntry::ESTABLISHED);
    assert_eq!(entry.timeout, Some(Duration::from_secs(90)));
    assert_eq!(entry.tcp, Some(TcpState::Established));
    assert_eq!(entry.original_counters, Some(Counters { packets: 3, bytes: 180 }));
    assert_eq!(entry.reply_counters, Some(Counters { packets: 2, bytes: 1 << 33 }));
    assert_eq!(entry.started.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(), 1_700_000_000_000_000_001);
    assert_eq!(entry.id, Some(EntryId(0xdead_beef)));
}

#[test]
fn queries_of_both_families_keep_their_identifier_and_kind() {
    for (protocol, source, destination, query, answer) in [
        (IpProtocol::ICMP, "10.0.0.2:7", "192.0.2.1:7", IcmpQuery::ECHO, 0),
        (IpProtocol::ICMP, "10.0.0.2:7", "192.0.2.1:7", IcmpQuery { kind: 13, code: 0 }, 14),
        (IpProtocol::ICMPV6, "[2001:db8::2]:7", "[2001:db8::1]:7", IcmpQuery::ECHO_V6, 129),
    ] {
        let mut flow = NewEntry::established(protocol, addr(source), addr(destination), Duration::from_secs(1));
        flow.original.icmp = Some(query);
        let entry = parse::entry(&message(&encode::new_entry(&flow).unwrap())).unwrap();
        assert_eq!(entry.original, flow.original);
        assert_eq!(entry.reply.icmp, Some(IcmpQuery { kind: answer, code: 0 }));
        assert_eq!(entry.reply.inverse(protocol), Some(entry.original));
    }
    // Destination unreachable is no query.
    let mut flow = NewEntry::established(IpProtocol::ICMP, addr("10.0.0.2:7"), addr("192.0.2.1:7"), Duration::from_secs(1));
    flow.original.icmp = Some(IcmpQuery { kind: 3, code: 0 });
    assert!(encode::new_entry(&flow).is_none());
}

#[test]
fn what_is_of_another_zone_or_lacks_a_tuple_is_left_out() {
    let with = |extra: DefaultNla| [listed(), vec![extra]].concat();
    assert!(parse::entry(&message(&with(short(CTA_ZONE, 0)))).is_some());
    assert!(parse::entry(&message(&with(short(CTA_ZONE, 9)))).is_none());
    for missing in [0, 1] {
        let mut attributes = listed();
        attributes.remove(missing);
        assert!(parse::entry(&message(&attributes)).is_none());
    }
    assert!(parse::entry(&[]).is_none());
}

#[test]
fn the_time_of_a_new_entry_is_rounded_up() {
    for (timeout, seconds) in [(Duration::ZERO, 1), (Duration::from_millis(1500), 2), (Duration::MAX, u64::from(u32::MAX))] {
        let flow = NewEntry::established(IpProtocol::UDP, addr("10.0.0.2:1"), addr("192.0.2.1:2"), timeout);
        let entry = parse::entry(&message(&encode::new_entry(&flow).unwrap())).unwrap();
        assert_eq!(entry.timeout, Some(Duration::from_secs(seconds)));
    }
}

proptest! {
    #[test]
    fn no_answer_makes_a_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = message(&listed());
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = parse::entry(&bytes);
    }
}
