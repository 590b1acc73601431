//! Is any of the legs' addresses somebody else's too?

use std::net::IpAddr;

use ipnet::IpNet;

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::Probed;
use crate::doctor::probe::security::show;
use crate::doctor::scene::{Leg, Scene};
use crate::inventory::Mac;

/// Judges what others claimed.
#[must_use]
pub fn duplicate(scene: &Scene, legs: &[(Leg, Probed)]) -> Outcome {
    let mut outcome = Outcome::of(Check::DuplicateAddress);
    for (leg, probed) in legs {
        let name = leg.name();
        if let Some(mac) = probed.proxy {
            outcome.findings.push(proxy(leg, mac));
        }
        let mut clean = 0;
        for address in &probed.asked {
            let others = probed.duplicates.get(address).into_iter().flatten().map(|mac| Mac(*mac)).filter(|mac| Some(*mac) != probed.proxy);
            let others: Vec<Mac> = others.collect();
            if others.is_empty() {
                clean += 1;
            } else {
                outcome.findings.push(finding(scene, leg, probed, *address, &others));
            }
        }
        match (probed.asked.is_empty(), probed.probes_pass) {
            (true, _) => outcome.skip(format!("{name}: no address to ask for")),
            (false, Some(false)) => outcome.skip(format!(
                "{name}: neighbours answer only our own address, so ARP probes are filtered on the way and a duplicate would not show"
            )),
            (false, _) if clean == probed.asked.len() => {
                let addresses: Vec<String> = probed.asked.iter().map(ToString::to_string).collect();
                outcome.good(format!("{name}: nobody else claims {}", addresses.join(", ")));
            }
            _ => {}
        }
    }
    outcome
}

fn finding(scene: &Scene, leg: &Leg, probed: &Probed, address: IpAddr, others: &[Mac]) -> Finding {
    let macs: Vec<String> = others.iter().map(|mac| show(*mac)).collect();
    let planned = leg.planned.iter().any(|net| net.addr() == address);
    let name = leg.name();
    let protocol = if address.is_ipv4() { "an ARP probe (RFC 5227)" } else { "a neighbour solicitation (RFC 4862)" };
    Finding {
        id: Id::DuplicateAddress,
        severity: Severity::Fault,
        interface: Some(name.to_owned()),
        title: match planned {
            true => format!("{address}, which the policy gives {name}, is somebody else's already"),
            false => format!("{address} on {name} is somebody else's too"),
        },
        evidence: macs.iter().map(|mac| format!("{mac} answered {protocol} for {address}")).collect(),
        consequence: "Neighbours send now to the one and now to the other: connections break at random, and come back by themselves."
            .to_owned(),
        remedies: remedies(scene, leg, probed, address, &macs.join(", ")),
    }
}

/// What the policy gives is changed there: from the link alone it would be back at once.
fn remedies(scene: &Scene, leg: &Leg, probed: &Probed, address: IpAddr, others: &str) -> Vec<Remedy> {
    let name = leg.name();
    let elsewhere = format!("Take the address off the other machine ({others})");
    let interface = scene.model.as_ref().and_then(|model| model.interfaces.get(&leg.link.name));
    let given: &[IpNet] = interface.map_or(&[], |interface| &interface.addresses);
    let Some(net) = given.iter().find(|net| net.addr() == address) else {
        let length = leg.link.addresses.iter().find(|net| net.addr() == address).map_or(0, IpNet::prefix_len);
        return vec![
            Remedy::Advice { text: format!("{elsewhere}, or here, and out of whatever configures {name}:") },
            Remedy::Command { lines: vec![format!("ip address del {address}/{length} dev {name}")] },
        ];
    };
    let Some(free) = probed.free.iter().find(|free| net.contains(*free)) else {
        let text = format!("{elsewhere}, or choose another in `addresses` under [interfaces.{name}] of the policy.");
        return vec![Remedy::Advice { text }];
    };
    let addresses = given.iter().map(|held| match held.addr() == address {
        true => format!("\"{free}/{}\"", net.prefix_len()),
        false => format!("\"{held}\""),
    });
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    vec![
        Remedy::Advice { text: format!("{elsewhere}, or take one that nobody answered for; hosts then need it as their next hop:") },
        Remedy::Policy { text: format!("[interfaces.{name}]\naddresses = [{addresses}]    # {free} instead of {address}\n") },
    ]
}

fn proxy(leg: &Leg, mac: Mac) -> Finding {
    Finding {
        id: Id::ProxyArp,
        severity: Severity::Warning,
        interface: Some(leg.name().to_owned()),
        title: format!("somebody on {} answers ARP for every address", leg.name()),
        evidence: vec![format!("{} answered for addresses that were chosen at random", show(mac))],
        consequence: "Hosts on that link may send to it instead of to the gateway, and duplicate addresses cannot be told.".to_owned(),
        remedies: vec![Remedy::Advice {
            text:
                "Turn proxy ARP off there (on Linux: sysctl -w net.ipv4.conf.<interface>.proxy_arp=0), unless it is the platform's way to \
                   reach a gateway outside the subnet."
                    .to_owned(),
        }],
    }
}
