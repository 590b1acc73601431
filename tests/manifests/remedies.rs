//! The YAML that `gateway doctor` advises, laid over the manifests, is what the platforms accept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use gateway_daemon::doctor::check::{self, Measured};
use gateway_daemon::doctor::probe::{Family, Passes, Probed, Security, mtu};
use gateway_daemon::doctor::scene::{Leg, Scene};
use gateway_daemon::doctor::topology::topology;
use gateway_daemon::doctor::{Id, Outcome, Remedy};
use gateway_daemon::inventory::{IfIndex, Link, Mac};
use gateway_daemon::model::{InterfaceName, ZoneName};
use gateway_daemon::netlink::{Channels, Hardware};
use gateway_daemon::policy;
use serde_json::Value;

use crate::documents::{Manifest, all};
use crate::schemas::{complaints, directory};

/// Every finding that comes with YAML.
const WITH_YAML: [Id; 6] = [Id::InterfaceMissing, Id::PodPasst, Id::ForeignSource, Id::ForeignDestination, Id::MtuBlackHole, Id::Queues];

/// passt's own end (`MAC_OUR_LAA` in passt's util.h).
const PASST: Mac = Mac([0x9a, 0x55, 0x9a, 0x55, 0x9a, 0x55]);

fn leg(name: &str, index: u32, address: &str, gateway: Option<&str>) -> Leg {
    let link = Link {
        index: IfIndex(index),
        name: InterfaceName(name.to_owned()),
        up: true,
        carrier: true,
        mac: Some(Mac([2, 0, 0, 0, 0, 1])),
        mtu: 1400,
        kind: None,
        bus: Some("virtio".to_owned()),
        xdp: None,
        addresses: vec![address.parse().unwrap()],
    };
    let channels = Some(Channels { current: 1, most: 1 });
    let hardware = Hardware { bus: Some("virtio".to_owned()), channels, ..Hardware::default() };
    let zone = Some(ZoneName("overlay".to_owned()));
    Leg { link, hardware, zone, planned: Vec::new(), gateways: gateway.iter().map(|gateway| gateway.parse().unwrap()).collect() }
}

/// A machine on which everything is wrong that YAML mends.
fn outcomes() -> [Outcome; 5] {
    let gateway: Ipv4Addr = "10.0.2.1".parse().unwrap();
    let (outer, inner) = (leg("eth0", 2, "10.0.2.2/24", None), leg("eth1", 3, "10.227.128.15/21", None));
    let outer = Leg { gateways: vec!["10.0.2.3".parse().unwrap()], ..outer };
    let seed = include_str!("../policies/seed.toml").replace("eth1", "eth9");
    let model = policy::load("seed", &seed).unwrap_or_else(|report| panic!("{}", report.render(false, 100))).model;
    let mut scene = Scene { cpus: 2, model: Some(model), ..Scene::default() };
    scene.inventory.links = [&outer, &inner].into_iter().map(|leg| (leg.link.index, leg.link.clone())).collect();
    let security = Security {
        peer: gateway.into(),
        foreign: gateway.into(),
        foreign_mac: PASST,
        source: Passes::No,
        destination: Passes::No,
        mac: Passes::Yes,
        evidence: Vec::new(),
    };
    let passt = Probed { stations: BTreeMap::from([("10.0.2.3".parse().unwrap(), PASST)]), ..Probed::default() };
    let secured = Probed { port: BTreeMap::from([(Family::V4, Ok(security))]), ..Probed::default() };
    let probed = [(outer.clone(), passt), (inner.clone(), secured)];
    let hole = Measured {
        peer: "10.10.0.10".parse().unwrap(),
        named: true,
        through: Some(("eth1".to_owned(), 1500)),
        path: Ok(mtu::Path::BlackHole { largest: 1442 }),
    };
    [
        check::links(&scene, &[outer, inner.clone()]),
        check::pod(&scene, &probed, &topology(&scene, &probed)),
        check::port_security(&scene, &probed),
        check::path(&[hole]),
        check::queues(&scene, &[inner]),
    ]
}

/// What to change in which object, by finding.
fn remedies() -> Vec<(Id, &'static str, String)> {
    let mut found = Vec::new();
    for finding in outcomes().into_iter().flat_map(|outcome| outcome.findings) {
        for remedy in finding.remedies {
            if let Remedy::Yaml { object, text } = remedy {
                found.push((finding.id, object, text));
            }
        }
    }
    found
}

/// A document of the manifests that the remedy is for: the kind stands in its words.
fn object(words: &str) -> Value {
    let manifests: Vec<Manifest> = all();
    let mut documents = manifests.into_iter().flat_map(|manifest| manifest.documents);
    documents.find(|document| words.contains(document["kind"].as_str().unwrap_or("-"))).unwrap_or_else(|| panic!("no manifest has {words}"))
}

/// Lays one over the other, as `kubectl patch` does: lists of named things by name.
fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Array(over)) if over.iter().all(|element| element["name"].is_string()) => {
            for element in over {
                match base.iter_mut().find(|held| held["name"] == element["name"]) {
                    Some(held) => lay(held, element),
                    None => base.push(element),
                }
            }
        }
        (base, over) => *base = over,
    }
}

fn patched(words: &str, text: &str) -> Value {
    let mut document = object(words);
    let [change]: [Value; 1] = Manifest::new(words, text.to_owned()).documents.try_into().unwrap();
    lay(&mut document, change);
    document
}

#[test]
fn every_finding_that_yaml_mends_has_some() {
    let found: BTreeSet<Id> = remedies().into_iter().map(|(id, ..)| id).collect();
    assert_eq!(found, BTreeSet::from(WITH_YAML));
}

#[test]
fn what_the_doctor_advises_is_what_the_platforms_accept() {
    let Some(schemas) = directory("remedies::what_the_doctor_advises_is_what_the_platforms_accept") else { return };
    for (id, words, text) in remedies() {
        let document = patched(words, &text);
        let complaints = complaints(&schemas, &document);
        assert!(complaints.is_empty(), "{id:?}: {words}:\n{}\n{text}", complaints.join("\n"));
    }
}

#[test]
fn an_error_in_an_advice_is_found() {
    let Some(schemas) = directory("remedies::an_error_in_an_advice_is_found") else { return };
    for (right, wrong) in [
        ("mode: Disabled", "mode: disabled"),
        ("mtu: ", "MTU: "),
        ("networkInterfaceMultiqueue", "networkInterfaceMultiQueue"),
        ("masquerade: {}", "masquerade: yes"),
        ("multus: {networkName:", "multus: {name:"),
    ] {
        let planted: Vec<_> = remedies().into_iter().filter(|(.., text)| text.contains(right)).collect();
        assert!(!planted.is_empty(), "{right}");
        for (_, words, text) in planted.iter().filter(|(_, words, _)| !words.contains("NetworkAttachmentDefinition")) {
            let document = patched(words, &text.replace(right, wrong));
            assert!(!complaints(&schemas, &document).is_empty(), "`{wrong}` passes in {words}");
        }
    }
}
