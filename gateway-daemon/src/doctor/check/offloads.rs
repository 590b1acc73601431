//! Offloads that help, hurt, or keep XDP away.

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::scene::{Leg, Scene};
use crate::model::DatapathMode;
use crate::netlink::Feature;

/// ethtool's long names (net/ethtool/common.c, `netdev_features_strings`).
const GRO: &str = "rx-gro";
const GRO_HARDWARE: &str = "rx-gro-hw";
const LRO: &str = "rx-lro";
const VLAN_RECEIVE: &str = "rx-vlan-hw-parse";
/// What a native XDP program without fragments can take, on a page of 4 KiB: drivers refuse more (drivers/net/virtio_net.c,
/// drivers/net/veth.c).
const XDP_MTU: u32 = 3498;

/// Examines the legs' offloads and what XDP would meet on them.
#[must_use]
pub fn offloads(scene: &Scene, legs: &[Leg]) -> Outcome {
    let mut outcome = Outcome::of(Check::Offloads);
    for leg in legs {
        let before = outcome.findings.len();
        outcome.findings.extend(gro(leg));
        outcome.findings.extend(lro(leg));
        outcome.findings.extend(xdp(scene, leg));
        outcome.findings.extend(vlan(scene, leg));
        if leg.hardware.features.is_empty() {
            outcome.skip(format!("{}: the kernel does not list its offloads", leg.name()));
        } else if outcome.findings.len() == before {
            outcome.good(format!("{}: {}", leg.name(), native(leg)));
        }
    }
    outcome
}

fn native(leg: &Leg) -> &'static str {
    match leg.link.xdp.map(|features| features.native) {
        Some(true) => "the driver has native XDP",
        Some(false) => "no native XDP, tc carries it",
        None => "the kernel does not say whether the driver has native XDP (before Linux 6.3)",
    }
}

fn feature(leg: &Leg, name: &str) -> Option<Feature> {
    leg.hardware.features.get(name).copied()
}

fn gro(leg: &Leg) -> Option<Finding> {
    let off = feature(leg, GRO).is_some_and(|gro| !gro.active && gro.changeable);
    if !off {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::Gro,
        // A veth is made without; its sender may have joined the packets before.
        severity: if leg.kind() == "veth" { Severity::Note } else { Severity::Warning },
        interface: Some(name.to_owned()),
        title: format!("{name} hands on every packet by itself"),
        evidence: vec![format!("generic receive offload is off (ethtool -k {name})")],
        consequence: "Each packet of a bulk transfer is looked at one by one instead of some dozens at a time.".to_owned(),
        remedies: vec![Remedy::Command { lines: vec![format!("ethtool -K {name} gro on")] }],
    })
}

fn lro(leg: &Leg) -> Option<Finding> {
    // Where it can be switched, forwarding switches it off (`dev_disable_lro`).
    let stuck = feature(leg, LRO).is_some_and(|lro| lro.active && !lro.changeable);
    if !stuck {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::Lro,
        severity: Severity::Warning,
        interface: Some(name.to_owned()),
        title: format!("{name} merges packets in a way that cannot be undone"),
        evidence: vec![format!("large receive offload is on and fixed (ethtool -k {name})")],
        consequence: "Merged packets lose their sizes; forwarded, they are too big for the next link and are dropped.".to_owned(),
        remedies: vec![Remedy::Advice {
            text: "Turn LRO off where the device is made: at the hypervisor or in the card's settings.".to_owned(),
        }],
    })
}

fn xdp(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let wanted = scene.mode(&leg.link.name) == DatapathMode::Xdp;
    let virtio = leg.hardware.bus.as_deref() == Some("virtio");
    let stuck_gro = virtio && feature(leg, GRO_HARDWARE).is_some_and(|gro| gro.active && !gro.changeable);
    let name = leg.name();
    let (evidence, consequence, remedy) = if leg.link.xdp.is_some_and(|features| !features.native) && wanted {
        (
            "the driver offers no native XDP".to_owned(),
            "The policy asks for XDP; tc alone carries this interface.",
            Remedy::Policy { text: format!("[interfaces.{name}]\ndatapath = \"tc\"\n") },
        )
    } else if stuck_gro && wanted {
        (
            "virtio merges received packets (rx-gro-hw) and does not let the guest switch that".to_owned(),
            "virtio_net refuses XDP programs while it does; tc alone carries this interface.",
            Remedy::Advice {
                text: "Offer VIRTIO_NET_F_CTRL_GUEST_OFFLOADS to the guest (QEMU does by default), or leave it to tc.".to_owned(),
            },
        )
    } else if wanted && leg.link.mtu > XDP_MTU {
        (
            format!("an MTU of {}, and XDP takes packets of one page: {XDP_MTU} bytes", leg.link.mtu),
            "The driver refuses the program; tc alone carries this interface.",
            Remedy::Policy { text: format!("[interfaces.{name}]\nmtu = {XDP_MTU}\n") },
        )
    } else {
        return None;
    };
    Some(Finding {
        id: Id::Xdp,
        severity: Severity::Warning,
        interface: Some(name.to_owned()),
        title: format!("XDP cannot be attached to {name}"),
        evidence: vec![evidence],
        consequence: consequence.to_owned(),
        remedies: vec![remedy],
    })
}

/// XDP runs on the interface below a VLAN, and there the card has taken the tag away.
fn vlan(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let would = match scene.mode(&leg.link.name) {
        DatapathMode::Xdp => true,
        DatapathMode::Auto => leg.kind() != "veth" && leg.link.xdp.is_some_and(|features| features.native),
        _ => false,
    };
    let above = scene
        .hardware
        .iter()
        .find(|(_, hardware)| hardware.lower == Some(leg.link.index))
        .and_then(|(index, _)| scene.inventory.links.get(index));
    let vlan = above.filter(|link| link.kind.as_deref() == Some("vlan"))?;
    if !would || !feature(leg, VLAN_RECEIVE).is_some_and(|parse| parse.active) {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::VlanOffload,
        severity: Severity::Warning,
        interface: Some(name.to_owned()),
        title: format!("{name} takes VLAN tags off before XDP sees the packets"),
        evidence: vec![format!("{} lies on it, and rx-vlan-offload is on (ethtool -k {name})", vlan.name.0)],
        consequence: format!("To XDP the packets of {} look as if they were {name}'s own.", vlan.name.0),
        remedies: vec![
            Remedy::Command { lines: vec![format!("ethtool -K {name} rxvlan off")] },
            Remedy::Policy { text: format!("[interfaces.{name}]\ndatapath = \"tc\"\n") },
        ],
    })
}
