//! The policy that the doctor advises, laid over the policy at hand, is one that the gateway takes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use toml::{Table, Value};

use super::tests::{SEED, leg, scene, secured, with_policy};
use super::{Measured, duplicate, links, narrow, offloads, path, pod, port_security};
use crate::doctor::finding::{Id, Outcome, Remedy, Severity};
use crate::doctor::probe::{Passes, Probed, mtu::Path};
use crate::doctor::scene::{Leg, Scene};
use crate::doctor::topology::topology;
use crate::inventory::{IfIndex, Link, XdpFeatures};
use crate::model::InterfaceName;
use crate::netlink::{Feature, Hardware};

/// Every finding that comes with a piece of policy.
const WITH_POLICY: [Id; 9] = [
    Id::NoAddress,
    Id::PodMasquerade,
    Id::ForeignSource,
    Id::ForeignDestination,
    Id::DuplicateAddress,
    Id::MtuBlackHole,
    Id::PathMtu,
    Id::Xdp,
    Id::VlanOffload,
];

/// Lays one over the other, as people do who read it: tables key by key, and named rules by their names.
fn lay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => lay(base, over),
            (Some(Value::Array(base)), Value::Array(over)) if over.iter().all(|rule| rule.get("name").is_some()) => {
                for rule in over {
                    match (base.iter_mut().find(|held| held.get("name") == rule.get("name")), rule) {
                        (Some(Value::Table(held)), Value::Table(rule)) => lay(held, rule),
                        (_, rule) => base.push(rule),
                    }
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The policy with the remedy in it.
#[track_caller]
fn mended(policy: &str, remedy: &str) -> String {
    let mut base: Table = policy.parse().unwrap();
    lay(&mut base, remedy.parse().unwrap_or_else(|error| panic!("{error}\n{remedy}")));
    let text = toml::to_string(&base).unwrap();
    let loaded = crate::policy::load("mended", &text);
    loaded.unwrap_or_else(|report| panic!("{remedy}\n{}", report.render(false, 100)));
    text
}

/// The pieces of policy among the remedies; each finding has one at most that is to be taken.
fn advised(outcome: &Outcome) -> Vec<(Id, Severity, String)> {
    let pieces = outcome.findings.iter().flat_map(|finding| finding.remedies.iter().map(move |remedy| (finding, remedy)));
    let policy = |remedy: &Remedy| if let Remedy::Policy { text } = remedy { Some(text.clone()) } else { None };
    pieces.filter_map(|(finding, remedy)| Some((finding.id, finding.severity, policy(remedy)?))).collect()
}

fn outer() -> Leg {
    leg("eth0", &["10.0.2.2/24"], &["10.0.2.1"])
}

fn inner() -> Leg {
    leg("eth1", &["10.227.128.15/21"], &[])
}

fn untranslated() -> String {
    SEED.replace("translate = \"masquerade\"", "translate = \"none\"")
}

fn without_nat() -> String {
    let (start, end) = (SEED.find("[[nat.source]]").unwrap(), SEED.find("[[nat.destination]]").unwrap());
    SEED[..start].to_owned() + &SEED[end..]
}

fn measured(path: Path) -> Vec<Measured> {
    vec![Measured { peer: "10.10.0.10".parse().unwrap(), named: true, through: Some(("eth0".to_owned(), 1500)), path: Ok(path) }]
}

/// A machine on which everything is wrong that the policy mends, by the policy at hand.
fn outcomes(policy: &str) -> Vec<Outcome> {
    let (outer, inner) = (outer(), inner());
    let seen = with_policy(scene(&[&outer, &inner]), policy);
    let masquerade = [(outer.clone(), Probed::default())];
    let mut bare = outer.clone();
    bare.link.addresses.clear();
    let outside = leg("eth0", &["10.244.0.7/24"], &["10.244.0.1"]);
    let probed = secured(Passes::No, Passes::No, Passes::Yes);
    vec![
        links(&seen, &[bare, inner.clone()]),
        pod(&seen, &masquerade, &topology(&seen, &masquerade)),
        port_security(&seen, &[(outside, probed)]),
        duplicate(&seen, &[claimed(&inner)]),
        path(&measured(Path::BlackHole { largest: 1442 })),
        narrow(&seen, &measured(Path::Announced { largest: 1442, by: ("10.0.0.1".parse().unwrap(), 1442) })),
    ]
}

/// Somebody else has the leg's first address, and nobody another.
fn claimed(leg: &Leg) -> (Leg, Probed) {
    let address = leg.link.addresses[0].addr();
    let free: IpAddr = "10.227.129.7".parse().unwrap();
    let claims = BTreeMap::from([(address, BTreeSet::from([[2, 8, 8, 8, 8, 8]]))]);
    let probed = Probed { asked: [address].into(), free: vec![free], probes_pass: Some(true), duplicates: claims, ..Probed::default() };
    (leg.clone(), probed)
}

/// XDP is asked for: once without a driver, once with packets that are too large, once beside a VLAN.
fn offloaded() -> Vec<(String, Outcome)> {
    let policy = SEED.replace("version = 1\n", "version = 1\n\n[datapath]\nmode = \"xdp\"\n");
    let (mut poor, mut large, mut tagged) = (inner(), inner(), inner());
    poor.link.xdp = Some(XdpFeatures { native: false, ..poor.link.xdp.unwrap() });
    large.link.xdp = Some(XdpFeatures { fragments: false, ..large.link.xdp.unwrap() });
    large.link.mtu = 9000;
    tagged.hardware.features.insert("rx-vlan-hw-parse".to_owned(), Feature { active: true, changeable: true });
    let above = Link { index: IfIndex(90), name: InterfaceName("eth1.7".to_owned()), kind: Some("vlan".to_owned()), ..tagged.link.clone() };
    [poor, large, tagged]
        .map(|leg| {
            let mut seen: Scene = with_policy(scene(&[&leg]), &policy);
            seen.inventory.links.insert(above.index, above.clone());
            seen.hardware.insert(above.index, Hardware { lower: Some(leg.link.index), ..Hardware::default() });
            (policy.clone(), offloads(&seen, &[leg]))
        })
        .into()
}

#[test]
fn every_piece_of_policy_is_one_that_loads() {
    let mut found = BTreeSet::new();
    let policies = [SEED.to_owned(), untranslated(), without_nat()];
    let by_policy = policies.iter().flat_map(|policy| outcomes(policy).into_iter().map(move |outcome| (policy.clone(), outcome)));
    for (policy, outcome) in by_policy.chain(offloaded()) {
        for (id, _, text) in advised(&outcome) {
            mended(&policy, &text);
            found.insert(id);
        }
    }
    assert_eq!(found, BTreeSet::from(WITH_POLICY));
}

#[test]
fn what_is_advised_about_translation_mends_it() {
    let outer = outer();
    let legs = [(outer.clone(), Probed::default())];
    // A zone of another name, and a name that is taken.
    let renamed = without_nat().replace("overlay", "inside").replace("\"rdp to app01\"", "\"masquerade\"");
    for policy in [untranslated(), without_nat(), renamed] {
        let judged = |policy: &str| {
            let seen = with_policy(scene(&[&outer]), policy);
            advised(&pod(&seen, &legs, &topology(&seen, &legs)))
        };
        let found = judged(&policy);
        assert_eq!((found.len(), found[0].1), (1, Severity::Warning), "{found:?}");
        assert_eq!(judged(&mended(&policy, &found[0].2)), [], "{}", found[0].2);
    }
    // Without any policy it can begin one.
    let mut alone = outer.clone();
    alone.zone = None;
    let judged = port_security(&scene(&[&alone]), &[(alone, secured(Passes::No, Passes::Unknown, Passes::Yes))]);
    mended("version = 1\n", &advised(&judged)[0].2);
}

#[test]
fn a_duplicate_is_taken_out_of_where_it_comes_from() {
    let held = inner();
    // The gateway runs: the policy's address is on the link already, and taken from there it would come back.
    let seen = with_policy(scene(&[&held]), SEED);
    let outcome = duplicate(&seen, &[claimed(&held)]);
    let text = &advised(&outcome)[0].2;
    let model = crate::policy::load("mended", &mended(SEED, text)).unwrap().model;
    let addresses = &model.interfaces[&held.link.name].addresses;
    assert_eq!(addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.227.129.7/21"], "{text}");
    // Somebody else has put it there.
    let outcome = duplicate(&scene(&[&held]), &[claimed(&held)]);
    assert_eq!(advised(&outcome), []);
    let lines = vec!["ip address del 10.227.128.15/21 dev eth1".to_owned()];
    assert_eq!(outcome.findings[0].remedies[1], Remedy::Command { lines });
}
