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
/// What fits into one page of 4 KiB beside the driver's own: of drivers that put a frame into one buffer only, XDP takes no more.
const XDP_MTU: u32 = 3498;

/// Examines the legs' offloads and what XDP would meet on them.
#[must_use]
pub fn offloads(scene: &Scene, legs: &[Leg]) -> Outcome {
    let mut outcome = Outcome::of(Check::Offloads);
    for leg in legs {
        let before = outcome.findings.len();
        outcome.findings.extend(gro(leg));
        outcome.findings.extend(lro(leg));
        outcome.findings.extend(xdp(scene, leg).or_else(|| transmit_queues(scene, leg)));
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
    } else if wanted && leg.link.mtu > XDP_MTU && leg.link.xdp.is_some_and(|features| !features.fragments) {
        (
            format!("an MTU of {}, and with this driver XDP takes frames of one page: {XDP_MTU} bytes", leg.link.mtu),
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

/// XDP will be on it, or would be if nothing kept it away.
fn would(scene: &Scene, leg: &Leg) -> bool {
    match scene.mode(&leg.link.name) {
        DatapathMode::Xdp => true,
        DatapathMode::Auto => leg.kind() != "veth" && leg.link.xdp.is_some_and(|features| features.native),
        _ => false,
    }
}

/// virtio_net gives XDP a transmit queue for each CPU beside those in use, if there are so many (`virtnet_xdp_set`).
fn transmit_queues(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let channels = leg.hardware.channels.filter(|_| leg.hardware.bus.as_deref() == Some("virtio") && would(scene, leg))?;
    let wanted = channels.current.saturating_add(scene.cpus);
    if channels.most >= wanted {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::TransmitQueues,
        severity: Severity::Note,
        interface: Some(name.to_owned()),
        title: format!("XDP on {name} has no transmit queues of its own"),
        evidence: vec![format!(
            "{} queues in use, {} CPUs, and the device has {} (ethtool -l {name})",
            channels.current, scene.cpus, channels.most
        )],
        consequence: "It works: CPUs that send at the same time wait for each other, which costs some of the speed under full load."
            .to_owned(),
        remedies: vec![Remedy::Advice {
            text: format!("KubeVirt gives as many queues as vCPUs, and no more. With libvirt or QEMU alone: queues={wanted}."),
        }],
    })
}

/// XDP runs on the interface below a VLAN, and there the card has taken the tag away.
fn vlan(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let above = scene
        .hardware
        .iter()
        .find(|(_, hardware)| hardware.lower == Some(leg.link.index))
        .and_then(|(index, _)| scene.inventory.links.get(index));
    let vlan = above.filter(|link| link.kind.as_deref() == Some("vlan"))?;
    if !would(scene, leg) || !feature(leg, VLAN_RECEIVE).is_some_and(|parse| parse.active) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::tests::{leg, scene, with_policy};
    use crate::inventory::{IfIndex, XdpFeatures};
    use crate::netlink::{Channels, Hardware};

    fn inner() -> Leg {
        let mut leg = leg("eth1", &["10.227.128.15/21"], &[]);
        leg.hardware.channels = Some(Channels { current: 2, most: 4 });
        leg
    }

    fn under(mode: &str, leg: &Leg) -> Scene {
        with_policy(scene(&[leg]), &format!("version = 1\n[zones]\noverlay = [\"eth1\"]\n[datapath]\nmode = \"{mode}\"\n"))
    }

    fn found(scene: &Scene, leg: &Leg) -> Vec<(Id, Severity)> {
        let outcome = offloads(scene, std::slice::from_ref(leg));
        outcome.findings.iter().map(|finding| (finding.id, finding.severity)).collect()
    }

    fn set(leg: &mut Leg, name: &str, active: bool, changeable: bool) {
        leg.hardware.features.insert(name.to_owned(), Feature { active, changeable });
    }

    #[test]
    fn large_frames_keep_xdp_away_only_from_drivers_that_want_them_in_one_piece() {
        let mut leg = inner();
        leg.link.mtu = 9000;
        assert_eq!(found(&under("xdp", &leg), &leg), []);
        let features = leg.link.xdp.unwrap();
        leg.link.xdp = Some(XdpFeatures { fragments: false, ..features });
        assert_eq!(found(&under("xdp", &leg), &leg), [(Id::Xdp, Severity::Warning)]);
        assert_eq!(found(&under("tc", &leg), &leg), []);
        leg.link.mtu = 1500;
        assert_eq!(found(&under("xdp", &leg), &leg), []);
        // Before Linux 6.3 nobody says.
        (leg.link.mtu, leg.link.xdp) = (9000, None);
        assert_eq!(found(&under("xdp", &leg), &leg), []);
    }

    #[test]
    fn xdp_that_has_to_share_its_transmit_queues_is_told() {
        let mut leg = inner();
        leg.hardware.channels = Some(Channels { current: 2, most: 3 });
        for mode in ["xdp", "auto"] {
            assert_eq!(found(&under(mode, &leg), &leg), [(Id::TransmitQueues, Severity::Note)], "{mode}");
        }
        assert_eq!(found(&under("tc", &leg), &leg), []);
        leg.hardware.bus = Some("pci".to_owned());
        assert_eq!(found(&under("xdp", &leg), &leg), [], "that is virtio_net's way");
    }

    #[test]
    fn offloads_that_hurt_are_told_with_what_switches_them() {
        let mut leg = inner();
        set(&mut leg, GRO, false, true);
        let outcome = offloads(&under("auto", &leg), &[leg.clone()]);
        assert_eq!(outcome.findings[0].remedies, [Remedy::Command { lines: vec!["ethtool -K eth1 gro on".to_owned()] }]);
        assert_eq!(found(&under("auto", &leg), &leg), [(Id::Gro, Severity::Warning)]);
        leg.link.kind = Some("veth".to_owned());
        assert_eq!(found(&under("auto", &leg), &leg), [(Id::Gro, Severity::Note)]);
        // What forwarding switches off by itself is no finding.
        for (changeable, expected) in [(true, vec![]), (false, vec![(Id::Lro, Severity::Warning)])] {
            let mut leg = inner();
            set(&mut leg, LRO, true, changeable);
            assert_eq!(found(&under("auto", &leg), &leg), expected);
        }
        for (changeable, expected) in [(true, vec![]), (false, vec![(Id::Xdp, Severity::Warning)])] {
            let mut leg = inner();
            set(&mut leg, GRO_HARDWARE, true, changeable);
            assert_eq!(found(&under("xdp", &leg), &leg), expected);
        }
    }

    #[test]
    fn tags_are_missed_only_where_xdp_runs_below_a_vlan() {
        let mut leg = inner();
        set(&mut leg, VLAN_RECEIVE, true, true);
        assert_eq!(found(&under("xdp", &leg), &leg), []);
        let below = |mode: &str, leg: &Leg| {
            let mut scene = under(mode, leg);
            let above = crate::inventory::Link { index: IfIndex(90), kind: Some("vlan".to_owned()), ..leg.link.clone() };
            scene.inventory.links.insert(above.index, above);
            scene.hardware.insert(IfIndex(90), Hardware { lower: Some(leg.link.index), ..Hardware::default() });
            scene
        };
        assert_eq!(found(&below("xdp", &leg), &leg), [(Id::VlanOffload, Severity::Warning)]);
        assert_eq!(found(&below("tc", &leg), &leg), []);
        set(&mut leg, VLAN_RECEIVE, false, true);
        assert_eq!(found(&below("xdp", &leg), &leg), []);
    }
}
