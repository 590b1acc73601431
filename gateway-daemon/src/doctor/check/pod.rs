//! What the pod's binding makes impossible, held against the policy.

use super::translation::{translate, translates_to};
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::Probed;
use crate::doctor::scene::{Leg, Scene};
use crate::doctor::topology::{Binding, Topology, binding};

/// Ports of a virt-launcher pod that KubeVirt's live migration takes (`LiveDirectMigrationPort`, `LiveBlockMigrationPort`).
const MIGRATION: [u16; 2] = [49152, 49153];

/// Examines the outer legs.
#[must_use]
pub fn pod(scene: &Scene, legs: &[(Leg, Probed)], topology: &Topology) -> Outcome {
    let mut outcome = Outcome::of(Check::Topology);
    outcome.good(topology.name.clone());
    for (leg, probed) in legs {
        match binding(leg, &probed.stations) {
            Binding::Masquerade => {
                outcome.findings.push(masquerade(scene, leg));
                outcome.findings.extend(migration_ports(scene, leg));
            }
            Binding::Passt => outcome.findings.push(passt(leg)),
            Binding::OvnAddress | Binding::Plain => {}
        }
    }
    outcome
}

fn masquerade(scene: &Scene, leg: &Leg) -> Finding {
    let translated = translates_to(scene.model.as_ref(), leg.zone.as_ref());
    let gateways: Vec<String> = leg.gateways.iter().map(ToString::to_string).collect();
    let mut remedies = Vec::new();
    if translated == Some(false) {
        remedies.extend(translate(scene, leg));
    }
    remedies.push(Remedy::Advice {
        text: "To carry a whole prefix untranslated: a tunnel to the far router (topology B), or a localnet, bridge or SR-IOV leg without \
               IPAM (topology D)."
            .to_owned(),
    });
    Finding {
        id: Id::PodMasquerade,
        // It is how the platform is, and works, unless the policy expects more.
        severity: if translated == Some(false) { Severity::Warning } else { Severity::Note },
        interface: Some(leg.name().to_owned()),
        title: format!("{} stands behind KubeVirt's masquerade", leg.name()),
        evidence: vec![format!("default gateway {}", gateways.join(", "))],
        consequence: "Only packets from the guest's own address get out, and every packet that comes in was sent to the pod: the original \
                      destination is lost. A route on another machine \"via the gateway's pod address\" cannot work. The pod's address \
                      changes with every live migration, so name it by a Service."
            .to_owned(),
        remedies,
    }
}

fn passt(leg: &Leg) -> Finding {
    Finding {
        id: Id::PodPasst,
        severity: Severity::Warning,
        interface: Some(leg.name().to_owned()),
        title: format!("{} stands behind passt", leg.name()),
        evidence: vec!["the default gateway has passt's MAC".to_owned()],
        consequence: "passt turns connections into sockets of the pod: TCP, UDP and ping pass; IPsec, GRE and all that needs the packets \
                      themselves do not, and everything is copied once more."
            .to_owned(),
        remedies: vec![Remedy::Yaml {
            object: "VirtualMachine",
            text: "spec:\n  template:\n    spec:\n      domain:\n        devices:\n          interfaces:\n          - name: pods    \
                   # as the VM names its pod network\n            masquerade: {}    # in place of passt\n      networks:\n      - name: pods\n        \
                   pod: {}\n"
                .to_owned(),
        }],
    }
}

fn migration_ports(scene: &Scene, leg: &Leg) -> Option<Finding> {
    let model = scene.model.as_ref()?;
    let zone = leg.zone.as_ref()?;
    let taken = |rule: &&crate::model::DestinationNat| MIGRATION.iter().any(|port| (rule.ports.first..=rule.ports.last).contains(port));
    let rules: Vec<String> = model
        .nat
        .destination
        .iter()
        .filter(|rule| rule.from == *zone)
        .filter(taken)
        .map(|rule| format!("port forward \"{}\" uses {}-{}", rule.name.0, rule.ports.first, rule.ports.last))
        .collect();
    if rules.is_empty() {
        return None;
    }
    Some(Finding {
        id: Id::MigrationPort,
        severity: Severity::Warning,
        interface: Some(leg.name().to_owned()),
        title: "a port forward uses a port of live migration".to_owned(),
        evidence: rules,
        consequence: "KubeVirt keeps ports 49152 and 49153 of the pod for migrations and does not hand them to the guest.".to_owned(),
        remedies: vec![Remedy::Advice {
            text: "Choose another port in the policy, and let the Service map the public port to it.".to_owned(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::tests::leg;

    #[test]
    fn passt_is_replaced_on_the_interface_that_has_it() {
        // By the name that the project's own manifests give it; another would be one interface more.
        let manifest = include_str!("../../../../containerdisk/manifests/a-masquerade.yaml");
        let remedies = passt(&leg("eth0", &["10.0.2.2/24"], &["10.0.2.3"])).remedies;
        let [Remedy::Yaml { text, .. }] = &remedies[..] else { panic!("{remedies:?}") };
        let names: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- name: ")?.split(' ').next()).collect();
        assert_eq!(names.len(), 2, "{text}");
        assert!(names.iter().all(|name| manifest.contains(&format!("- name: {name}\n"))), "{names:?}");
    }
}
