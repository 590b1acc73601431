//! Scenes for tests, and the judgements on them.

use std::collections::BTreeMap;

use crate::doctor::check::{duplicate, links, offloads, pod, port_security, queues};
use crate::doctor::finding::{Id, Outcome, Remedy, Severity};
use crate::doctor::probe::{Family, Passes, Probed, Security};
use crate::doctor::scene::{Leg, Scene};
use crate::doctor::topology::topology;
use crate::inventory::{IfIndex, Link, Mac, XdpFeatures};
use crate::model::{InterfaceName, ZoneName};
use crate::netlink::{Channels, Feature, Hardware, Queues};

/// The users' case.
pub const SEED: &str = include_str!("../../../../tests/policies/seed.toml");

/// A leg that is up.
pub fn leg(name: &str, addresses: &[&str], gateways: &[&str]) -> Leg {
    Leg {
        link: Link {
            index: IfIndex(u32::from(name.as_bytes()[3] - b'0') + 2),
            name: InterfaceName(name.to_owned()),
            up: true,
            carrier: true,
            mac: Some(Mac([2, 0, 0, 0, 1, name.as_bytes()[3]])),
            mtu: 1400,
            kind: None,
            bus: Some("virtio".to_owned()),
            xdp: Some(XdpFeatures { native: true, transmit: true, fragments: true }),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        },
        hardware: Hardware {
            bus: Some("virtio".to_owned()),
            queues: Queues { receive: 2, transmit: 2 },
            channels: Some(Channels { current: 2, most: 2 }),
            features: BTreeMap::from([("rx-gro".to_owned(), Feature { active: true, changeable: true })]),
            ..Hardware::default()
        },
        zone: Some(ZoneName(if gateways.is_empty() { "overlay" } else { "pods" }.to_owned())),
        planned: Vec::new(),
        gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
    }
}

/// A machine of two CPUs with these legs' links, and no policy.
pub fn scene(legs: &[&Leg]) -> Scene {
    let mut scene = Scene { cpus: 2, ..Scene::default() };
    scene.inventory.links = legs.iter().map(|leg| (leg.link.index, leg.link.clone())).collect();
    scene
}

/// The same machine, for which this policy is meant.
pub fn with_policy(mut scene: Scene, text: &str) -> Scene {
    scene.model = Some(crate::policy::load("test", text).unwrap().model);
    scene
}

fn tried(peer: &str, source: Passes, destination: Passes, mac: Passes) -> Security {
    Security {
        peer: peer.parse().unwrap(),
        foreign: "10.0.0.77".parse().unwrap(),
        foreign_mac: Mac([2, 9, 9, 9, 9, 9]),
        source,
        destination,
        mac,
        evidence: vec![format!("seen by {peer}")],
    }
}

/// Answers of IPv4 to what the port lets through.
pub fn secured(source: Passes, destination: Passes, mac: Passes) -> Probed {
    let security = tried("10.0.0.9", source, destination, mac);
    Probed { port: [(Family::V4, Ok(security)), (Family::V6, Err("it has none".to_owned()))].into(), ..Probed::default() }
}

/// The same answers for both families, save from where packets get out by IPv6.
fn secured_v6(v4: Passes, v6: Passes) -> Probed {
    let port = [("10.0.0.9", Family::V4, v4), ("fd00::9", Family::V6, v6)];
    let port = port.map(|(peer, family, source)| (family, Ok(tried(peer, source, Passes::Unknown, Passes::Unknown))));
    Probed { port: port.into(), ..Probed::default() }
}

fn found(outcome: &Outcome) -> Vec<(Id, Severity)> {
    outcome.findings.iter().map(|finding| (finding.id, finding.severity)).collect()
}

fn pair() -> (Leg, Leg) {
    (leg("eth0", &["10.244.0.7/24"], &["10.244.0.1"]), leg("eth1", &["10.227.128.15/21"], &[]))
}

#[test]
fn a_filter_of_addresses_breaks_the_overlay_and_is_lived_with_on_a_translated_leg() {
    let (outer, inner) = pair();
    let scene = with_policy(scene(&[&outer, &inner]), SEED);
    let probed = || secured(Passes::No, Passes::Unknown, Passes::Yes);
    let outcome = port_security(&scene, &[(outer.clone(), probed()), (inner.clone(), probed())]);
    assert_eq!(found(&outcome), [(Id::ForeignSource, Severity::Note), (Id::ForeignSource, Severity::Fault)]);
    let yaml =
        outcome.findings[1].remedies.iter().any(|remedy| matches!(remedy, Remedy::Yaml { text, .. } if text.contains("mode: Disabled")));
    assert!(yaml);
    let untranslated = with_policy(scene.clone(), &SEED.replace("translate = \"masquerade\"", "translate = \"none\""));
    assert_eq!(found(&port_security(&untranslated, &[(outer, probed())])), [(Id::ForeignSource, Severity::Warning)]);
}

#[test]
fn securing_macs_alone_is_how_it_should_be() {
    let (_, inner) = pair();
    let outcome = port_security(&scene(&[&inner]), &[(inner.clone(), secured(Passes::Yes, Passes::Yes, Passes::No))]);
    assert_eq!(found(&outcome), [(Id::ForeignMac, Severity::Note)]);
    assert_eq!(outcome.good, ["eth1: IPv4 packets from foreign addresses get out", "eth1: IPv4 packets to foreign addresses come in"]);
    assert_eq!(outcome.skipped, ["eth1: what IPv6 packets pass besides its own: it has none"], "what was not tried is said");
    let open = port_security(&scene(&[&inner]), &[(inner, secured(Passes::Yes, Passes::No, Passes::Yes))]);
    assert_eq!(found(&open), [(Id::ForeignDestination, Severity::Fault)]);
}

#[test]
fn families_are_told_together_where_they_are_alike() {
    let (outer, inner) = pair();
    let judged = |legs: &[(Leg, Probed)]| port_security(&with_policy(scene(&[&outer, &inner]), SEED), legs);
    let title = |probed| judged(&[(inner.clone(), probed)]).findings.into_iter().map(|found| found.title).collect::<Vec<_>>();
    let both = judged(&[(inner.clone(), secured_v6(Passes::No, Passes::No))]);
    assert_eq!(both.findings.len(), 1, "{both:?}");
    assert_eq!(both.findings[0].title, "the port of eth1 drops IPv4 and IPv6 packets that do not come from its own address");
    assert_eq!(both.findings[0].evidence, ["seen by 10.0.0.9", "seen by fd00::9"]);
    assert_eq!(title(secured_v6(Passes::Yes, Passes::No)), ["the port of eth1 drops IPv6 packets that do not come from its own address"]);
    let down = judged(&[(inner.clone(), Probed::untried("its link is not up"))]);
    assert_eq!(down.skipped, ["eth1: what IPv4 and IPv6 packets pass besides its own: its link is not up"]);
    // IPv4 is translated; IPv6 is not, which is of no concern where nobody behind the gateway has any.
    let outside = || (outer.clone(), secured_v6(Passes::No, Passes::No));
    let found_by = |inner: &Leg| found(&judged(&[outside(), (inner.clone(), Probed::untried("-"))]));
    assert_eq!(found_by(&inner), [(Id::ForeignSource, Severity::Note)]);
    let mut six = inner.clone();
    six.link.addresses.push("fd00:227::15/64".parse().unwrap());
    assert_eq!(found_by(&six), [(Id::ForeignSource, Severity::Warning), (Id::ForeignSource, Severity::Note)]);
}

#[test]
fn too_few_queues_are_mended_where_they_can_be() {
    let (outer, mut inner) = pair();
    let scene = Scene { cpus: 4, ..scene(&[&outer, &inner]) };
    inner.hardware.channels = Some(Channels { current: 1, most: 4 });
    let outcome = queues(&scene, &[outer, inner.clone()]);
    let remedies: Vec<&Remedy> = outcome.findings.iter().flat_map(|finding| &finding.remedies).collect();
    assert!(matches!(remedies[0], Remedy::Yaml { text, .. } if text.contains("          networkInterfaceMultiqueue: true\n")));
    assert_eq!(remedies[1], &Remedy::Command { lines: vec!["ethtool -L eth1 combined 4".to_owned()] });
    inner.link.kind = Some("veth".to_owned());
    assert_eq!(found(&queues(&scene, &[inner.clone()])), [(Id::Queues, Severity::Note)], "both ends are on this machine");
    inner.link.kind = Some("vlan".to_owned());
    assert!(queues(&scene, &[inner]).findings.is_empty(), "its queues are those of the link below");
}

#[test]
fn xdp_that_is_asked_for_and_cannot_be_is_reported() {
    let (mut outer, mut inner) = pair();
    for leg in [&mut outer, &mut inner] {
        leg.hardware.channels = Some(Channels { current: 2, most: 4 });
    }
    inner.link.xdp = Some(XdpFeatures { native: false, transmit: false, fragments: false });
    let scene = scene(&[&outer, &inner]);
    let asked = with_policy(scene.clone(), &SEED.replace("version = 1\n", "version = 1\n\n[datapath]\nmode = \"xdp\"\n"));
    assert_eq!(found(&offloads(&asked, &[outer.clone(), inner.clone()])), [(Id::Xdp, Severity::Warning)]);
    assert_eq!(found(&offloads(&with_policy(scene, SEED), &[outer, inner])), []);
}

#[test]
fn missing_and_unaddressed_interfaces_are_reported_with_the_policy_in_mind() {
    let (outer, mut inner) = pair();
    inner.link.addresses.clear();
    let without = scene(&[&outer, &inner]);
    assert_eq!(found(&links(&without, &[outer.clone(), inner.clone()])), [(Id::NoAddress, Severity::Warning)]);
    // The seed policy gives eth1 its address.
    let policy = with_policy(without, SEED);
    let legs = policy.legs();
    assert_eq!(found(&links(&policy, &legs)), []);
    let gone = with_policy(scene(&[&outer]), SEED);
    assert_eq!(found(&links(&gone, &gone.legs()))[0], (Id::InterfaceMissing, Severity::Fault));
    inner.link.carrier = false;
    inner.link.addresses = vec!["10.227.128.15/21".parse().unwrap()];
    assert_eq!(found(&links(&scene(&[&outer, &inner]), &[outer, inner])), [(Id::LinkDown, Severity::Fault)]);
}

#[test]
fn a_station_that_answers_for_everybody_is_no_duplicate() {
    let (_, inner) = pair();
    let address = inner.link.addresses[0].addr();
    let mut probed = Probed { asked: [address].into(), probes_pass: Some(true), ..Probed::default() };
    probed.duplicates.entry(address).or_default().insert([2, 8, 8, 8, 8, 8]);
    let legs = |probed: &Probed| [(inner.clone(), probed.clone())];
    assert_eq!(found(&duplicate(&scene(&[&inner]), &legs(&probed))), [(Id::DuplicateAddress, Severity::Fault)]);
    probed.proxy = Some(Mac([2, 8, 8, 8, 8, 8]));
    assert_eq!(found(&duplicate(&scene(&[&inner]), &legs(&probed))), [(Id::ProxyArp, Severity::Warning)]);
}

#[test]
fn masquerade_is_a_note_for_a_policy_that_translates_and_a_warning_for_one_that_does_not() {
    let outer = leg("eth0", &["10.0.2.2/24"], &["10.0.2.1"]);
    let legs = [(outer.clone(), Probed::default())];
    let seed = with_policy(scene(&[&outer]), SEED);
    let judged = |scene: &Scene| found(&pod(scene, &legs, &topology(scene, &legs)));
    assert_eq!(judged(&seed), [(Id::PodMasquerade, Severity::Note)]);
    let untranslated = with_policy(seed.clone(), &SEED.replace("translate = \"masquerade\"", "translate = \"none\""));
    assert_eq!(judged(&untranslated), [(Id::PodMasquerade, Severity::Warning)]);
    let migration = with_policy(seed, &SEED.replace("port = 33890", "port = 49152"));
    assert_eq!(judged(&migration), [(Id::PodMasquerade, Severity::Note), (Id::MigrationPort, Severity::Warning)]);
}
