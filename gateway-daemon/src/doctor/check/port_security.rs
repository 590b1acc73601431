//! What the port lets through, held against what the leg is for.

use super::pod::translates_to;
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::security::show;
use crate::doctor::probe::{Passes, Probed, Security};
use crate::doctor::scene::{Leg, Scene};

/// Judges what was tried.
#[must_use]
pub fn port_security(scene: &Scene, legs: &[(Leg, Probed)]) -> Outcome {
    let mut outcome = Outcome::of(Check::PortSecurity);
    for (leg, probed) in legs {
        let name = leg.name();
        let Some(security) = &probed.security else {
            outcome.skip(format!("{name}: {}", probed.untried.as_deref().unwrap_or("it was not tried")));
            continue;
        };
        let severity = severity(scene, leg);
        match security.source {
            Passes::Yes => outcome.good(format!("{name}: packets from foreign addresses get out")),
            Passes::No => outcome.findings.push(source(leg, security, severity)),
            Passes::Unknown => outcome.skip(format!("{name}: {} answers neither ping nor a second ARP request", security.peer)),
        }
        match security.destination {
            Passes::Yes => outcome.good(format!("{name}: packets to foreign addresses come in")),
            Passes::No => outcome.findings.push(destination(leg, security, severity)),
            Passes::Unknown if security.source == Passes::No => {
                outcome.skip(format!("{name}: whether packets to foreign addresses come in, as none from there get out"));
            }
            Passes::Unknown => {
                outcome.skip(format!("{name}: whether packets to foreign addresses come in, as {} answers no ping", security.peer));
            }
        }
        if security.mac == Passes::No {
            outcome.findings.push(mac(leg, security));
        }
        // Of IPv6 nothing was sent, and a port may hold the families to different lists.
        if leg.addresses().any(|net| net.addr().is_ipv6()) {
            outcome.skip(format!("{name}: what passes of IPv6, as only IPv4 is tried"));
        }
    }
    outcome
}

/// On the inner side a filter of addresses breaks everything. On the outer side it is how pod networks are, and a policy that translates
/// lives with it.
fn severity(scene: &Scene, leg: &Leg) -> Severity {
    if !leg.is_outer() {
        return Severity::Fault;
    }
    match translates_to(scene.model.as_ref(), leg.zone.as_ref()) {
        Some(true) => Severity::Note,
        Some(false) | None => Severity::Warning,
    }
}

fn remedies(leg: &Leg) -> Vec<Remedy> {
    let mtu = leg.link.mtu;
    if leg.is_outer() {
        let to = leg.zone.as_ref().map_or("pods", |zone| zone.0.as_str());
        return vec![
            Remedy::Policy { text: format!("[[nat.source]]\nname = \"masquerade\"\nto = \"{to}\"\ntranslate = \"masquerade\"\n") },
            Remedy::Advice {
                text: "On the pod network nobody can turn this off. To carry a whole prefix untranslated: a tunnel to the far router \
                       (topology B), or a localnet, bridge or SR-IOV leg without IPAM (topology D)."
                    .to_owned(),
            },
        ];
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

fn source(leg: &Leg, security: &Security, severity: Severity) -> Finding {
    let name = leg.name();
    Finding {
        id: Id::ForeignSource,
        severity,
        interface: Some(name.to_owned()),
        title: format!("the port of {name} drops packets that do not come from its own address"),
        evidence: security.evidence.clone(),
        consequence: match leg.is_outer() {
            true => format!("Only translated packets get out through {name}; clients must appear as its own address."),
            false => format!(
                "Replies from outside keep their sender's address, and so never reach the hosts on {name}: their connections hang while \
                 opening. An address that moves here in a failover would be mute as well. (OVN: port security \"MAC IP\", as IPAM is on.)"
            ),
        },
        remedies: remedies(leg),
    }
}

fn destination(leg: &Leg, security: &Security, severity: Severity) -> Finding {
    let name = leg.name();
    Finding {
        id: Id::ForeignDestination,
        severity,
        interface: Some(name.to_owned()),
        title: format!("the port of {name} does not get packets for other addresses than its own"),
        evidence: security.evidence.clone(),
        consequence: match leg.is_outer() {
            true => format!("A route elsewhere \"via {name}'s address\" ends at the port, and no further address can be held there."),
            false => format!("What the hosts on {name} send to the outside, with the gateway as next hop, is dropped before it arrives."),
        },
        remedies: remedies(leg),
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
