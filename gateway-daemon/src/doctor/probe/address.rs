//! Who has which address: RFC 5227 probes and RFC 4862's solicitations, which nobody remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

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
                IpAddr::V6(address) => frame::neighbour_probe(own, *address),
            })?;
        }
        wire.listen(Instant::now() + INTERVAL, |bytes, _| {
            let claim: Option<(IpAddr, Mac)> = match frame::read(bytes) {
                Some(Heard::Has { address, mac, .. }) => Some((address.into(), mac)),
                // Who asks from an address has it, or is about to.
                Some(Heard::Asks { asker, mac, .. }) if !asker.is_unspecified() => Some((asker.into(), mac)),
                Some(Heard::Advertises { address, mac }) => Some((address.into(), mac)),
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
pub fn stations(wire: &mut Wire, own: Ipv4Addr, peers: &BTreeSet<Ipv4Addr>) -> Result<BTreeMap<Ipv4Addr, Mac>, DoctorError> {
    let mut found = BTreeMap::new();
    let mac = wire.mac();
    for _ in 0..PROBES {
        if found.len() == peers.len() {
            break;
        }
        for peer in peers.iter().filter(|peer| !found.contains_key(*peer)) {
            wire.send(&frame::arp_request(mac, own, *peer))?;
        }
        wire.listen(Instant::now() + INTERVAL, |bytes, _| {
            if let Some(Heard::Has { address, mac: at, asker, .. }) = frame::read(bytes)
                && asker == own
                && peers.contains(&address)
            {
                found.insert(address, at);
            }
            if found.len() == peers.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(found)
}
