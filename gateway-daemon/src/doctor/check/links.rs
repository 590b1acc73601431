//! Are the legs there, up, and addressed?

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::scene::{Leg, Scene};

/// Examines the legs.
#[must_use]
pub fn links(scene: &Scene, legs: &[Leg]) -> Outcome {
    let mut outcome = Outcome::of(Check::Links);
    let zones = scene.model.iter().flat_map(|model| &model.zones);
    for (zone, name) in zones.flat_map(|zone| zone.interfaces.iter().map(move |name| (&zone.name.0, &name.0))) {
        if scene.inventory.links.values().all(|link| link.name.0 != *name) {
            outcome.findings.push(missing(scene, zone, name));
        }
    }
    for leg in legs {
        let findings = outcome.findings.len();
        outcome.findings.extend(down(leg));
        outcome.findings.extend(unaddressed(scene, leg));
        if outcome.findings.len() == findings {
            outcome.good(format!("{} is up, MTU {}", leg.name(), leg.link.mtu));
        }
    }
    if legs.len() < 2 {
        outcome.findings.push(one_leg(legs));
    }
    outcome
}

fn missing(scene: &Scene, zone: &str, name: &str) -> Finding {
    let there: Vec<&str> = scene.inventory.links.values().filter(|link| link.mac.is_some()).map(|link| link.name.0.as_str()).collect();
    Finding {
        id: Id::InterfaceMissing,
        severity: Severity::Fault,
        interface: Some(name.to_owned()),
        title: format!("zone {zone} names {name}, which does not exist"),
        evidence: vec![format!("there are: {}", there.join(", "))],
        consequence: format!("The gateway waits for {name}, and zone {zone} carries nothing through it."),
        remedies: vec![
            Remedy::Advice { text: "Name an interface that exists under [zones] in the policy, or attach one to the VM:".to_owned() },
            Remedy::Yaml {
                object: "VirtualMachine",
                text: "spec:\n  template:\n    spec:\n      domain:\n        devices:\n          interfaces:\n          - name: overlay\n            \
                       bridge: {}\n      networks:\n      - name: overlay\n        multus: {networkName: overlay}\n"
                    .to_owned(),
            },
        ],
    }
}

fn down(leg: &Leg) -> Option<Finding> {
    let name = leg.name();
    let (title, evidence, remedy) = match (leg.link.up, leg.link.carrier) {
        (true, true) => return None,
        (false, _) => (
            format!("{name} is down"),
            "the interface is not administratively up",
            Remedy::Command { lines: vec![format!("ip link set {name} up")] },
        ),
        (true, false) => (
            format!("{name} has no carrier"),
            "the interface is up, its other end is not",
            Remedy::Advice {
                text: "Look at the other end: the cable, the bridge port, or `state: down` of the VM's interface.".to_owned(),
            },
        ),
    };
    Some(Finding {
        id: Id::LinkDown,
        severity: Severity::Fault,
        interface: Some(name.to_owned()),
        title,
        evidence: vec![evidence.to_owned()],
        consequence: "Nothing passes through it, and nothing about it can be probed.".to_owned(),
        remedies: vec![remedy],
    })
}

fn unaddressed(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let global = |net: &ipnet::IpNet| match net {
        ipnet::IpNet::V4(_) => true,
        ipnet::IpNet::V6(net) => !net.addr().is_unicast_link_local(),
    };
    if leg.addresses().any(global) {
        return None;
    }
    let name = leg.name();
    let text = format!("[interfaces.{name}]\naddresses = [\"192.0.2.1/24\"]    # your own of that network in its place\n");
    Some(Finding {
        id: Id::NoAddress,
        severity: Severity::Warning,
        interface: Some(name.to_owned()),
        title: format!("{name} has no address"),
        evidence: vec![match scene.model {
            Some(_) => "the interface has none, and the policy gives it none".to_owned(),
            None => "the interface has none".to_owned(),
        }],
        consequence: "Hosts behind it have no next hop to send to, and what leaves through it cannot be masqueraded.".to_owned(),
        remedies: vec![Remedy::Policy { text }],
    })
}

fn one_leg(legs: &[Leg]) -> Finding {
    let names: Vec<&str> = legs.iter().map(Leg::name).collect();
    Finding {
        id: Id::OneLeg,
        severity: Severity::Note,
        interface: None,
        title: "a gateway stands between two networks, and here is at most one".to_owned(),
        evidence: vec![if names.is_empty() {
            "no Ethernet interface was found".to_owned()
        } else {
            format!("found: {}", names.join(", "))
        }],
        consequence: "Only traffic that leaves where it came from can be forwarded.".to_owned(),
        remedies: vec![Remedy::Advice {
            text: "Attach the other network, or name its interface in the policy and pass that with --policy.".to_owned(),
        }],
    }
}
