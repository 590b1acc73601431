//! Does every CPU get a queue?

use super::virtual_machine_devices;
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::scene::{Leg, Scene};

/// Links whose packets come through another link's queues.
const QUEUELESS: [&str; 10] = ["vlan", "macvlan", "ipvlan", "bond", "bridge", "vxlan", "geneve", "wireguard", "gretap", "team"];

/// Examines the legs' queues.
#[must_use]
pub fn queues(scene: &Scene, legs: &[Leg]) -> Outcome {
    let mut outcome = Outcome::of(Check::Queues);
    for leg in legs {
        let name = leg.name();
        if QUEUELESS.contains(&leg.kind()) {
            outcome.good(format!("{name}: a {} uses the queues of the link below it", leg.kind()));
            continue;
        }
        let Some((current, most)) = counts(leg) else {
            outcome.skip(format!("{name}: the driver does not say how many queues it has"));
            continue;
        };
        if current >= scene.cpus {
            outcome.good(format!("{name}: {} for {}", counted(current, "receive queue"), counted(scene.cpus, "CPU")));
        } else {
            outcome.findings.push(finding(leg, scene.cpus, current, most));
        }
    }
    outcome
}

/// Receive queues in use, and the most that can be.
fn counts(leg: &Leg) -> Option<(u32, u32)> {
    let made = leg.hardware.queues.receive;
    match leg.hardware.channels {
        // A tap has as many as whoever opened it asked for; nobody has, so far.
        Some(channels) if leg.kind() == "tun" && channels.current == 0 => Some((channels.most, channels.most)),
        Some(channels) if channels.most > 0 => Some((channels.current, channels.most)),
        // Drivers without channels use what they were made with.
        _ => (made > 0).then_some((made, made)),
    }
}

fn counted(number: u32, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn finding(leg: &Leg, cpus: u32, current: u32, most: u32) -> Finding {
    let name = leg.name();
    let virtio = leg.hardware.bus.as_deref() == Some("virtio");
    let wanted = cpus.min(most);
    let mut remedies = Vec::new();
    if virtio && most < cpus {
        remedies.push(Remedy::Yaml { object: "VirtualMachine", text: virtual_machine_devices("networkInterfaceMultiqueue: true") });
    }
    match leg.kind() {
        "tun" if most < cpus => remedies.push(Remedy::Command {
            lines: vec![
                format!("ip tuntap del {name} mode tap"),
                format!("ip tuntap add {name} mode tap multi_queue    # and let its user open {cpus} queues"),
            ],
        }),
        "tun" => remedies.push(Remedy::Advice { text: format!("Let its user open {cpus} queues (QEMU: queues={cpus} of the netdev).") }),
        "veth" if wanted > current => {
            remedies.push(Remedy::Command {
                lines: vec![format!("ethtool -L {name} rx {wanted} tx {wanted}    # and the same at its other end")],
            });
        }
        _ if wanted > current => remedies.push(Remedy::Command { lines: vec![format!("ethtool -L {name} combined {wanted}")] }),
        _ => {}
    }
    if remedies.is_empty() {
        let text = format!("The device offers no more than {most}: a card with more queues, or receive packet steering, spreads the load.");
        remedies.push(Remedy::Advice { text });
    }
    Finding {
        id: Id::Queues,
        // A veth's other end is on this machine too: as a rule whoever sends into it does the receiving, whatever its queues are.
        severity: if leg.kind() == "veth" { Severity::Note } else { Severity::Warning },
        interface: Some(name.to_owned()),
        title: format!("{name} has {} for {}", counted(current, "receive queue"), counted(cpus, "CPU")),
        evidence: vec![match leg.hardware.channels {
            Some(_) => format!("channels in use {current}, possible {most} (ethtool -l {name})"),
            None => format!("made with {} for receiving (ip -d link show {name})", counted(current, "queue")),
        }],
        consequence: match leg.kind() {
            "veth" => {
                format!("With GRO or XDP on it, packets that arrive on {name} are worked on by {} at a time.", counted(current, "CPU"))
            }
            _ => format!(
                "Packets that arrive on {name} are worked on by {} at a time, however many the machine has.",
                counted(current, "CPU")
            ),
        },
        remedies,
    }
}
