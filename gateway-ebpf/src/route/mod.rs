//! Next hop, source validation, hop limit and MTU.

use crate::abi::{Address, DropReason, Family, Interface, InterfaceFlags, PuntReason, Reason};
use crate::env::{Arrival, Env, RouteAnswer, RouteKind, RouteQuery};
use crate::packet::Packet;

/// Where a packet of `source` that goes to `destination` leaves.
///
/// # Errors
/// The reason why it does not.
#[inline(always)]
pub fn next_hop<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    packet: &Packet<F>,
    destination: F::Address,
    answer: &mut RouteAnswer<F>,
) -> RouteKind {
    let link = packet.key.link();
    let query = RouteQuery { source: packet.key.source, destination, arrival: link.ifindex(), protocol: link.protocol() };
    env.route(&query, answer)
}

/// Source validation (RFC 3704): may a packet with this source have come through this interface? An address of the gateway never may,
/// whatever the mode.
///
/// # Errors
/// The reason to drop the packet.
#[inline(always)]
pub fn validate_source<'m, F: Family, E: Env<'m, F>>(
    env: &mut E,
    packet: &Packet<F>,
    interface: &Interface,
    answer: &mut RouteAnswer<F>,
) -> Result<(), DropReason> {
    let link = packet.key.link();
    let query =
        RouteQuery { source: F::Address::default(), destination: packet.key.source, arrival: link.ifindex(), protocol: link.protocol() };
    match env.route(&query, answer) {
        RouteKind::Local => Err(DropReason::SourceIsSelf),
        RouteKind::Resolved | RouteKind::Unresolved => {
            if interface.flags.has(InterfaceFlags::STRICT) && answer.egress != interface.index {
                return Err(DropReason::SourceValidation);
            }
            Ok(())
        }
        // Nothing is known of the source; it would be wrong to blame it.
        RouteKind::ForwardingOff => Err(DropReason::NotReady),
        RouteKind::Unreachable => {
            if interface.flags.has(InterfaceFlags::STRICT) || interface.flags.has(InterfaceFlags::LOOSE) {
                return Err(DropReason::SourceValidation);
            }
            Ok(())
        }
    }
}

/// Sources and destinations that no router forwards, known without a look-up.
///
/// # Errors
/// The reason to drop the packet.
#[inline(always)]
pub fn refuse_martians<F: Family>(packet: &Packet<F>) -> Result<(), DropReason> {
    if packet.key.source == packet.key.destination {
        return Err(DropReason::Land);
    }
    if packet.key.source.is_martian_source() {
        return Err(DropReason::MartianSource);
    }
    if packet.key.destination.is_martian_destination() {
        return Err(DropReason::MartianDestination);
    }
    Ok(())
}

/// Whether the packet can be forwarded at all: hop limit (RFC 1812 section 5.3.1) and size (section 5.2.6).
///
/// The kernel answers with the ICMP error, from the unmodified packet. It cannot where the destination is translated: to the kernel such
/// a packet is for the gateway itself, so it is dropped here.
///
/// # Errors
/// What stops it.
#[inline(always)]
pub fn check_hop<F: Family>(packet: &Packet<F>, arrival: &Arrival, mtu: u16, destination_translated: bool) -> Result<(), Reason> {
    if packet.hop_limit <= 1 {
        return Err(if destination_translated { Reason::Drop(DropReason::HopLimit) } else { Reason::Punt(PuntReason::HopLimit) });
    }
    let size = if arrival.gso_size == 0 { packet.length as u32 } else { packet.headers as u32 + arrival.gso_size as u32 };
    if size > mtu as u32 {
        let punt = packet.dont_fragment && !destination_translated;
        return Err(if punt { Reason::Punt(PuntReason::TooBig) } else { Reason::Drop(DropReason::TooBig) });
    }
    Ok(())
}
