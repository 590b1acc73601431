//! From a frame to a packet that is ours to decide: what XDP and tc have in common.

use crate::abi::{Family, Interface, PassReason, Reason, V4, V6};
use crate::env::{Arrival, Env};
use crate::frame::Frame;
use crate::packet::{self, Headers, Packet};
use crate::route;
use crate::wire::ethernet;

/// A packet, of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// IPv4.
    V4(Packet<V4>),
    /// IPv6.
    V6(Packet<V6>),
}

/// Parses a frame that arrived on an interface in a zone and is for us.
///
/// # Errors
/// What becomes of any other.
#[inline(always)]
pub fn admit<'m, T: Frame, E: Env<'m, V4>>(env: &E, frame: &T, arrival: &Arrival, headers: Headers) -> Result<Admitted, Reason> {
    let interface = env.interface(arrival.ifindex).ok_or(Reason::Pass(PassReason::NoZone))?;
    let link = ethernet::parse(frame).ok_or(Reason::Pass(PassReason::NotIp))?;
    refuse_foreign(interface, &link, arrival)?;
    match link.ethertype {
        ethernet::IPV4 => {
            let packet = packet::ipv4(frame, link.l3, arrival.ifindex, headers)?;
            admit_packet(packet).map(Admitted::V4)
        }
        ethernet::IPV6 => {
            let packet = packet::ipv6(frame, link.l3, arrival.ifindex, headers)?;
            admit_packet(packet).map(Admitted::V6)
        }
        _ => Err(Reason::Pass(PassReason::NotIp)),
    }
}

/// A switch floods frames for unknown stations to every port, and a bridge or another gateway may stand beside us: only what is for our
/// MAC is ours to forward (RFC 1812 section 3.3.4 for broadcasts).
#[inline(always)]
fn refuse_foreign(interface: &Interface, link: &ethernet::Ethernet, arrival: &Arrival) -> Result<(), Reason> {
    if link.destination != interface.mac {
        return Err(Reason::Pass(PassReason::OtherStation));
    }
    // The low twelve bits are the VLAN; 0 is a priority tag, which belongs to no VLAN interface (802.1Q section 6.9).
    if link.tags > 0 || arrival.vlan & 0xfff != 0 {
        return Err(Reason::Pass(PassReason::Vlan));
    }
    Ok(())
}

#[inline(always)]
fn admit_packet<F: Family>(packet: Packet<F>) -> Result<Packet<F>, Reason> {
    use crate::abi::Address;
    if packet.key.destination.stays_on_link() || packet.key.source.is_link_local() {
        return Err(Reason::Pass(PassReason::StaysOnLink));
    }
    route::refuse_martians(&packet)?;
    Ok(packet)
}
