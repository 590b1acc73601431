//! What became of a packet, in terms that lanes share.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use gateway_tests::frames::{Path, Seen, hex};

use crate::lane::Sight;
use crate::network::{LEGS, LegIndex, gateway_mac};
use crate::talk::{Ends, Side};
use crate::traffic::Transport;

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It came out nowhere.
    Dropped,
    /// The gateway's own stack answered the ping.
    Answered,
    /// It came out.
    Forwarded(Box<Forwarded>),
}

/// How a packet came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// On which leg.
    pub leg: LegIndex,
    /// To which station.
    pub station: [u8; 6],
    /// Where it seems to come from.
    pub source: Endpoint,
    /// Where it goes.
    pub destination: Endpoint,
    /// Both as they are, which lanes need not share.
    pub path: Path,
}

/// An endpoint, compared with what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// As it was sent.
    Kept,
    /// A reply's: what the near side knows.
    Restored,
    /// Something else.
    Changed(IpAddr, u16),
}

/// What was sent, for judging what came.
pub struct Sent<'a> {
    /// The path in this lane.
    pub path: Path,
    /// By which side.
    pub side: Side,
    /// The conversation in this lane.
    pub ends: &'a Ends,
    /// Its kind.
    pub transport: Transport,
    /// The sent frame.
    pub frame: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl Outcome {
    /// Of what was seen.
    ///
    /// # Errors
    /// When no right gateway could have sent this: two frames, a wrong checksum, another payload, a hop limit that is not one less.
    pub fn of(sights: &[Sight], sent: &Sent<'_>) -> Result<Self> {
        let Some(sight) = sights.first() else { return Ok(Self::Dropped) };
        ensure!(sights.len() == 1, "it came out {} times: {sights:?}", sights.len());
        let frame = &sight.frame;
        if is_echo_reply(frame) && !is_echo_reply(sent.frame) {
            return Ok(Self::Answered);
        }
        let seen = Seen::of(frame);
        ensure!(seen.header_checksum_ok, "the IPv4 header checksum is wrong: {}", hex(frame));
        ensure!(seen.checksum == seen.expected_checksum, "the transport checksum is wrong: {}", hex(frame));
        ensure!(seen.payload == sent.payload, "the payload is not the same: {}", hex(frame));
        ensure!(seen.path.ttl.checked_add(1) == Some(sent.path.ttl), "the hop limit is {} after {}", seen.path.ttl, sent.path.ttl);
        ensure!(seen.path.source_mac == gateway_mac(sight.leg), "the source MAC is not the gateway's: {}", hex(frame));
        ensure!(rest(frame, sent.transport) == rest(sent.frame, sent.transport), "TCP's numbers or flags have changed: {}", hex(frame));
        let (near, sent_path) = (&sent.ends.near, &sent.path);
        let endpoint = |seen: (IpAddr, u16), sent_as: (IpAddr, u16), known_as: (IpAddr, u16)| {
            if sent.side == Side::Far && seen == known_as {
                Endpoint::Restored
            } else if seen == sent_as {
                Endpoint::Kept
            } else {
                Endpoint::Changed(seen.0, seen.1)
            }
        };
        let source = endpoint(source(&seen.path), source(sent_path), destination(near));
        let destination = endpoint(destination(&seen.path), destination(sent_path), self::source(near));
        Ok(Self::Forwarded(Box::new(Forwarded {
            leg: sight.leg,
            station: seen.path.destination_mac,
            source,
            destination,
            path: seen.path,
        })))
    }

    /// How it came out.
    pub fn forwarded(&self) -> Option<&Forwarded> {
        match self {
            Self::Forwarded(forwarded) => Some(forwarded),
            _ => None,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Forwarded(forwarded) = self else { return write!(f, "{}", format!("{self:?}").to_lowercase()) };
        let Path { source, destination, source_port, destination_port, .. } = &forwarded.path;
        write!(f, "forwarded over {} as {source} {source_port} -> {destination} {destination_port}", LEGS[forwarded.leg].name)?;
        write!(f, " ({:?}, {:?})", forwarded.source, forwarded.destination)
    }
}

fn source(path: &Path) -> (IpAddr, u16) {
    (path.source, path.source_port)
}

fn destination(path: &Path) -> (IpAddr, u16) {
    (path.destination, path.destination_port)
}

/// TCP's numbers, flags and window, which no gateway changes.
fn rest(frame: &[u8], transport: Transport) -> Option<&[u8]> {
    let l4 = if frame[12] == 0x08 { 34 } else { 54 };
    if transport == Transport::Tcp { frame.get(l4 + 4..l4 + 16) } else { None }
}

fn is_echo_reply(frame: &[u8]) -> bool {
    let byte = |at: usize| frame.get(at).copied().unwrap_or_default();
    match (byte(12), byte(13)) {
        (0x08, 0x00) => byte(23) == 1 && byte(34) == 0,
        _ => byte(20) == 58 && byte(54) == 129,
    }
}
