//! What the port lets through, held against what the leg is for.

use std::collections::BTreeMap;

use super::translation::{translate, translates_to};
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::security::show;
use crate::doctor::probe::{Family, Passes, Probed, Security};
use crate::doctor::scene::{Leg, Scene};

/// Judges what was tried.
#[must_use]
pub fn port_security(scene: &Scene, legs: &[(Leg, Probed)]) -> Outcome {
    let mut outcome = Outcome::of(Check::PortSecurity);
    let behind = legs.iter().any(|(leg, _)| !leg.is_outer() && has_ipv6(leg));
    for (leg, probed) in legs {
        untried(&mut outcome, leg, probed);
        let severity = |tried: &Security| severity(scene, leg, tried.family(), behind);
        let tried: Vec<&Security> = probed.tried().collect();
        judge(
            &mut outcome,
            &tried,
            |tried| tried.source,
            severity,
            |passes, severity, tried| match passes {
                Passes::Yes => Told::Good(format!("{}: {} packets from foreign addresses get out", leg.name(), families(tried))),
                Passes::No => Told::Found(source(scene, leg, tried, severity)),
                Passes::Unknown => Told::Skipped(format!(
                    "{}: whether {} packets from foreign addresses get out, as {} answers neither ping nor a second question for its MAC",
                    leg.name(),
                    families(tried),
                    peers(tried)
                )),
            },
        );
        judge(
            &mut outcome,
            &tried,
            |tried| tried.destination,
            severity,
            |passes, severity, tried| match passes {
                Passes::Yes => Told::Good(format!("{}: {} packets to foreign addresses come in", leg.name(), families(tried))),
                Passes::No => Told::Found(destination(scene, leg, tried, severity)),
                Passes::Unknown => Told::Skipped(format!(
                    "{}: whether {} packets to foreign addresses come in, as {}",
                    leg.name(),
                    families(tried),
                    match tried.iter().all(|tried| tried.source == Passes::No) {
                        true => "none from there get out".to_owned(),
                        false => format!("{} answers no ping", peers(tried)),
                    }
                )),
            },
        );
        if let Some(tried) = tried.iter().find(|tried| tried.mac == Passes::No) {
            outcome.findings.push(mac(leg, tried));
        }
    }
    outcome
}

/// Says of each family that was not tried why.
fn untried(outcome: &mut Outcome, leg: &Leg, probed: &Probed) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for family in Family::ALL {
        match probed.port.get(&family) {
            Some(Ok(_)) => {}
            Some(Err(why)) => reasons.entry(why).or_default().push(family.to_string()),
            None => reasons.entry("it was not tried").or_default().push(family.to_string()),
        }
    }
    for (why, families) in reasons {
        outcome.skip(format!("{}: what {} packets pass besides its own: {why}", leg.name(), families.join(" and ")));
    }
}

enum Told {
    Good(String),
    Found(Finding),
    Skipped(String),
}

/// Tells once what is the same of both families.
fn judge(
    outcome: &mut Outcome,
    tried: &[&Security],
    answer: impl Fn(&Security) -> Passes,
    severity: impl Fn(&Security) -> Severity,
    tell: impl Fn(Passes, Severity, &[&Security]) -> Told,
) {
    for passes in [Passes::Yes, Passes::No, Passes::Unknown] {
        let mut alike: BTreeMap<Severity, Vec<&Security>> = BTreeMap::new();
        for tried in tried.iter().filter(|tried| answer(tried) == passes) {
            // Only what is found has one.
            let severity = if passes == Passes::No { severity(tried) } else { Severity::Note };
            alike.entry(severity).or_default().push(tried);
        }
        for (severity, tried) in alike {
            match tell(passes, severity, &tried) {
                Told::Good(text) => outcome.good(text),
                Told::Found(finding) => outcome.findings.push(finding),
                Told::Skipped(text) => outcome.skip(text),
            }
        }
    }
}

fn families(tried: &[&Security]) -> String {
    tried.iter().map(|tried| tried.family().to_string()).collect::<Vec<_>>().join(" and ")
}

fn peers(tried: &[&Security]) -> String {
    tried.iter().map(|tried| tried.peer.to_string()).collect::<Vec<_>>().join(" or ")
}

fn evidence(tried: &[&Security]) -> Vec<String> {
    tried.iter().flat_map(|tried| tried.evidence.iter().cloned()).collect()
}

fn has_ipv6(leg: &Leg) -> bool {
    leg.addresses().any(|net| matches!(net.addr(), std::net::IpAddr::V6(address) if !address.is_unicast_link_local()))
}

/// On the inner side a filter of addresses breaks everything. On the outer side it is how pod networks are, and a policy that translates
/// lives with it; IPv6, which is not translated, does not, if there is any behind the gateway.
fn severity(scene: &Scene, leg: &Leg, family: Family, behind: bool) -> Severity {
    if !leg.is_outer() {
        return Severity::Fault;
    }
    match (family, translates_to(scene.model.as_ref(), leg.zone.as_ref())) {
        (Family::V4, Some(true)) => Severity::Note,
        (Family::V6, _) if !behind => Severity::Note,
        _ => Severity::Warning,
    }
}

fn remedies(scene: &Scene, leg: &Leg, tried: &[&Security]) -> Vec<Remedy> {
    let mtu = leg.link.mtu;
    if leg.is_outer() {
        let helps = tried.iter().any(|tried| tried.family() == Family::V4);
        let translate = helps.then(|| translate(scene, leg)).flatten();
        let advice = Remedy::Advice {
            text: "On the pod network nobody can turn this off. To carry a whole prefix untranslated: a tunnel to the far router \
                       (topology B), or a localnet, bridge or SR-IOV leg without IPAM (topology D)."
                .to_owned(),
        };
        return translate.into_iter().chain([advice]).collect();
    }
    vec![
        Remedy::Yaml {
            object: "ClusterUserDefinedNetwork (its spec cannot be changed: make it anew)",
            text: format!(
                "spec:\n  network:\n    topology: Layer2\n    layer2:\n      role: Secondary\n      mtu: {mtu}\n      ipam:\n        mode: Disabled    \
                 # and no subnets: then only MACs are secured\n"
            ),
        },
        Remedy::Yaml {
            object: "or NetworkAttachmentDefinition, without \"subnets\"",
            text: format!(
                "spec:\n  config: |\n    {{\"cniVersion\": \"1.0.0\", \"type\": \"ovn-k8s-cni-overlay\", \"topology\": \"layer2\",\n     \"name\": \
                 \"overlay\", \"netAttachDefName\": \"NAMESPACE/overlay\", \"mtu\": {mtu}}}\n"
            ),
        },
        Remedy::Advice { text: "Then nobody serves addresses on the overlay any more: give the VMs static ones.".to_owned() },
    ]
}

fn source(scene: &Scene, leg: &Leg, tried: &[&Security], severity: Severity) -> Finding {
    let name = leg.name();
    Finding {
        id: Id::ForeignSource,
        severity,
        interface: Some(name.to_owned()),
        title: format!("the port of {name} drops {} packets that do not come from its own address", families(tried)),
        evidence: evidence(tried),
        consequence: match leg.is_outer() {
            true if tried.iter().all(|tried| tried.family() == Family::V6) => {
                format!("The gateway does not translate IPv6: what hosts behind it send by IPv6 does not get out through {name}.")
            }
            true => format!("Only translated packets get out through {name}; clients must appear as its own address."),
            false => format!(
                "Replies from outside keep their sender's address, and so never reach the hosts on {name}: their connections hang while \
                 opening. An address that moves here in a failover would be mute as well. (OVN: port security \"MAC IP\", as IPAM is on.)"
            ),
        },
        remedies: remedies(scene, leg, tried),
    }
}

fn destination(scene: &Scene, leg: &Leg, tried: &[&Security], severity: Severity) -> Finding {
    let name = leg.name();
    Finding {
        id: Id::ForeignDestination,
        severity,
        interface: Some(name.to_owned()),
        title: format!("the port of {name} does not get {} packets for other addresses than its own", families(tried)),
        evidence: evidence(tried),
        consequence: match leg.is_outer() {
            true => format!("A route elsewhere \"via {name}'s address\" ends at the port, and no further address can be held there."),
            false => format!("What the hosts on {name} send to the outside, with the gateway as next hop, is dropped before it arrives."),
        },
        remedies: remedies(scene, leg, tried),
    }
}

fn mac(leg: &Leg, security: &Security) -> Finding {
    let name = leg.name();
    Finding {
        id: Id::ForeignMac,
        // The gateway never needs it.
        severity: Severity::Note,
        interface: Some(name.to_owned()),
        title: format!("the port of {name} drops frames that do not come from its own MAC"),
        evidence: security.evidence.iter().filter(|line| line.contains(&show(security.foreign_mac))).cloned().collect(),
        consequence:
            "A VRRP virtual MAC, or a nested bridge, would not work on this port. The gateway announces its addresses from the port's \
                      own MAC, which does."
                .to_owned(),
        remedies: Vec::new(),
    }
}
