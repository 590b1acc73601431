//! Conversations: who speaks, what the far side saw in each lane, and TCP's numbers, which a stateful peer checks.

use gateway_tests::frames::{Path, flag, repair};

use crate::network::{HOSTS, LegIndex};
use crate::traffic::{First, Transport};

/// A side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Sent the first packet.
    Near,
    /// Got it.
    Far,
}

/// What one lane knows of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// As the near side sends.
    pub near: Path,
    /// As the far side saw it, and where.
    pub far: Option<(LegIndex, Path)>,
}

/// TCP's state of both sides, by [`Side`].
#[derive(Clone, Copy, Debug)]
struct Tcp {
    /// The next number of each side.
    next: [u32; 2],
    /// The far side has answered the SYN.
    answered: bool,
    /// The near side has acknowledged the answer.
    established: bool,
    /// Sides that have sent FIN.
    finished: [bool; 2],
    /// Who has reset, and whether the connection had been answered by then.
    reset: Option<(Side, bool)>,
}

/// One conversation, in all lanes.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Of what.
    pub transport: Transport,
    /// Where the near side is.
    pub leg: LegIndex,
    /// How it began.
    pub first: First,
    /// By lane.
    pub ends: Vec<Ends>,
    /// The phase in which it began.
    pub phase: usize,
    tcp: Tcp,
    ended: bool,
}

/// What a packet of a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The first packet, or that one again.
    First,
    /// SYN ACK, or the next data.
    Next,
    /// FIN.
    Finish,
    /// RST.
    Reset,
    /// A bare acknowledgement, here with a number in its payload.
    Acknowledge,
}

const NEAR_ISN: u32 = 0x1000_0000;
const FAR_ISN: u32 = 0x7000_0000;

impl Talk {
    /// One that nobody has spoken in yet.
    pub fn new(transport: Transport, leg: LegIndex, first: First, phase: usize, ends: Vec<Ends>) -> Self {
        let tcp = Tcp { next: [NEAR_ISN, FAR_ISN], answered: false, established: false, finished: [false; 2], reset: None };
        Self { transport, leg, first, ends, phase, tcp, ended: false }
    }

    /// Whether the near side is where its address is.
    pub fn is_honest(&self) -> bool {
        HOSTS.iter().any(|host| host.leg == self.leg && host.ip() == self.ends[0].near.source)
    }

    /// The first packet has arrived everywhere.
    pub fn is_open(&self) -> bool {
        !self.ended && self.ends.iter().all(|ends| ends.far.is_some())
    }

    /// Nobody says a word any more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// See [`Talk::end`].
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where a side's packets enter the gateway, and the path that they are sent with in a lane.
    pub fn path(&self, lane: usize, side: Side) -> Option<(LegIndex, Path)> {
        let ends = &self.ends[lane];
        match side {
            Side::Near => Some((self.leg, ends.near)),
            Side::Far => ends.far.map(|(leg, path)| (leg, path.back())),
        }
    }

    /// The word that a side can say when it wants to say this one; `None` when it would make no sense.
    pub fn sensible(&self, side: Side, word: Word) -> Option<Word> {
        if self.transport != Transport::Tcp || self.first != First::Proper {
            return Some(if word == Word::First { Word::First } else { Word::Next });
        }
        let Tcp { answered, established, finished, reset, .. } = self.tcp;
        match (side, word) {
            // Half of a close is no moment to begin anew.
            (Side::Near, Word::First) if finished != [false; 2] && finished != [true; 2] && reset.is_none() => None,
            // Before the answer there is nothing to say but the SYN.
            (Side::Near, Word::Next) if !answered => Some(Word::First),
            // Nobody resets what has not been answered (RFC 9293 section 3.10.5, SYN-SENT).
            (Side::Near, Word::Reset) if !answered => None,
            (_, Word::Finish) if !established || finished[side as usize] || reset.is_some() => None,
            (_, Word::Next) if finished[side as usize] => Some(Word::Acknowledge),
            _ => Some(word),
        }
    }

    /// Whether a first packet would open a connection that has ended.
    pub fn is_over(&self) -> bool {
        self.tcp.finished == [true; 2] || self.tcp.reset.is_some()
    }

    /// Who was the first to reset, and whether the connection had been answered by then.
    pub fn reset(&self) -> Option<(Side, bool)> {
        self.tcp.reset
    }

    /// The frame of a word, over a path that [`Talk::path`] gave.
    pub fn frame(&self, path: &Path, side: Side, word: Word, payload: &[u8]) -> Vec<u8> {
        match (self.transport, self.first) {
            (Transport::Udp, _) => path.udp(payload),
            // What begins with a reply would go on with a request.
            (Transport::Echo, first) if (first == First::Proper) == (side == Side::Near) => path.echo_request(payload),
            (Transport::Echo, _) => path.echo_reply(payload),
            (Transport::Tcp, First::Improper(flags)) => self.segment(path, side, flags, payload),
            (Transport::Tcp, First::Proper) => {
                let flags = match (side, word) {
                    (Side::Near, Word::First) => flag::SYN,
                    (Side::Far, Word::Next) if !self.tcp.answered => flag::SYN | flag::ACK,
                    (_, Word::Finish) => flag::FIN | flag::ACK,
                    (_, Word::Reset) => flag::RST | flag::ACK,
                    (_, Word::Acknowledge) => flag::ACK,
                    _ => flag::PSH | flag::ACK,
                };
                self.segment(path, side, flags, payload)
            }
        }
    }

    fn segment(&self, path: &Path, side: Side, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = path.tcp(flags, payload);
        let l4 = if path.source.is_ipv4() { 34 } else { 54 };
        let [mut own, other] = if side == Side::Near { self.tcp.next } else { [self.tcp.next[1], self.tcp.next[0]] };
        if flags & (flag::SYN | flag::ACK) == flag::SYN {
            own = if self.is_over() { own.wrapping_add(REOPENED) } else { NEAR_ISN };
        }
        frame[l4 + 4..l4 + 8].copy_from_slice(&own.to_be_bytes());
        if flags & flag::ACK != 0 {
            frame[l4 + 8..l4 + 12].copy_from_slice(&other.to_be_bytes());
        }
        repair(&mut frame);
        frame
    }

    /// A word has arrived everywhere.
    pub fn said(&mut self, side: Side, word: Word, length: usize) {
        if self.transport != Transport::Tcp || self.first != First::Proper {
            return;
        }
        let tcp = &mut self.tcp;
        let over = tcp.finished == [true; 2] || tcp.reset.is_some();
        let length = length as u32;
        tcp.established |= tcp.answered && side == Side::Near && word != Word::First;
        match (side, word) {
            (Side::Near, Word::First) if over => {
                let isn = tcp.next[0].wrapping_add(REOPENED);
                *tcp = Tcp { next: [isn + 1 + length, FAR_ISN], answered: false, established: false, finished: [false; 2], reset: None };
            }
            (Side::Near, Word::First) => {
                if !tcp.answered {
                    tcp.next[0] = tcp.next[0].max(NEAR_ISN + 1 + length);
                }
            }
            (Side::Far, Word::Next) if !tcp.answered => {
                tcp.answered = true;
                tcp.next[1] = tcp.next[1].wrapping_add(1 + length);
            }
            (_, Word::Finish) => {
                tcp.finished[side as usize] = true;
                tcp.next[side as usize] = tcp.next[side as usize].wrapping_add(1 + length);
            }
            (_, Word::Reset) => tcp.reset = tcp.reset.or(Some((side, tcp.answered))),
            (_, Word::Acknowledge) => {}
            _ => tcp.next[side as usize] = tcp.next[side as usize].wrapping_add(length),
        }
    }

    /// Both sides have closed, and the last acknowledgement is due.
    pub fn is_closing(&self) -> bool {
        self.tcp.finished == [true; 2] && self.tcp.reset.is_none()
    }
}

/// How far a new connection's first number is from the last one's end.
const REOPENED: u32 = 100_000;
