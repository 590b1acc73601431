//! Writes a decision into a frame: the one place that changes bytes.

use crate::abi::{Address, Family};
use crate::decision::Forward;
use crate::frame::FrameMut;
use crate::packet::{Kind, Packet};
use crate::wire::{checksum, ethernet, icmp, ipv4, ipv6, tcp, udp};

/// What the transport checksum must be changed by, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportDelta {
    /// Offset of the checksum in the frame.
    pub offset: usize,
    /// By the pseudo-header: 0 where the protocol has none.
    pub pseudo_header: u16,
    /// By the ports.
    pub ports: u64,
    /// A checksum of zero means none (RFC 768).
    pub zero_is_none: bool,
}

/// Where the headers begin in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The network header.
    pub l3: usize,
    /// The transport header.
    pub l4: usize,
}

impl Places {
    /// Of any packet, with the bound that parsing found, once more: Linux 6.1's verifier forgets what a comparison said of a value that is
    /// kept on the stack.
    #[inline(always)]
    #[must_use]
    pub fn of<F: Family>(packet: &Packet<F>) -> Self {
        Self { l3: bounded(packet.l3), l4: bounded(packet.l4) }
    }

    /// Of a packet of [`crate::packet::Headers::Plain`] that has no VLAN tag: known at compile time.
    #[inline(always)]
    #[must_use]
    pub const fn plain<F: Family>() -> Self {
        let header = if F::Address::BYTES == 4 { ipv4::HEADER } else { ipv6::HEADER };
        Self { l3: ethernet::HEADER, l4: ethernet::HEADER + header }
    }
}

/// Writes link-layer addresses, hop limit, addresses and ports, and updates the IPv4 header checksum. The transport checksum is left to
/// the caller, who may have to go through the kernel for it: `None` in the answer means that nothing of it changes.
///
/// # Errors
/// `None` when the frame is shorter than it was when it was parsed.
#[inline(always)]
pub fn headers<F: Family, T: FrameMut>(
    frame: &mut T,
    packet: &Packet<F>,
    places: Places,
    forward: &Forward<F>,
) -> Option<Option<TransportDelta>> {
    if forward.resolved {
        let (next_mac, own_mac) = (forward.next_mac, forward.own_mac);
        let halves = [next_mac.0[0], next_mac.0[1], next_mac.0[2], own_mac.0[0], own_mac.0[1], own_mac.0[2]];
        for (n, half) in halves.into_iter().enumerate() {
            frame.set_half(2 * n, half)?;
        }
    }
    let l3 = places.l3;
    if F::Address::BYTES == 4 {
        // TTL and protocol share a 16-bit word of the checksum.
        let old = frame.half(l3 + ipv4::TTL)?;
        let [ttl, protocol] = old.to_ne_bytes();
        let new = u16::from_ne_bytes([ttl.wrapping_sub(1), protocol]);
        let stored = frame.half(l3 + ipv4::TTL + 2)?;
        let delta = checksum::difference([old], [new]) + forward.address_delta as u64;
        frame.set_half(l3 + ipv4::TTL, new)?;
        frame.set_half(l3 + ipv4::TTL + 2, checksum::update(stored, delta))?;
        if forward.translated {
            frame.set_words(l3 + ipv4::SOURCE, [forward.source.words()[0], forward.destination.words()[0]])?;
        }
    } else {
        let old = frame.half(l3 + 6)?;
        let [next, hop_limit] = old.to_ne_bytes();
        frame.set_half(l3 + 6, u16::from_ne_bytes([next, hop_limit.wrapping_sub(1)]))?;
    }
    if !forward.translated {
        return Some(None);
    }
    ports(frame, packet, places.l4, forward).map(Some)
}

/// [`headers`], and the transport checksum in place: for frames whose checksum is complete.
///
/// # Errors
/// `None` when the frame is shorter than it was when it was parsed.
#[inline(always)]
pub fn whole<F: Family, T: FrameMut>(frame: &mut T, packet: &Packet<F>, places: Places, forward: &Forward<F>) -> Option<()> {
    if let Some(delta) = headers(frame, packet, places, forward)? {
        let sum = delta.pseudo_header as u64 + delta.ports;
        let updated = if delta.zero_is_none { checksum::update_udp(packet.checksum, sum) } else { checksum::update(packet.checksum, sum) };
        frame.set_half(delta.offset, updated)?;
    }
    Some(())
}

/// No header begins behind this: six extension headers of 2 KiB stand before a transport header at most.
const FARTHEST: u16 = 0x3fff;

/// Opaque to LLVM, which may know the bound and would leave the mask out.
#[inline(always)]
fn bounded(place: u16) -> usize {
    (core::hint::black_box(place) & FARTHEST) as usize
}

#[inline(always)]
fn ports<F: Family, T: FrameMut>(frame: &mut T, packet: &Packet<F>, l4: usize, forward: &Forward<F>) -> Option<TransportDelta> {
    let old = [packet.key.source_port.wire(), packet.key.destination_port.wire()];
    let new = [forward.source_port.wire(), forward.destination_port.wire()];
    let ports = checksum::difference(old, new);
    match packet.kind {
        Kind::Tcp | Kind::Udp => {
            frame.set_half(l4, forward.source_port.wire())?;
            frame.set_half(l4 + 2, forward.destination_port.wire())?;
            let udp = matches!(packet.kind, Kind::Udp);
            let at = if udp { udp::CHECKSUM } else { tcp::CHECKSUM };
            Some(TransportDelta { offset: l4 + at, pseudo_header: forward.address_delta, ports, zero_is_none: udp })
        }
        _ => {
            // One of the two ports of an echo's key is zero on both sides: their sum is the identifier.
            let identifier = if matches!(packet.kind, Kind::EchoRequest) { forward.source_port } else { forward.destination_port };
            frame.set_half(l4 + icmp::IDENTIFIER, identifier.wire())?;
            let pseudo_header = if F::ICMP_PSEUDO_HEADER { forward.address_delta } else { 0 };
            Some(TransportDelta { offset: l4 + icmp::CHECKSUM, pseudo_header, ports, zero_is_none: false })
        }
    }
}
