//! What every gateway's VirtualMachine needs, whatever the topology.

use serde_json::{Value, json};

use crate::documents::{Manifest, machine, topologies};

/// What is missing in the VirtualMachine; nothing when all is there.
fn missing(manifest: &Manifest) -> Vec<String> {
    let virtual_machine = manifest.of_kind("VirtualMachine").next().unwrap();
    let (machine, domain) = (machine(manifest), &machine(manifest)["domain"]);
    let mut missing = Vec::new();
    let mut wants = |there: bool, what: &str| {
        if !there {
            missing.push(what.to_owned());
        }
    };
    wants(virtual_machine["spec"]["runStrategy"] == "Always", "it does not come back by itself");
    // C's network does not migrate in every cluster; there it is started elsewhere instead of holding up the node.
    let strategy = machine["evictionStrategy"].as_str().unwrap_or_default();
    wants(["LiveMigrate", "LiveMigrateIfPossible"].contains(&strategy), "a node that is drained ends it");
    wants(domain["devices"]["networkInterfaceMultiqueue"] == true, "one queue per interface");
    wants(domain["cpu"]["cores"].as_u64().is_some_and(|cores| cores >= 2), "fewer than two CPUs");
    wants(domain["memory"]["guest"] == "256Mi", "not the memory that the appliance is made for");
    // Otherwise KubeVirt asks for a tenth of each CPU.
    wants(domain["resources"]["requests"]["cpu"].is_string(), "no CPU is kept for it");
    wants(domain["resources"]["requests"]["memory"] == domain["memory"]["guest"], "its memory is not kept for it");
    wants(domain["resources"].get("limits").is_none(), "a limit, which would slow it down");
    wants(answers(&machine["readinessProbe"]), "no readiness probe");
    wants(machine.get("livenessProbe").is_none(), "a liveness probe, which would end a gateway that forwards");
    wants(domain["devices"]["interfaces"].as_array().is_some_and(|legs| legs.len() == 2), "not two legs");
    wants(system_is_a_container_disk(machine), "the system is no containerDisk");
    // The appliance's loader is not signed.
    let uefi = domain["firmware"]["bootloader"].get("efi");
    wants(uefi.is_none_or(|efi| efi["secureBoot"] == false), "UEFI with secure boot, which is KubeVirt's default");
    missing
}

/// Does it ask the guest agent, or a port?
fn answers(probe: &Value) -> bool {
    let asks = probe.get("guestAgentPing").is_some() || probe["tcpSocket"]["port"].is_u64();
    asks && ["periodSeconds", "failureThreshold"].iter().all(|key| probe[key].as_u64().is_some_and(|value| value > 0))
}

/// The first disk is what a BIOS boots from.
fn system_is_a_container_disk(machine: &Value) -> bool {
    let first = &machine["domain"]["devices"]["disks"][0];
    let volumes = machine["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == first["name"]);
    first["disk"]["bus"] == "virtio"
        && volume.is_some_and(|volume| volume["containerDisk"]["image"].as_str().is_some_and(|image| image.contains("/gateway:")))
}

#[test]
fn every_machine_has_what_a_gateway_needs() {
    for manifest in topologies() {
        assert_eq!(missing(&manifest), [""; 0], "{}", manifest.name);
    }
}

#[test]
fn whatever_is_taken_away_is_missed() {
    for path in [
        "/runStrategy",
        "/template/spec/evictionStrategy",
        "/template/spec/readinessProbe",
        "/template/spec/readinessProbe/guestAgentPing",
        "/template/spec/domain/cpu",
        "/template/spec/domain/memory",
        "/template/spec/domain/resources",
        "/template/spec/domain/resources/requests/cpu",
        "/template/spec/domain/resources/requests/memory",
        "/template/spec/domain/devices/networkInterfaceMultiqueue",
        "/template/spec/domain/devices/interfaces/1",
        "/template/spec/volumes/0",
    ] {
        for mut manifest in topologies() {
            let document = manifest.documents.iter_mut().find(|document| document["kind"] == "VirtualMachine").unwrap();
            let (parent, key) = path.rsplit_once('/').unwrap();
            match document.pointer_mut(&format!("/spec{parent}")).unwrap() {
                Value::Object(members) => drop(members.remove(key).unwrap()),
                Value::Array(elements) => drop(elements.remove(key.parse().unwrap())),
                _ => panic!("{}: nothing is below {parent}", manifest.name),
            }
            assert!(!missing(&manifest).is_empty(), "{}: nobody misses {path}", manifest.name);
        }
    }
}

#[test]
fn what_would_do_harm_is_found() {
    for (path, key, value) in [
        ("/domain", "firmware", json!({ "bootloader": { "efi": {} } })),
        ("/domain/resources", "limits", json!({ "cpu": "1" })),
        ("", "livenessProbe", json!({ "guestAgentPing": {} })),
    ] {
        let mut manifest = topologies().remove(0);
        let document = manifest.documents.iter_mut().find(|document| document["kind"] == "VirtualMachine").unwrap();
        document.pointer_mut(&format!("/spec/template/spec{path}")).unwrap()[key] = value;
        assert!(!missing(&manifest).is_empty(), "nobody minds {key}");
    }
}
