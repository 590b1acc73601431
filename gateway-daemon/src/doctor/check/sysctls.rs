//! Kernel settings that others have left behind.

use std::fs;

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::scene::{Leg, Scene};
use crate::model::SourceValidation;

/// Examines the settings of the calling thread's network namespace; `running`: the gateway is at work there.
#[must_use]
pub fn sysctls(scene: &Scene, legs: &[Leg], running: bool) -> Outcome {
    let mut outcome = Outcome::of(Check::Sysctls);
    let before = outcome.findings.len();
    outcome.findings.extend(forwards_all(scene, legs, running));
    for leg in legs {
        outcome.findings.extend(reverse_path(scene, leg));
        outcome.findings.extend(answers_for_others(leg));
    }
    if outcome.findings.len() == before {
        outcome.good("no setting stands in the way");
    }
    outcome
}

/// `None`: there is no such key.
fn number(key: &str) -> Option<u8> {
    fs::read_to_string(format!("/proc/sys/net/{key}")).ok()?.trim().parse().ok()
}

fn conf(leg: &Leg, key: &str) -> Option<u8> {
    number(&format!("ipv4/conf/{}/{key}", leg.name()))
}

fn forwards_all(scene: &Scene, legs: &[Leg], running: bool) -> Option<Finding> {
    let families = [("ipv4/ip_forward", "net.ipv4.ip_forward"), ("ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding")];
    // Before Linux 6.17 the nftables datapath has to turn IPv6's on for all, and guards the others.
    let families = if running { &families[..1] } else { &families[..] };
    let on: Vec<&str> = families.iter().filter(|(path, _)| number(path) == Some(1)).map(|(_, key)| *key).collect();
    if on.is_empty() {
        return None;
    }
    let others: Vec<&str> = scene
        .inventory
        .links
        .values()
        .filter(|link| link.mac.is_some() && legs.iter().all(|leg| leg.link.index != link.index))
        .map(|link| link.name.0.as_str())
        .collect();
    let beside = if others.is_empty() { String::new() } else { format!(" ({} in no zone)", others.join(", ")) };
    Some(Finding {
        id: Id::ForwardsAll,
        severity: Severity::Warning,
        interface: None,
        title: "the kernel forwards between all interfaces by itself".to_owned(),
        evidence: on.iter().map(|key| format!("{key} = 1{beside}")).collect(),
        consequence:
            "The gateway does not need it: it turns forwarding on for the interfaces of its zones, behind its guard. As it is, everything \
                      is forwarded unfiltered while the gateway does not run, and between interfaces of no zone also while it does."
                .to_owned(),
        remedies: vec![
            Remedy::Command { lines: on.iter().map(|key| format!("sysctl -w {key}=0")).collect() },
            Remedy::Command {
                lines: vec!["grep -rn forward /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d    # and remove it there".to_owned()],
            },
        ],
    })
}

fn reverse_path(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let strict = number("ipv4/conf/all/rp_filter").max(conf(leg, "rp_filter")) == Some(1);
    let configured = scene
        .model
        .as_ref()
        .map(|model| model.interfaces.get(&leg.link.name).map(|interface| interface.source_validation).unwrap_or_default());
    // Strict is also the gateway's own default; where the policy wants less, the gateway sets it, and takes it back when it ends.
    let asymmetric = configured.is_some_and(|wanted| wanted != SourceValidation::Strict);
    if !strict || !asymmetric {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::ReversePath,
        severity: Severity::Note,
        interface: Some(name.to_owned()),
        title: format!("the kernel filters {name} by the way back, which the policy does not want"),
        evidence: vec!["net.ipv4.conf.*.rp_filter = 1 (strict)".to_owned()],
        consequence: "While the gateway runs it sets this interface to loose; until then asymmetric replies are dropped without a word."
            .to_owned(),
        remedies: vec![Remedy::Command { lines: vec![format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2")] }],
    })
}

fn answers_for_others(leg: &Leg) -> Option<Finding> {
    let on = number("ipv4/conf/all/proxy_arp").max(conf(leg, "proxy_arp")) == Some(1);
    if !on {
        return None;
    }
    let name = leg.name();
    Some(Finding {
        id: Id::AnswersForOthers,
        severity: Severity::Warning,
        interface: Some(name.to_owned()),
        title: format!("the kernel answers ARP on {name} for whatever it has a route to"),
        evidence: vec!["net.ipv4.conf.*.proxy_arp = 1".to_owned()],
        consequence: "Hosts on that link send to the gateway what is not meant for it, and port security may block the port for it."
            .to_owned(),
        remedies: vec![Remedy::Command {
            lines: vec!["sysctl -w net.ipv4.conf.all.proxy_arp=0".to_owned(), format!("sysctl -w net.ipv4.conf.{name}.proxy_arp=0")],
        }],
    })
}
