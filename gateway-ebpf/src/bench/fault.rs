//! What the faulty forwarder does to packets: the proof that the bench notices.

use super::frame::{Layout, first, half, halves, header_sum, put_half, second};
use crate::wire::checksum;

/// The flow whose packets the faulty forwarder spoils. A flow, not every so-many-th packet: CPUs that share the work do not share a count.
pub const SPOILT: u32 = 0;

/// How it spoils them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// Not at all.
    None = 0,
    /// One bit of the payload is turned.
    Corrupt = 1,
    /// It is lost.
    Lose = 2,
    /// Its destination port is another one, with a right checksum.
    Misdirect = 3,
    /// Another packet comes a second time in its place: as many arrive as were sent.
    Repeat = 4,
    /// The hop limit is one less, with a right checksum.
    Hop = 5,
    /// It comes from another station of the link.
    Source = 6,
    /// It goes to another station of the link.
    Destination = 7,
    /// It claims to be of another protocol of the link.
    Ethertype = 8,
    /// It claims to be of another length, which no checksum of IPv6 covers; of IPv4, with a right checksum.
    Length = 9,
}

/// Spoils a packet, as far as that can be done within it.
#[inline(always)]
pub fn spoil<L: Layout>(frame: &mut L, fault: u32) {
    if fault == Fault::Corrupt as u32 {
        turn(frame, L::WORDS * 2 - 1);
    } else if fault == Fault::Misdirect as u32 {
        // Exchanged, the ports have the same sum.
        let ports = [second(frame.word(L::PORTS)), first(frame.word(L::PORTS + 1))];
        put_half(frame, L::PORTS * 2 + 1, ports[1]);
        put_half(frame, L::PORTS * 2 + 2, ports[0]);
    } else if fault == Fault::Hop as u32 {
        let mut bytes = frame.word(L::HOP / 4).to_ne_bytes();
        bytes[L::HOP % 4] = bytes[L::HOP % 4].wrapping_sub(1);
        frame.put(L::HOP / 4, u32::from_ne_bytes(bytes));
        sum_anew(frame);
    } else if fault == Fault::Destination as u32 {
        turn(frame, 0);
    } else if fault == Fault::Source as u32 {
        turn(frame, 5);
    } else if fault == Fault::Ethertype as u32 {
        turn(frame, 6);
    } else if fault == Fault::Length as u32 {
        turn(frame, L::LENGTH);
        sum_anew(frame);
    }
}

/// Turns one bit of a half word.
#[inline(always)]
fn turn<L: Layout>(frame: &mut L, at: usize) {
    let [low, high] = half(frame, at).to_ne_bytes();
    put_half(frame, at, u16::from_ne_bytes([low, high ^ 0x10]));
}

#[inline(always)]
fn sum_anew<L: Layout>(frame: &mut L) {
    if L::HEADER_CHECKSUM {
        frame.put(6, halves(0, second(frame.word(6))));
        let sum = !checksum::fold(header_sum(frame));
        put_half(frame, 12, sum);
    }
}
