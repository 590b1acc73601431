//! `gateway flows` and `gateway mappings`: state of the traffic.

use std::net::SocketAddr;

use gateway_ebpf::abi;
use serde::{Deserialize, Serialize};

use crate::control::label::labelled;

/// The IP version, `4` or `6` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl From<IpFamily> for u8 {
    fn from(family: IpFamily) -> Self {
        match family {
            IpFamily::V4 => 4,
            IpFamily::V6 => 6,
        }
    }
}

impl TryFrom<u8> for IpFamily {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            4 => Ok(Self::V4),
            6 => Ok(Self::V6),
            other => Err(format!("an IP family is 4 or 6, not {other}")),
        }
    }
}

labelled! {
    /// What a flow carries, named as in the policy.
    Protocol {
        /// TCP.
        Tcp = "tcp";
        /// UDP.
        Udp = "udp";
        /// ICMP on IPv4, ICMPv6 on IPv6.
        Icmp = "icmp";
    }
}

impl Protocol {
    /// The datapath's number as a name; `None` for a protocol that the datapath keeps no flows of.
    #[must_use]
    pub fn from_abi(number: abi::Protocol) -> Option<Self> {
        match number {
            abi::Protocol::TCP => Some(Self::Tcp),
            abi::Protocol::UDP => Some(Self::Udp),
            abi::Protocol::ICMP | abi::Protocol::ICMPV6 => Some(Self::Icmp),
            _ => None,
        }
    }
}

labelled! {
    /// Where a flow stands in its life; the labels are those of [`gateway_ebpf::abi::FlowState`].
    FlowState {
        /// The first packet has passed, nothing came back.
        Opening = "opening";
        /// TCP: the SYN is answered, the handshake not complete.
        Answered = "answered";
        /// Both sides have spoken.
        Established = "established";
        /// TCP: one side has sent FIN.
        Closing = "closing";
        /// TCP: both sides have sent FIN, or one has sent RST.
        Closed = "closed";
        /// A number that this version has no name for.
        Unknown = "unknown";
    }
}

impl From<abi::FlowState> for FlowState {
    fn from(state: abi::FlowState) -> Self {
        match state {
            abi::FlowState::OPENING => Self::Opening,
            abi::FlowState::ANSWERED => Self::Answered,
            abi::FlowState::ESTABLISHED => Self::Established,
            abi::FlowState::ORIGINAL_CLOSED | abi::FlowState::REPLY_CLOSED => Self::Closing,
            abi::FlowState::CLOSED => Self::Closed,
            _ => Self::Unknown,
        }
    }
}

/// One flow, both directions. Endpoints are `"192.0.2.1:80"` or `"[2001:db8::1]:80"` in JSON; of ICMP the port is the echo identifier.
///
/// *Internal* is the endpoint behind the gateway's translation: the source of a flow under source NAT, the server of a port forward. Of a
/// flow without translation it is the side that sent the first packet. *Remote* is the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// The IP version.
    pub family: IpFamily,
    /// What it carries.
    pub protocol: Protocol,
    /// The endpoint behind the gateway, as it knows itself.
    pub internal: SocketAddr,
    /// The same endpoint as the remote sees it; `None` without source NAT.
    pub external: Option<SocketAddr>,
    /// The other side.
    pub remote: SocketAddr,
    /// Of a port forward, the public endpoint that the first packet was sent to.
    pub original_destination: Option<SocketAddr>,
    /// The zone that the first packet came from.
    pub from_zone: String,
    /// The zone that it left to.
    pub to_zone: String,
    /// Where it stands.
    pub state: FlowState,
    /// The firewall rule that accepted it.
    pub rule: String,
    /// The NAT rule that translated it.
    pub nat_rule: Option<String>,
    /// Seconds since its last packet, in either direction.
    pub idle_seconds: u64,
    /// Seconds until it ends if no packet comes.
    pub expires_seconds: u64,
    /// Packets in the direction of the first packet.
    pub packets_original: u64,
    /// Their bytes, from the IP header on.
    pub bytes_original: u64,
    /// Packets in the other direction.
    pub packets_reply: u64,
    /// Their bytes, from the IP header on.
    pub bytes_reply: u64,
}

/// Flows that match a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsView {
    /// The flows, up to the filter's limit.
    pub flows: Vec<FlowView>,
    /// How many match without the limit.
    pub matched: u64,
}

/// One NAT mapping (RFC 4787 section 4.1): an internal endpoint and its external one, whatever the remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingView {
    /// What it carries.
    pub protocol: Protocol,
    /// The endpoint behind the gateway.
    pub internal: SocketAddr,
    /// The endpoint that remotes see.
    pub external: SocketAddr,
    /// The source NAT rule that made it.
    pub rule: String,
    /// Seconds since it was made.
    pub age_seconds: u64,
    /// Seconds since a packet used it.
    pub idle_seconds: u64,
}
