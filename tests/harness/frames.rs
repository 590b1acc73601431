//! Frames for tests: built and read by etherparse, which knows nothing of our own code.

mod repair;
mod seen;

pub use repair::repair;
pub use seen::Seen;

use std::net::IpAddr;

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder, PacketBuilderStep, TcpHeader};

/// TCP flag bits, as on the wire.
pub mod flag {
    pub use gateway_ebpf::wire::tcp::{ACK, FIN, PSH, RST, SYN, URG};
}

/// Who sends to whom, through which stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Sender's MAC.
    pub source_mac: [u8; 6],
    /// Receiver's MAC.
    pub destination_mac: [u8; 6],
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// Source port, or the identifier of an echo request.
    pub source_port: u16,
    /// Destination port, or the identifier of an echo reply.
    pub destination_port: u16,
    /// TTL or hop limit.
    pub ttl: u8,
}

impl Path {
    /// The way back, as its receiver would answer.
    #[must_use]
    pub fn back(self) -> Self {
        Self {
            source_mac: self.destination_mac,
            destination_mac: self.source_mac,
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ttl: 64,
        }
    }

    /// The same with another source port.
    #[must_use]
    pub fn from_port(self, source_port: u16) -> Self {
        Self { source_port, ..self }
    }

    /// The same with another destination.
    #[must_use]
    pub fn to(self, destination: &str, destination_port: u16) -> Self {
        Self { destination: address(destination), destination_port, ..self }
    }

    /// The same with another source.
    #[must_use]
    pub fn from(self, source: &str) -> Self {
        Self { source: address(source), ..self }
    }

    /// The same with another TTL.
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// A TCP segment.
    #[must_use]
    pub fn tcp(&self, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source_port, self.destination_port, 0x0102_0304, 0xfaf0);
        header.fin = flags & flag::FIN != 0;
        header.syn = flags & flag::SYN != 0;
        header.rst = flags & flag::RST != 0;
        header.psh = flags & flag::PSH != 0;
        header.ack = flags & flag::ACK != 0;
        header.urg = flags & flag::URG != 0;
        self.finish(payload, |step, frame| step.tcp_header(header).write(frame, payload).expect("a Vec takes every write"))
    }

    /// A UDP datagram with a checksum.
    #[must_use]
    pub fn udp(&self, payload: &[u8]) -> Vec<u8> {
        self.finish(payload, |step, frame| {
            step.udp(self.source_port, self.destination_port).write(frame, payload).expect("a Vec takes every write");
        })
    }

    /// A UDP datagram without a checksum (IPv4 only).
    #[must_use]
    pub fn udp_without_checksum(&self, payload: &[u8]) -> Vec<u8> {
        let mut frame = self.udp(payload);
        frame[14 + 20 + 6..14 + 20 + 8].fill(0);
        frame
    }

    /// An ICMP echo request with the source port as identifier.
    #[must_use]
    pub fn echo_request(&self, payload: &[u8]) -> Vec<u8> {
        let (id, v4) = (self.source_port, self.source.is_ipv4());
        self.finish(payload, |step, frame| {
            let step = if v4 {
                step.icmpv4_echo_request(id, 1).write(frame, payload)
            } else {
                step.icmpv6_echo_request(id, 1).write(frame, payload)
            };
            step.expect("a Vec takes every write");
        })
    }

    /// An ICMP echo reply with the destination port as identifier.
    #[must_use]
    pub fn echo_reply(&self, payload: &[u8]) -> Vec<u8> {
        let (id, v4) = (self.destination_port, self.source.is_ipv4());
        self.finish(payload, |step, frame| {
            let step =
                if v4 { step.icmpv4_echo_reply(id, 1).write(frame, payload) } else { step.icmpv6_echo_reply(id, 1).write(frame, payload) };
            step.expect("a Vec takes every write");
        })
    }

    /// A packet of a protocol of its own kind: only the network header is ours.
    #[must_use]
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.step().write(&mut frame, IpNumber(protocol), payload).expect("a Vec takes every write");
        frame
    }

    fn step(&self) -> PacketBuilderStep<IpHeaders> {
        let headers = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header =
                    Ipv4Header::new(0, self.ttl, IpNumber::UDP, source.octets(), destination.octets()).expect("a payload of nothing fits");
                header.identification = 0x1234;
                IpHeaders::Ipv4(header, Default::default())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: 0,
                    next_header: IpNumber::UDP,
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                IpHeaders::Ipv6(header, Default::default())
            }
            _ => panic!("{} and {} are of two families", self.source, self.destination),
        };
        PacketBuilder::ethernet2(self.source_mac, self.destination_mac).ip(headers)
    }

    fn finish(&self, payload: &[u8], write: impl FnOnce(PacketBuilderStep<IpHeaders>, &mut Vec<u8>)) -> Vec<u8> {
        let mut frame = Vec::with_capacity(payload.len() + 100);
        write(self.step(), &mut frame);
        frame
    }
}

/// An address written as text; panics on a mistake in a test.
#[must_use]
pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("`{text}` is no address: {error}"))
}

/// A frame as hex, for a failure to be replayed.
#[must_use]
pub fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}
