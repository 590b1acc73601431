//! What the gateway itself tells the senders of packets that it refuses: TCP resets and ICMP errors.

use std::collections::BTreeSet;

use gateway_tests::frames::{Path, Seen, flag};

use crate::payload;

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// A TCP reset.
    Reset,
    /// An ICMP or ICMPv6 error, by type and code.
    Icmp(u8, u8),
}

/// Whom the answer is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum About {
    /// The packet with this number, which the error quotes.
    Packet(u32),
    /// Whoever sent over the way back of this path.
    Path(Path),
}

/// Answers to conversations, by their numbers: a retransmission may be answered once more, or not.
pub type Answers = BTreeSet<(usize, Answer)>;

/// Reads an answer; `None` for any other frame. A redirect is none: nothing was refused.
pub fn read(frame: &[u8]) -> Option<(About, Answer)> {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    let (protocol, l4) = match (byte(12), byte(13)) {
        (0x08, 0x00) => (byte(23), 14 + usize::from(byte(14) & 15) * 4),
        (0x86, 0xdd) => (byte(20), 54),
        _ => return None,
    };
    match protocol {
        6 if byte(l4 + 13) & flag::RST != 0 && payload::number(frame).is_none() => Some((About::Path(Seen::of(frame).path), Answer::Reset)),
        1 | 58 if payload::is_refusal(frame) && ![5, 137].contains(&byte(l4)) => {
            Some((About::Packet(payload::number(frame)?), Answer::Icmp(byte(l4), byte(l4 + 1))))
        }
        _ => None,
    }
}
