//! The platforms' published schemas.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use gateway_tests::skip::skip;
use jsonschema::Draft;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::documents::{Manifest, all, topologies};

/// Names the directory of the schemas.
const DIRECTORY: &str = "GATEWAY_SCHEMAS";
/// Where they are looked for otherwise, from the workspace's root.
const BESIDE: &str = "../shared/schemas";

/// The directory; records the skip of `test` where there is none.
pub fn directory(test: &str) -> Option<PathBuf> {
    let directory = find(std::env::var_os(DIRECTORY), &Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    if directory.is_none() {
        skip(test, &format!("no schemas of the platforms: {BESIDE} is not there, and {DIRECTORY} names no directory"));
    }
    directory
}

/// The named directory, whether it is there or not: who names one wants to hear of a mistake. Else the one beside the workspace.
fn find(named: Option<OsString>, workspace: &Path) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(|| Some(workspace.join(BESIDE)).filter(|beside| beside.is_dir()))
}

/// What is wrong with a document; nothing when all is well.
pub fn complaints(schemas: &Path, document: &Value) -> Vec<String> {
    let kind = document["kind"].as_str().unwrap_or_default();
    match (document["apiVersion"].as_str().unwrap_or_default(), kind) {
        ("kubevirt.io/v1", "VirtualMachine") => {
            let text = fs::read_to_string(schemas.join("kubevirt-virtualmachine.schema.json")).unwrap();
            by_schema(serde_json::from_str(&text).unwrap(), document)
        }
        ("k8s.ovn.org/v1", "ClusterUserDefinedNetwork") => {
            by_schema(custom_resource(&schemas.join("ovn-kubernetes-clusteruserdefinednetworks.crd.yaml"), kind), document)
        }
        ("kubeovn.io/v1", "Vpc" | "Subnet") => by_schema(custom_resource(&schemas.join("kube-ovn-subnet-vpc.crd.yaml"), kind), document),
        ("v1", "ConfigMap") => by_type::<ConfigMap>(document),
        ("v1", "Service") => by_type::<Service>(document),
        ("v1", "Namespace") => by_type::<Namespace>(document),
        ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition") => by_cni(document),
        (version, kind) => vec![format!("nobody knows {version} {kind}")],
    }
}

/// The schema of a kind in a file of CustomResourceDefinitions, in the version that the manifests use.
fn custom_resource(file: &Path, kind: &str) -> Value {
    let definitions = Manifest::new(&file.display().to_string(), fs::read_to_string(file).unwrap()).documents;
    let definition = definitions.iter().find(|definition| definition["spec"]["names"]["kind"] == kind).unwrap();
    let versions = definition["spec"]["versions"].as_array().unwrap();
    versions.iter().find(|version| version["name"] == "v1").unwrap()["schema"]["openAPIV3Schema"].clone()
}

fn by_schema(mut schema: Value, document: &Value) -> Vec<String> {
    close(&mut schema);
    let validator = jsonschema::options().with_draft(Draft::Draft7).build(&schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// An API server drops or refuses keys that it does not know; a schema alone lets them pass.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let open = members.contains_key("additionalProperties") || members.contains_key("x-kubernetes-preserve-unknown-fields");
            if members.get("properties").is_some_and(Value::is_object) && members.get("type") == Some(&json!("object")) && !open {
                members.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(elements) => elements.iter_mut().for_each(close),
        _ => {}
    }
}

/// What the type does not know is missing when it is written again.
fn by_type<T: DeserializeOwned + Serialize>(document: &Value) -> Vec<String> {
    match serde_json::from_value::<T>(document.clone()) {
        Ok(read) if serde_json::to_value(&read).unwrap() == *document => Vec::new(),
        Ok(read) => vec![format!("only this is understood: {}", serde_json::to_value(&read).unwrap())],
        Err(error) => vec![error.to_string()],
    }
}

/// The kind has no schema worth the name: its configuration is a text.
fn by_cni(document: &Value) -> Vec<String> {
    let text = document["spec"]["config"].as_str().unwrap_or_default();
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(config) => ["cniVersion", "name", "type"]
            .iter()
            .filter(|key| !config.get(**key).is_some_and(Value::is_string))
            .map(|key| format!("the CNI configuration has no {key}"))
            .collect(),
        Err(error) => vec![format!("the CNI configuration is no JSON object: {error}")],
    }
}

#[test]
fn schemas_are_found_beside_the_project_or_where_they_are_said_to_be() {
    let home = tempfile::tempdir().unwrap();
    let (workspace, beside) = (home.path().join("project"), home.path().join("shared/schemas"));
    fs::create_dir(&workspace).unwrap();
    assert_eq!(find(None, &workspace), None);
    fs::create_dir_all(&beside).unwrap();
    let found = find(None, &workspace).unwrap();
    assert_eq!(found.canonicalize().unwrap(), beside.canonicalize().unwrap());
    assert_eq!(find(Some("elsewhere".into()), &workspace), Some("elsewhere".into()));
}

#[test]
fn every_manifest_is_what_the_platforms_accept() {
    let Some(schemas) = directory("schemas::every_manifest_is_what_the_platforms_accept") else { return };
    for manifest in all() {
        for document in &manifest.documents {
            let complaints = complaints(&schemas, document);
            assert!(complaints.is_empty(), "{} {}:\n{}", manifest.name, document["kind"], complaints.join("\n"));
        }
    }
}

#[test]
fn planted_errors_are_found() {
    let Some(schemas) = directory("schemas::planted_errors_are_found") else { return };
    let [masquerade, kube_ovn] = ["a-masquerade.yaml", "f-kube-ovn.yaml"].map(|name| {
        let found = topologies().into_iter().find(|manifest| manifest.name == name);
        found.unwrap().text
    });
    for (text, right, wrong) in [
        (&masquerade, "networkInterfaceMultiqueue:", "networkInterfaceMultiQueue:"),
        (&masquerade, "masquerade: {}", "masquerade: true"),
        (&masquerade, "networkName: overlay", "network: overlay"),
        (&masquerade, "cores: 2", "cores: two"),
        (&masquerade, "mode: Disabled", "mode: disabled"),
        (&masquerade, "topology: Layer2", "topology: layer2"),
        (&masquerade, "mtu: 1400", "MTU: 1400"),
        (&masquerade, "externalTrafficPolicy:", "trafficPolicy:"),
        (&masquerade, "targetPort: 33890", "targetPort: [33890]"),
        (&kube_ovn, "nextHopIP:", "nextHop:"),
        (&kube_ovn, "cidrBlock:", "cidr:"),
        (&kube_ovn, "\"type\": \"kube-ovn\",", ""),
    ] {
        assert!(text.contains(right), "{right}");
        let planted = Manifest::new("planted", text.replace(right, wrong));
        let found: Vec<String> = planted.documents.iter().flat_map(|document| complaints(&schemas, document)).collect();
        assert!(!found.is_empty(), "`{wrong}` passes");
    }
}
