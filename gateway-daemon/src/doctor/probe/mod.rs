//! What can only be known by trying: each leg is asked on the wire. Nothing here judges; that is [`super::check`]'s.

pub mod address;
mod family;
pub mod frame;
pub mod mtu;
pub mod security;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub use address::Claims;
pub use family::Family;
pub use security::{Passes, Security};
pub use wire::Wire;

use family::Address;

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
    /// Addresses on its link that were asked for and that nobody claimed.
    pub free: Vec<IpAddr>,
    /// Peers that answer ARP or solicitations.
    pub stations: BTreeMap<IpAddr, Mac>,
    /// ARP probes from the unspecified address are answered, so that duplicates can be seen; `None`: nobody was there to answer.
    pub probes_pass: Option<bool>,
    /// What the port lets through, or why that could not be tried.
    pub port: BTreeMap<Family, Result<Security, String>>,
}

impl Probed {
    /// Nothing, of either family.
    #[must_use]
    pub fn untried(why: &str) -> Self {
        Self { port: Family::ALL.map(|family| (family, Err(why.to_owned()))).into(), ..Self::default() }
    }

    /// What was tried, IPv4 first.
    pub fn tried(&self) -> impl Iterator<Item = &Security> {
        self.port.values().flatten()
    }
}

/// Probes one leg, in at most some ten seconds for each family. Blocks.
///
/// # Errors
/// [`DoctorError::Probe`]
pub fn leg(scene: &Scene, leg: &Leg, step: &dyn Fn(&str)) -> Result<Probed, DoctorError> {
    let Some(mac) = leg.link.mac.filter(|_| leg.link.up && leg.link.carrier) else {
        return Ok(Probed::untried("its link is not up"));
    };
    let mut probed = Probed::default();
    let mut wire = Wire::open(&leg.link, mac)?;
    step("asks whether anybody else has its addresses");
    let (unused, unused_v6) = (candidates::<Ipv4Addr>(scene, leg)?, candidates::<Ipv6Addr>(scene, leg)?);
    probed.asked = leg.addresses().map(IpNet::addr).collect();
    let unused_all = unused.iter().copied().map(IpAddr::from).chain(unused_v6.iter().copied().map(IpAddr::from));
    let all = probed.asked.iter().copied().chain(unused_all).collect();
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
    probed.free = all.iter().filter(|address| !probed.asked.contains(*address) && !claims.contains_key(*address)).copied().collect();
    let asks = Asks { scene, leg, claims: &claims, step };
    let port = try_port(&mut wire, &asks, &unused, &mut probed)?;
    probed.port.insert(Family::V4, port);
    let port = try_port(&mut wire, &asks, &unused_v6, &mut probed)?;
    probed.port.insert(Family::V6, port);
    Ok(probed)
}

/// What is asked on a leg, whatever the family.
struct Asks<'a> {
    scene: &'a Scene,
    leg: &'a Leg,
    claims: &'a Claims,
    step: &'a dyn Fn(&str),
}

/// Finds somebody who answers, and tries with him what the port lets through; `Err` says why that could not be tried.
fn try_port<A: Address>(
    wire: &mut Wire,
    asks: &Asks<'_>,
    unused: &[A],
    probed: &mut Probed,
) -> Result<Result<Security, String>, DoctorError> {
    let Asks { scene, leg, claims, step } = *asks;
    if leg.addresses().all(|net| A::of(net.addr()).is_none()) {
        return Ok(Err(A::NONE.to_owned()));
    }
    step(&format!("looks for a neighbour that answers {}", A::ASKING));
    let mut peers: Vec<A> = scene.peers_of(leg).into_iter().filter_map(A::of).take(PEERS).collect();
    if peers.is_empty() {
        peers = discover(wire, leg)?;
    }
    let own = |peer: A| own_for(leg.link.addresses.iter(), peer);
    let speaks = |peer: A| own(peer).or(own_for(leg.planned.iter(), peer)).unwrap_or(A::NOBODY);
    let mut by_own: BTreeMap<A, BTreeSet<A>> = BTreeMap::new();
    for peer in &peers {
        by_own.entry(speaks(*peer)).or_default().insert(*peer);
    }
    let mut stations = BTreeMap::new();
    for (own, peers) in &by_own {
        stations.extend(address::stations(wire, *own, peers)?);
    }
    probed.stations.extend(stations.iter().map(|(peer, mac)| ((*peer).into(), *mac)));
    // In the order of likelihood, not of addresses.
    let Some(peer) = peers.iter().find_map(|peer| Some((*peer, *stations.get(peer)?))) else {
        return Ok(Err(nobody(&peers)));
    };
    let probes_pass = !address::stations(wire, A::NOBODY, &BTreeSet::from([peer.0]))?.is_empty();
    if A::FAMILY == Family::V4 {
        probed.probes_pass = Some(probes_pass);
    }
    if let Binding::Masquerade | Binding::Passt = topology::binding(leg, &probed.stations) {
        return Ok(Err("everything on this link is answered by the pod itself".to_owned()));
    }
    let Some(foreign) = unused.iter().copied().find(|address| !claims.contains_key(&(*address).into())) else {
        return Ok(Err("no address was found that nobody has".to_owned()));
    };
    step(&format!("tries what passes besides its own addresses, with {} as the other end", peer.0));
    // The MAC is the same for both.
    let try_mac = probed.tried().all(|security| security.mac == Passes::Unknown);
    let parties = security::Parties { own: own(peer.0), peer, foreign, foreign_mac: random_mac()?, try_mac, probes_pass };
    security::security(wire, &parties).map(Ok)
}

fn nobody<A: Address>(asked: &[A]) -> String {
    if asked.is_empty() {
        return "no neighbour is known; name one with --peer".to_owned();
    }
    let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
    format!("no neighbour answers {} (asked: {}); name one that runs with --peer", A::ASKING, asked.join(", "))
}

/// Neighbours that nobody has named or heard of, as far as the family can ask all at once.
fn discover<A: Address>(wire: &mut Wire, leg: &Leg) -> Result<Vec<A>, DoctorError> {
    let held: Vec<IpAddr> = leg.link.addresses.iter().map(IpNet::addr).filter(|address| A::of(*address).is_some()).collect();
    let Some(IpAddr::V6(own)) = held.first().copied() else { return Ok(Vec::new()) };
    let nodes = address::nodes(wire, own, u16::from_be_bytes(random()?))?;
    let on_link = |node: &IpAddr| leg.link.addresses.iter().any(|net| net.contains(node) && !held.contains(node));
    Ok(nodes.into_iter().map(IpAddr::V6).filter(on_link).filter_map(A::of).take(PEERS).collect())
}

/// The address among these that is on the peer's link.
fn own_for<'a, A: Address>(mut nets: impl Iterator<Item = &'a IpNet>, peer: A) -> Option<A> {
    nets.find(|net| net.contains(&peer.into())).and_then(|net| A::of(net.addr()))
}

/// Addresses on the leg's link that nobody is known to have.
fn candidates<A: Address>(scene: &Scene, leg: &Leg) -> Result<Vec<A>, DoctorError> {
    let nets = leg.addresses().filter(|net| A::of(net.addr()).is_some() && A::within(net, 0).is_some());
    let Some(net) = nets.min_by_key(|net| net.prefix_len()) else { return Ok(Vec::new()) };
    let known: BTreeSet<IpAddr> = scene
        .neighbours
        .keys()
        .map(|neighbour| neighbour.address)
        .chain(leg.addresses().map(IpNet::addr))
        .chain(scene.peers_of(leg))
        .collect();
    let mut found = Vec::new();
    // More attempts than any link needs that has room at all.
    for _ in 0..64 {
        let candidate = A::within(net, u128::from_be_bytes(random()?));
        found.extend(candidate.filter(|candidate| !known.contains(&(*candidate).into()) && !found.contains(candidate)));
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
