//! Who has which address: RFC 5227 probes and RFC 4862's solicitations, which nobody remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::family::Address;
use super::frame::{self, Heard};
use super::wire::Wire;
use crate::doctor::DoctorError;
use crate::inventory::Mac;

/// Probes per address: `PROBE_NUM` (RFC 5227 section 1.1).
const PROBES: u32 = 3;
/// Between two, and after the last. Shorter than the RFC's one to two seconds, whose spread is there for hundreds of hosts that start at once.
const INTERVAL: Duration = Duration::from_millis(350);

/// Those who claim each of the addresses, the interface itself left out; addresses without an entry are nobody's.
pub type Claims = BTreeMap<IpAddr, BTreeSet<[u8; 6]>>;

/// Asks for every address, without claiming any.
///
/// # Errors
/// [`DoctorError::Probe`]
pub fn claims(wire: &mut Wire, addresses: &BTreeSet<IpAddr>) -> Result<Claims, DoctorError> {
    let mut claims = Claims::new();
    let own = wire.mac();
    for _ in 0..PROBES {
        for address in addresses {
            wire.send(&match address {
                IpAddr::V4(address) => frame::arp_request(own, Ipv4Addr::UNSPECIFIED, *address),
                IpAddr::V6(address) => frame::solicitation(own, Ipv6Addr::UNSPECIFIED, *address),
            })?;
        }
        wire.listen(Instant::now() + INTERVAL, |bytes, _| {
            let claim: Option<(IpAddr, Mac)> = match frame::read(bytes) {
                Some(Heard::Has { address, mac, .. }) => Some((address, mac)),
                // Who asks from an address has it, or is about to.
                Some(Heard::Asks { asker, mac, .. }) if !asker.is_unspecified() => Some((asker, mac)),
                _ => None,
            };
            if let Some((address, mac)) = claim.filter(|(address, mac)| *mac != own && addresses.contains(address)) {
                claims.entry(address).or_default().insert(mac.0);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(claims)
}

/// The peers' MACs, asked for with one's own address; those that do not answer are left out. Ends early when all have answered.
///
/// # Errors
/// [`DoctorError::Probe`]
pub(super) fn stations<A: Address>(wire: &mut Wire, own: A, peers: &BTreeSet<A>) -> Result<BTreeMap<A, Mac>, DoctorError> {
    let mut found = BTreeMap::new();
    let mac = wire.mac();
    for _ in 0..PROBES {
        if found.len() == peers.len() {
            break;
        }
        for peer in peers.iter().filter(|peer| !found.contains_key(*peer)) {
            wire.send(&A::request(mac, own, *peer))?;
        }
        wire.listen(Instant::now() + INTERVAL, |bytes, _| {
            if let Some(Heard::Has { address, mac: at, asker, .. }) = frame::read(bytes)
                && asker == own.into()
                && let Some(peer) = A::of(address).filter(|peer| peers.contains(peer))
            {
                found.insert(peer, at);
            }
            if found.len() == peers.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(found)
}

/// Who answers a ping from `own` to all IPv6 nodes on the link, by the addresses that they answer from.
///
/// # Errors
/// [`DoctorError::Probe`]
pub fn nodes(wire: &mut Wire, own: Ipv6Addr, identifier: u16) -> Result<BTreeSet<Ipv6Addr>, DoctorError> {
    let mut found = BTreeSet::new();
    let mac = wire.mac();
    for sequence in 0..2 {
        wire.send(&frame::echo_request_v6((mac, own), frame::ALL_NODES, identifier, sequence))?;
        wire.listen(Instant::now() + INTERVAL, |bytes, _| {
            if let Some(Heard::Echo { from: IpAddr::V6(from), to, id }) = frame::read(bytes)
                && to == own
                && id == identifier
            {
                found.insert(from);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}
