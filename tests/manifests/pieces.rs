//! What one document says of another.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::documents::{all, machine, topologies};
use crate::policies::policy;

fn list<'a>(value: &'a Value, what: &str) -> &'a [Value] {
    value.as_array().unwrap_or_else(|| panic!("no {what}"))
}

fn names<'a>(values: &'a [Value], what: &str) -> Vec<&'a str> {
    values.iter().map(|value| value["name"].as_str().unwrap_or_else(|| panic!("{what} without a name"))).collect()
}

#[test]
fn interfaces_are_networks_and_are_in_the_policy() {
    for manifest in topologies() {
        let machine = machine(&manifest);
        let interfaces = names(list(&machine["domain"]["devices"]["interfaces"], "interfaces"), "an interface");
        assert_eq!(interfaces, names(list(&machine["networks"], "networks"), "a network"), "{}", manifest.name);
        let policy = policy(&manifest);
        let zoned: BTreeSet<&str> = policy.zones.iter().flat_map(|zone| &zone.interfaces).map(|name| name.0.as_str()).collect();
        // The appliance names them in their order.
        let wanted: Vec<String> = (0..interfaces.len()).map(|index| format!("eth{index}")).collect();
        assert_eq!(zoned.into_iter().collect::<Vec<_>>(), wanted, "{}", manifest.name);
        // And each zone's name is that of the network.
        for (zone, network) in policy.zones.iter().map(|zone| (&zone.name.0, &zone.interfaces[0].0)) {
            assert_eq!(interfaces[usize::from(network == "eth1")], zone, "{}", manifest.name);
        }
    }
}

#[test]
fn networks_are_defined_where_they_are_used() {
    for manifest in topologies() {
        let defined: BTreeSet<&str> = ["ClusterUserDefinedNetwork", "NetworkAttachmentDefinition"]
            .iter()
            .flat_map(|kind| manifest.of_kind(kind))
            .filter_map(|network| network["metadata"]["name"].as_str())
            .collect();
        let used: BTreeSet<&str> = list(&machine(&manifest)["networks"], "networks")
            .iter()
            .filter_map(|network| network["multus"]["networkName"].as_str())
            .collect();
        assert_eq!(defined, used, "{}", manifest.name);
    }
}

#[test]
fn no_network_of_ovn_kubernetes_has_ipam() {
    let networks: Vec<Value> =
        all().iter().flat_map(|manifest| manifest.of_kind("ClusterUserDefinedNetwork").cloned().collect::<Vec<_>>()).collect();
    assert!(networks.len() >= 4);
    for network in networks {
        let network = &network["spec"]["network"];
        let options = [&network["layer2"], &network["localnet"]].into_iter().find(|options| !options.is_null()).unwrap();
        assert_eq!(options["ipam"]["mode"], "Disabled", "{network:#}");
    }
}

#[test]
fn disks_are_volumes_and_the_policy_is_found_by_its_serial() {
    for manifest in topologies() {
        let machine = machine(&manifest);
        let (disks, volumes) = (list(&machine["domain"]["devices"]["disks"], "disks"), list(&machine["volumes"], "volumes"));
        assert_eq!(names(disks, "a disk"), names(volumes, "a volume"), "{}", manifest.name);
        let policy = disks.iter().position(|disk| disk["serial"] == "gateway-policy").unwrap();
        let map = &volumes[policy]["configMap"];
        assert_eq!(map["volumeLabel"], "gateway-policy", "{}", manifest.name);
        assert_eq!(map["name"], manifest.of_kind("ConfigMap").next().unwrap()["metadata"]["name"], "{}", manifest.name);
    }
}

#[test]
fn services_lead_to_port_forwards_of_the_gateway() {
    let mut services = 0;
    for manifest in topologies() {
        let policy = policy(&manifest);
        let labels = &manifest.of_kind("VirtualMachine").next().unwrap()["spec"]["template"]["metadata"]["labels"];
        for service in manifest.of_kind("Service") {
            services += 1;
            assert_eq!(&service["spec"]["selector"], labels, "{}", manifest.name);
            for port in list(&service["spec"]["ports"], "ports") {
                let target = u16::try_from(port["targetPort"].as_u64().unwrap()).unwrap();
                let forwarded = policy.nat.destination.iter().any(|rule| (rule.ports.first..=rule.ports.last).contains(&target));
                assert!(forwarded, "{}: nothing forwards port {target}", manifest.name);
                // Live migration listens there, in the VM's pod.
                assert!(![49152, 49153].contains(&target), "{}", manifest.name);
            }
        }
    }
    assert_eq!(services, 3);
}
