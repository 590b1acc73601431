//! Where the gateway stands, as far as it can be told from inside a guest.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::probe::{Passes, Probed};
use super::scene::{Leg, Scene};
use crate::inventory::Mac;

/// What KubeVirt's `masquerade` binding gives every guest and its gateway, unless `vmNetworkCIDR` says otherwise.
const MASQUERADE_GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const MASQUERADE_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
/// The bridge in the pod, whatever its address (`StaticMasqueradeBridgeMAC` in KubeVirt's pkg/network/link).
const MASQUERADE_BRIDGE: Mac = Mac([2, 0, 0, 0, 0, 0]);
/// passt's own end (`MAC_OUR_LAA` in passt's util.h).
const PASST: Mac = Mac([0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55]);
/// Ports of OVN-Kubernetes: these two bytes, and the IPv4 address (`IPAddrToHWAddr` in its go-controller/pkg/util/net.go).
const OVN: [u8; 2] = [0x0a, 0x58];

/// How a leg is bound to the pod's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// KubeVirt's `masquerade`: NAT in the pod.
    Masquerade,
    /// KubeVirt's `passt`: sockets in the pod.
    Passt,
    /// A port of OVN-Kubernetes with an address of its IPAM: the pod network in `bridge` binding, or a network with IPAM.
    OvnAddress,
    /// None of these: a port without IPAM, localnet, SR-IOV, a cable.
    Plain,
}

/// A topology of the gateway, by the letter that the documentation uses. E and F are none of them: what makes them, routes of the cluster,
/// does not show inside a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Letter {
    /// Pod network by masquerade, overlay without IPAM.
    A,
    /// A, and a tunnel.
    B,
    /// Pod network by bridge, or whatever else carries the port's own address only.
    C,
    /// A leg without IPAM outside: localnet, bridge, SR-IOV, or any cable that carries foreign addresses.
    D,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// `None`: it cannot be told.
    pub letter: Option<Letter>,
    /// In a sentence.
    pub name: String,
    /// What reaches the outside.
    pub out: &'static str,
    /// What comes in from there.
    pub inwards: &'static str,
    /// Packets that keep their addresses.
    pub untranslated: &'static str,
    /// How it was recognised, and what else looks the same from inside.
    pub because: Vec<String>,
}

/// How the leg is bound, from its addresses and those who answered on it.
#[must_use]
pub fn binding(leg: &Leg, stations: &BTreeMap<IpAddr, Mac>) -> Binding {
    let gateway_mac = leg.gateways.iter().find_map(|gateway| stations.get(gateway).copied());
    let has = |address: Ipv4Addr| leg.addresses().any(|net| net.addr() == IpAddr::V4(address));
    let by_address = has(MASQUERADE_GUEST) && leg.gateways.contains(&IpAddr::V4(MASQUERADE_GATEWAY));
    if by_address || gateway_mac == Some(MASQUERADE_BRIDGE) {
        return Binding::Masquerade;
    }
    if gateway_mac == Some(PASST) {
        return Binding::Passt;
    }
    if leg.link.mac.is_some_and(|mac| mac.0.starts_with(&OVN)) {
        return Binding::OvnAddress;
    }
    Binding::Plain
}

/// The whole, from all legs and what was found out on them.
#[must_use]
pub fn topology(scene: &Scene, legs: &[(Leg, Probed)]) -> Topology {
    let bound: Vec<(&Leg, &Probed, Binding)> = legs.iter().map(|(leg, probed)| (leg, probed, binding(leg, &probed.stations))).collect();
    let mut because = Vec::new();
    let tunnel = scene.inventory.links.values().find(|link| {
        let kind = link.kind.as_deref().unwrap_or_default();
        link.up && ["wireguard", "vxlan", "geneve", "gre", "gretap", "ipip", "sit"].contains(&kind)
    });
    for (leg, probed, binding) in &bound {
        because.extend(reason(leg, probed, *binding));
    }
    let outer = bound.iter().find(|(leg, ..)| leg.is_outer());
    let names = |wanted: &dyn Fn(&Leg) -> bool| {
        let names: Vec<&str> = legs.iter().map(|(leg, _)| leg).filter(|leg| wanted(leg)).map(Leg::name).collect();
        names.join(", ")
    };
    let inner = names(&|leg| !leg.is_outer());
    let inner = if inner.is_empty() { "nothing behind it".to_owned() } else { format!("{inner} behind it") };
    let Some((leg, probed, binding)) = outer else {
        because.push("no default route leaves through any leg".to_owned());
        return Topology {
            letter: None,
            name: "no leg leads outside yet".to_owned(),
            out: "nothing, without a default route or one of the policy's",
            inwards: "what is routed to it",
            untranslated: "between its legs",
            because,
        };
    };
    let outside = leg.name();
    match binding {
        Binding::Masquerade => Topology {
            letter: Some(if tunnel.is_some() { Letter::B } else { Letter::A }),
            name: match tunnel {
                Some(tunnel) => format!("pod network by masquerade ({outside}), a tunnel ({}), {inner}", tunnel.name.0),
                None => format!("pod network by masquerade ({outside}), {inner}"),
            },
            out: "source NAT to the guest's one address, which the pod translates again",
            inwards: "port forwards, through a Service or the pod's address; the original destination is lost, and it changes with a migration",
            untranslated: if tunnel.is_some() { "through the tunnel" } else { "no, in neither direction: for a whole prefix add a tunnel" },
            because,
        },
        Binding::Passt => Topology {
            letter: None,
            name: format!("pod network by passt ({outside}), {inner}"),
            out: "TCP, UDP and ping, by source NAT to the guest's address",
            inwards: "port forwards of TCP and UDP",
            untranslated: "no: passt carries sockets, not packets",
            because,
        },
        Binding::OvnAddress => Topology {
            letter: Some(Letter::C),
            name: format!("pod network by bridge ({outside}), {inner}"),
            out: "source NAT to the pod's own address",
            inwards: "port forwards, through a Service or the pod's address",
            untranslated: "no: the port carries its own address only",
            because: with(
                because,
                "a primary network with RouteAdvertisements (topology E) looks the same from inside: they are the cluster's",
            ),
        },
        Binding::Plain => plain(outside, &inner, carries_foreign(probed), because),
    }
}

/// What the leg's port does with packets of foreign addresses, as far as it was tried.
fn carries_foreign(probed: &Probed) -> Passes {
    probed.tried().map(|security| security.source).find(|source| *source != Passes::Unknown).unwrap_or(Passes::Unknown)
}

/// Nothing about the leg tells its kind: what its port carries has to.
fn plain(outside: &str, inner: &str, foreign: Passes, because: Vec<String>) -> Topology {
    match foreign {
        Passes::Yes => Topology {
            letter: Some(Letter::D),
            name: format!("a leg of its own outside ({outside}), {inner}"),
            out: "everything, translated or not",
            inwards: "routes to it, port forwards, one-to-one addresses",
            untranslated: "yes as far as its link, where it was tried; beyond it, routers need a route back",
            because: with(
                with(because, &format!("{outside}: its port lets packets from foreign addresses out")),
                "Kube-OVN with this VM as next hop (topology F) looks the same from inside: those routes are the cluster's",
            ),
        },
        Passes::No => Topology {
            letter: Some(Letter::C),
            name: format!("a network that carries {outside}'s own address only, {inner}"),
            out: "source NAT to its own address",
            inwards: "port forwards",
            untranslated: "no: it was tried",
            because: with(
                because,
                &format!(
                    "{outside}: its port drops packets from foreign addresses, as pod networks by bridge do; a switch with IP source guard \
                     looks the same"
                ),
            ),
        },
        Passes::Unknown => Topology {
            letter: None,
            name: format!("a leg outside ({outside}) that may be a pod's (C) or one of its own (D), {inner}"),
            out: "source NAT to its own address",
            inwards: "port forwards",
            untranslated: "not known: it could not be tried",
            because: with(because, &format!("{outside}: what its port lets through could not be tried; name a neighbour with --peer")),
        },
    }
}

fn with(mut list: Vec<String>, text: &str) -> Vec<String> {
    list.push(text.to_owned());
    list
}

fn reason(leg: &Leg, probed: &Probed, binding: Binding) -> Option<String> {
    let name = leg.name();
    let bridge = probed.stations.values().any(|mac| *mac == MASQUERADE_BRIDGE);
    match binding {
        Binding::Masquerade if bridge => Some(format!("{name}: its gateway has the MAC 02:00:00:00:00:00 of KubeVirt's masquerade bridge")),
        Binding::Masquerade => Some(format!("{name}: 10.0.2.2 behind 10.0.2.1 is KubeVirt's masquerade binding")),
        Binding::Passt => Some(format!("{name}: its gateway has passt's MAC")),
        Binding::OvnAddress => Some(format!("{name}: its MAC begins with 0a:58, as OVN-Kubernetes makes them from an address of its IPAM")),
        Binding::Plain => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::tests::{leg, scene, secured};

    fn gateway_at(leg: &Leg, mac: Mac) -> BTreeMap<IpAddr, Mac> {
        leg.gateways.iter().map(|gateway| (*gateway, mac)).collect()
    }

    #[test]
    fn bindings_are_told_apart() {
        let other = Mac([2, 0, 0, 0, 9, 9]);
        let masquerade = leg("eth0", &["10.0.2.2/24"], &["10.0.2.1"]);
        assert_eq!(binding(&masquerade, &BTreeMap::new()), Binding::Masquerade);
        let elsewhere = leg("eth0", &["10.11.0.2/24"], &["10.11.0.1"]);
        assert_eq!(binding(&elsewhere, &gateway_at(&elsewhere, MASQUERADE_BRIDGE)), Binding::Masquerade);
        assert_eq!(binding(&elsewhere, &gateway_at(&elsewhere, PASST)), Binding::Passt);
        assert_eq!(binding(&elsewhere, &gateway_at(&elsewhere, other)), Binding::Plain);
        let mut pod = leg("eth0", &["10.244.0.7/24"], &["10.244.0.1"]);
        pod.link.mac = Some(Mac([0x0a, 0x58, 0x0a, 0xf4, 0, 7]));
        assert_eq!(binding(&pod, &gateway_at(&pod, other)), Binding::OvnAddress);
    }

    fn overlay() -> (Leg, Probed) {
        (leg("eth1", &["10.227.128.15/21"], &[]), Probed::default())
    }

    #[test]
    fn topologies_say_what_they_carry() {
        let masquerade = [(leg("eth0", &["10.0.2.2/24"], &["10.0.2.1"]), Probed::default()), overlay()];
        let found = topology(&scene(&[]), &masquerade);
        assert_eq!(found.letter, Some(Letter::A));
        assert!(found.untranslated.starts_with("no") && found.name.contains("eth1 behind it"), "{found:?}");
        // A tunnel carries the rest, once it is up.
        let mut tunnel = leg("wgt0", &["10.99.0.1/30"], &[]).link;
        tunnel.kind = Some("wireguard".to_owned());
        let mut seen = scene(&[]);
        for (up, letter, untranslated) in [(false, Letter::A, "no, in neither direction"), (true, Letter::B, "through the tunnel")] {
            tunnel.up = up;
            seen.inventory.links.insert(tunnel.index, tunnel.clone());
            let found = topology(&seen, &masquerade);
            assert_eq!((found.letter, found.untranslated.starts_with(untranslated)), (Some(letter), true), "{found:?}");
        }
        let mut pod = leg("eth0", &["10.244.0.7/24"], &["10.244.0.1"]);
        pod.link.mac = Some(Mac([0x0a, 0x58, 0x0a, 0xf4, 0, 7]));
        let found = topology(&scene(&[]), &[(pod, Probed::default()), overlay()]);
        assert_eq!((found.letter, found.untranslated.starts_with("no")), (Some(Letter::C), true), "{found:?}");
        assert!(found.because.iter().any(|line| line.contains("topology E")), "{found:?}");
        assert_eq!(topology(&scene(&[]), &[overlay()]).letter, None);
    }

    #[test]
    fn a_leg_that_looks_like_any_is_told_by_what_its_port_carries() {
        let judged = |passes| {
            let outer = leg("eth0", &["192.0.2.5/24"], &["192.0.2.1"]);
            topology(&scene(&[]), &[(outer, secured(passes, Passes::Unknown, Passes::Unknown)), overlay()])
        };
        let open = judged(Passes::Yes);
        assert_eq!(open.letter, Some(Letter::D));
        assert!(open.because.iter().any(|line| line.contains("topology F")), "{open:?}");
        // A pod network of no OVN, by bridge.
        let pod = judged(Passes::No);
        assert_eq!((pod.letter, pod.untranslated), (Some(Letter::C), "no: it was tried"));
        let unknown = judged(Passes::Unknown);
        assert_eq!(unknown.letter, None);
        assert!(unknown.because.iter().any(|line| line.contains("--peer")), "{unknown:?}");
    }
}
