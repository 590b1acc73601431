//! What can only be known by trying: each leg is asked on the wire. Nothing here judges; that is [`super::check`]'s.

pub mod address;
pub mod frame;
pub mod mtu;
pub mod security;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

pub use address::Claims;
pub use security::{Passes, Security};
pub use wire::Wire;

use super::DoctorError;
use super::scene::{Leg, Scene};
use super::topology::{self, Binding};
use crate::inventory::Mac;

/// Addresses tried to be nobody's. Three: one may be somebody's, and whoever claims all of them answers for everybody.
const CANDIDATES: usize = 3;
/// Peers that are asked for; the first that answers serves.
const PEERS: usize = 8;

/// What was found out on one leg.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// Others that claim one of the leg's own addresses.
    pub duplicates: Claims,
    /// Somebody who claims whatever is asked for.
    pub proxy: Option<Mac>,
    /// The leg's addresses that were asked for, also those that the kernel has not accepted.
    pub asked: BTreeSet<IpAddr>,
    /// Peers that answer ARP.
    pub stations: BTreeMap<Ipv4Addr, Mac>,
    /// Probes from the unspecified address are answered, so that duplicates can be seen; `None`: nobody was there to answer.
    pub probes_pass: Option<bool>,
    /// What the port lets through.
    pub security: Option<Security>,
    /// Why that could not be tried.
    pub untried: Option<String>,
}

/// Probes one leg, in at most some ten seconds. Blocks.
///
/// # Errors
/// [`DoctorError::Probe`]
pub fn leg(scene: &Scene, leg: &Leg, step: &dyn Fn(&str)) -> Result<Probed, DoctorError> {
    let mut probed = Probed::default();
    let Some(mac) = leg.link.mac.filter(|_| leg.link.up && leg.link.carrier) else {
        probed.untried = Some("its link is not up".to_owned());
        return Ok(probed);
    };
    let mut wire = Wire::open(&leg.link, mac)?;
    step("asks whether anybody else has its addresses");
    let unused = candidates(scene, leg)?;
    probed.asked = leg.addresses().map(IpNet::addr).collect();
    let all = probed.asked.iter().copied().chain(unused.iter().map(|address| IpAddr::V4(*address))).collect();
    let claims = address::claims(&mut wire, &all)?;
    let claimed = |address: &Ipv4Addr| claims.get(&IpAddr::V4(*address));
    probed.proxy = unused
        .iter()
        .map(claimed)
        .reduce(|all, one| all.filter(|macs| one == Some(*macs)))
        .flatten()
        .and_then(|macs| macs.first())
        .map(|mac| Mac(*mac));
    probed.duplicates = claims.iter().filter(|(address, _)| probed.asked.contains(address)).map(|(a, macs)| (*a, macs.clone())).collect();
    let foreign = unused.iter().find(|address| claimed(address).is_none()).copied();

    step("looks for a neighbour that answers");
    let peers: BTreeSet<Ipv4Addr> = scene.peers_of(leg).into_iter().filter_map(v4).take(PEERS).collect();
    let own = |peer: &Ipv4Addr| own_for(leg.link.addresses.iter(), *peer);
    let speaks = |peer: &Ipv4Addr| own(peer).or(own_for(leg.planned.iter(), *peer)).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut by_own: BTreeMap<Ipv4Addr, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for peer in &peers {
        by_own.entry(speaks(peer)).or_default().insert(*peer);
    }
    for (own, peers) in &by_own {
        probed.stations.extend(address::stations(&mut wire, *own, peers)?);
    }
    // In the order of likelihood, not of addresses.
    let peer = scene.peers_of(leg).into_iter().filter_map(v4).find_map(|peer| Some((peer, *probed.stations.get(&peer)?)));
    let Some(peer) = peer else {
        probed.untried = Some(nobody(leg, &peers));
        return Ok(probed);
    };
    let answers_probes = !address::stations(&mut wire, Ipv4Addr::UNSPECIFIED, &BTreeSet::from([peer.0]))?.is_empty();
    probed.probes_pass = Some(answers_probes);
    probed.untried = match (topology::binding(leg, &probed.stations), foreign) {
        (Binding::Masquerade | Binding::Passt, _) => Some("everything on this link is answered by the pod itself".to_owned()),
        (_, None) => Some("no address was found that nobody has".to_owned()),
        (_, Some(foreign)) => {
            step(&format!("tries what passes besides its own addresses, with {} as the other end", peer.0));
            let foreign_mac = random_mac()?;
            let parties = security::Parties { own: own(&peer.0), peer, foreign, foreign_mac, probes_pass: answers_probes };
            probed.security = Some(security::security(&mut wire, &parties)?);
            None
        }
    };
    Ok(probed)
}

fn nobody(leg: &Leg, asked: &BTreeSet<Ipv4Addr>) -> String {
    if leg.addresses().all(|net| net.addr().is_ipv6()) {
        return "it has no IPv4 address, and only IPv4 is tried".to_owned();
    }
    if asked.is_empty() {
        return "no neighbour is known; name one with --peer".to_owned();
    }
    let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
    format!("no neighbour answers ARP (asked: {}); name one that runs with --peer", asked.join(", "))
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The address among these that is on the peer's link.
fn own_for<'a>(mut nets: impl Iterator<Item = &'a IpNet>, peer: Ipv4Addr) -> Option<Ipv4Addr> {
    nets.find(|net| net.contains(&IpAddr::V4(peer))).and_then(|net| v4(net.addr()))
}

/// Addresses on the leg's link that nobody is known to have.
fn candidates(scene: &Scene, leg: &Leg) -> Result<Vec<Ipv4Addr>, DoctorError> {
    let nets = leg.addresses().filter_map(|net| match net {
        IpNet::V4(net) if net.prefix_len() <= 29 => Some(*net),
        _ => None,
    });
    let Some(net) = nets.min_by_key(Ipv4Net::prefix_len) else { return Ok(Vec::new()) };
    let known: BTreeSet<IpAddr> = scene
        .neighbours
        .keys()
        .map(|neighbour| neighbour.address)
        .chain(leg.addresses().map(IpNet::addr))
        .chain(scene.peers_of(leg))
        .collect();
    let hosts = (1u32 << (32 - net.prefix_len())) - 2;
    let first = u32::from(net.network()) + 1;
    let mut found = Vec::new();
    // More attempts than any link needs that has room at all.
    for _ in 0..64 {
        let candidate = Ipv4Addr::from(first + u32::from_be_bytes(random()?) % hosts);
        if !known.contains(&IpAddr::V4(candidate)) && !found.contains(&candidate) {
            found.push(candidate);
        }
        if found.len() == CANDIDATES {
            break;
        }
    }
    Ok(found)
}

/// A MAC of nobody: locally administered, unicast, and 40 bits of chance.
fn random_mac() -> Result<Mac, DoctorError> {
    let [a, b, c, d, e, _] = random()?;
    Ok(Mac([0x02, a, b, c, d, e]))
}

fn random<const N: usize>() -> Result<[u8; N], DoctorError> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| DoctorError::Runtime { source: errno.into() })?;
    Ok(bytes)
}
