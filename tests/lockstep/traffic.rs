//! Traffic as a list of symbolic steps: each lane makes them concrete with the addresses and ports that it has seen.

use crate::network::{HOSTS, Host, LEGS, LegIndex, OTHERS};

/// What a conversation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo.
    Echo,
}

/// A source port (of echo, the identifier) of this run's own, so that nothing of an earlier run is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePort {
    /// One of 24 of 1024 and above.
    User(u8),
    /// One of 4 below 1024.
    WellKnown(u8),
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationPort {
    /// This one.
    Port(u16),
    /// One that no lane has given to a mapping.
    Unmapped,
}

/// A packet that begins something, or tries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Index of [`sender`].
    pub from: u8,
    /// Index of [`target`].
    pub to: u8,
    /// Of what.
    pub transport: Transport,
    /// From which port.
    pub source_port: SourcePort,
    /// To which; no matter for echo.
    pub port: DestinationPort,
    /// TTL or hop limit.
    pub ttl: u8,
    /// How it begins.
    pub first: First,
}

/// What a conversation begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// A SYN, a datagram, an echo request.
    Proper,
    /// A TCP segment with these flags, or an echo reply: nothing begins so.
    Improper(u8),
}

/// One step. Numbers of conversations count those that are open, modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new conversation; one with the same ends again is [`Step::Again`].
    Open(Open),
    /// The first packet once more.
    Again(u8),
    /// The far side speaks: SYN ACK, data, a datagram, an echo reply.
    Reply(u8),
    /// The near side speaks, beyond the first packet.
    More(u8),
    /// One side closes: FIN. The last acknowledgement comes with the second one.
    Finish {
        /// Which conversation.
        of: u8,
        /// The far side.
        far: bool,
    },
    /// One side resets.
    Reset {
        /// Which conversation.
        of: u8,
        /// The far side.
        far: bool,
    },
    /// Somebody else on the far side's leg sends to what the far side knows as its peer.
    Stray {
        /// Which conversation.
        of: u8,
        /// Index of [`sender`], modulo those of that leg and family.
        from: u8,
        /// From which port.
        source_port: SourcePort,
    },
}

/// Senders whose source is not theirs: another leg's, the gateway's own, nobody's.
const SPOOFERS: [Host; 10] = [
    Host { leg: 0, address: "10.2.0.10", via: None },
    Host { leg: 0, address: "203.0.113.1", via: None },
    Host { leg: 1, address: "100.64.9.9", via: None },
    Host { leg: 1, address: "10.1.0.10", via: None },
    Host { leg: 2, address: "192.0.2.10", via: None },
    Host { leg: 1, address: "203.0.113.68", via: None },
    Host { leg: 0, address: "fd00:2::10", via: None },
    Host { leg: 1, address: "2001:db8:dead::9", via: None },
    Host { leg: 0, address: "fd00:1::1", via: None },
    Host { leg: 2, address: "fd00:1::10", via: None },
];

/// How many senders there are, and how many of them are honest.
pub const SENDERS: (u8, u8) = ((HOSTS.len() + SPOOFERS.len()) as u8, HOSTS.len() as u8);
/// How many targets there are.
pub const TARGETS: u8 = (HOSTS.len() + OTHERS.len()) as u8;

/// The sender of an index.
pub fn sender(index: u8) -> &'static Host {
    let index = usize::from(index) % (HOSTS.len() + SPOOFERS.len());
    HOSTS.get(index).unwrap_or_else(|| &SPOOFERS[index - HOSTS.len()])
}

/// The target of an index.
pub fn target(index: u8) -> &'static str {
    let index = usize::from(index) % usize::from(TARGETS);
    HOSTS.get(index).map_or_else(|| OTHERS[index - HOSTS.len()], |host| host.address)
}

/// Whether the indexes of a sender and a target are of one family, and not of one and the same host.
pub fn can_talk(from: u8, to: u8) -> bool {
    let (from, to) = (sender(from).address, target(to));
    from != to && from.contains(':') == to.contains(':')
}

/// Honest senders of a leg and family other than `not`.
pub fn others_on(leg: LegIndex, like: &str) -> Vec<&'static Host> {
    debug_assert!(leg < LEGS.len());
    HOSTS.iter().filter(|host| host.leg == leg && host.address.contains(':') == like.contains(':') && host.address != like).collect()
}

impl SourcePort {
    /// The port in the run with this serial number. User ports come again after 2500 runs, well-known ones after 217.
    pub fn number(self, serial: u32) -> u16 {
        match self {
            Self::User(slot) => 1024 + ((serial * 24 + u32::from(slot % 24)) % 60_000) as u16,
            Self::WellKnown(slot) => {
                // Neither services that are sent to, nor port 0.
                let n = ((serial * 4 + u32::from(slot % 4)) % 870) as u16;
                if n < 300 { 100 + n } else { 150 + n }
            }
        }
    }
}
