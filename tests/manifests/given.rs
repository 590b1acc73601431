//! What the manifests give the machine, read by the appliance's own reader: user data, network data and the ConfigMap.

use std::fs;
use std::path::Path;

use gateway_daemon::provision::{self, Options, PolicyState, Report};
use serde_json::Value;
use tempfile::TempDir;

use crate::documents::{Manifest, machine, topologies};

/// A machine's root, after it was started with what the manifest gives.
struct Started {
    root: TempDir,
    report: Report,
}

impl Started {
    fn with(manifest: &Manifest) -> Self {
        let (root, sources) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // What the image has there: DHCP on the first leg, until somebody describes the network.
        let networks = root.path().join("etc/systemd/network");
        fs::create_dir_all(&networks).unwrap();
        fs::write(networks.join("80-pods.network"), include_str!("../../containerdisk/rootfs/etc/systemd/network/80-pods.network"))
            .unwrap();
        let (policy, cloud) = (sources.path().join("policy"), sources.path().join("cidata"));
        let volumes = machine(manifest)["volumes"].as_array().unwrap();
        let given = volumes.iter().map(|volume| &volume["cloudInitNoCloud"]).find(|given| given.is_object()).unwrap();
        write(&policy, "policy.toml", manifest.of_kind("ConfigMap").next().map(|map| &map["data"]["policy.toml"]));
        write(&cloud, "user-data", Some(&given["userData"]));
        write(&cloud, "network-config", given.get("networkData"));
        let report = provision::run(&Options { root: root.path().to_owned(), sources: vec![policy, cloud] });
        Self { root, report }
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.path().join(path)).ok()
    }

    /// networkd's files, one text after the other.
    fn networks(&self) -> String {
        let listed = fs::read_dir(self.root.path().join("etc/systemd/network")).unwrap();
        listed.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

fn write(directory: &Path, name: &str, text: Option<&Value>) {
    fs::create_dir_all(directory).unwrap();
    if let Some(text) = text {
        fs::write(directory.join(name), text.as_str().unwrap()).unwrap();
    }
}

fn topology(name: &str) -> Manifest {
    topologies().into_iter().find(|manifest| manifest.name == name).unwrap()
}

#[test]
fn the_appliance_understands_all_that_it_is_given() {
    for manifest in topologies() {
        let started = Started::with(&manifest);
        assert_eq!(started.report.problems, [""; 0], "{}", manifest.name);
        assert_eq!(started.report.policy, PolicyState::Given, "{}", manifest.name);
        assert_eq!(started.text("etc/hostname").as_deref(), Some("gateway\n"), "{}", manifest.name);
    }
}

#[test]
fn a_leg_on_the_pod_network_asks_by_dhcp_and_one_in_the_data_centre_does_not() {
    for manifest in topologies() {
        let networks = Started::with(&manifest).networks();
        let pod = machine(&manifest)["networks"].as_array().unwrap().iter().any(|network| network.get("pod").is_some());
        assert_eq!(networks.contains("DHCP=yes"), pod, "{}:\n{networks}", manifest.name);
        assert_eq!(networks.contains("DHCP=no"), !pod, "{}:\n{networks}", manifest.name);
    }
}

#[test]
fn where_nobody_serves_dhcp_names_and_time_are_given_and_the_link_is_found_by_its_mac() {
    let manifest = topology("d-localnet.yaml");
    let started = Started::with(&manifest);
    let networks = started.networks();
    let mac = machine(&manifest)["domain"]["devices"]["interfaces"][0]["macAddress"].as_str().unwrap();
    assert!(networks.contains(&format!("MACAddress={mac}\n")), "{networks}");
    assert!(networks.contains("DNS="), "{networks}");
    // The address and the default route are the policy's.
    assert!(!networks.contains("Address=192"), "{networks}");
    let time = started.text("etc/systemd/timesyncd.conf.d/site.conf").unwrap();
    assert!(time.starts_with("[Time]\nNTP="), "{time}");
}

#[test]
fn a_mistake_in_the_data_is_found() {
    let manifest = topology("d-localnet.yaml");
    for (right, wrong) in [("macaddress: 02:00", "macaddress: 2:00"), ("nameservers:", "nameserver:"), ("write_files:", "writefiles:")] {
        assert!(manifest.text.contains(right), "{right}");
        let report = Started::with(&Manifest::new("planted", manifest.text.replace(right, wrong))).report;
        assert!(!report.problems.is_empty(), "`{wrong}` passes");
    }
}
