//! What is inside, as a CycloneDX 1.6 document: Debian's packages from the root's own records, and the crates that the daemon is built of.
//!
//! Written out by hand: the document is one list, and the library for the format would double what this program compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::program::Program;
use super::recipe::{Recipe, SUITE};
use crate::shell::cargo;

/// Writes the document.
///
/// # Errors
/// When dpkg's records or cargo's answer cannot be read.
pub fn write(to: &Path, recipe: &Recipe, tree: &Path, program: &Program) -> Result<()> {
    let status = tree.join("var/lib/dpkg/status");
    let status = std::fs::read_to_string(&status).with_context(|| format!("cannot read {}", status.display()))?;
    let mut components = debian(&status);
    ensure!(!components.is_empty(), "the root's records name no package");
    components.extend(crates(&cargo_metadata()?)?);
    let version = env!("CARGO_PKG_VERSION");
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": timestamp(recipe.epoch())?,
            "component": {
                "type": "operating-system",
                "name": "gateway",
                "version": version,
                "bom-ref": "image",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "components": [{
                    "type": "application",
                    "name": "/usr/bin/gateway",
                    "version": version,
                    "hashes": [{ "alg": "SHA-256", "content": program.digest.hex() }],
                }],
            },
        },
        "components": components,
    });
    let text = serde_json::to_string_pretty(&document)? + "\n";
    std::fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

/// Debian's packages: those that dpkg has as installed.
fn debian(status: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for stanza in status.split("\n\n") {
        let fields: BTreeMap<&str, &str> = stanza.lines().filter_map(|line| line.split_once(": ")).collect();
        let (Some(name), Some(version)) = (fields.get("Package"), fields.get("Version")) else { continue };
        if fields.get("Status").is_none_or(|status| !status.ends_with(" installed")) {
            continue;
        }
        let architecture = fields.get("Architecture").copied().unwrap_or("all");
        // The source package's own version, where it differs, stands in parentheses behind its name.
        let source = fields.get("Source").map_or(*name, |source| source.split(' ').next().unwrap_or(source));
        found.push(component(
            name,
            version,
            &format!("pkg:deb/debian/{name}@{}?arch={architecture}&distro={SUITE}", escaped(version)),
            json!({ "properties": [{ "name": "debian:source", "value": source }] }),
        ));
    }
    found
}

/// The crates that the gateway's program is built of, tests and this program left out.
fn crates(metadata: &Value) -> Result<Vec<Value>> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let start = packages.iter().find(|(_, package)| package["name"] == "gateway-daemon").context("cargo knows no gateway-daemon")?;
    let (mut wanted, mut seen) = (vec![*start.0], BTreeSet::new());
    while let Some(id) = wanted.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in list(&nodes.get(id).copied().unwrap_or(&Value::Null)["deps"]) {
            let is_test = |kind: &Value| kind["kind"] == "dev";
            if !list(&dependency["dep_kinds"]).iter().all(is_test) {
                wanted.extend(dependency["pkg"].as_str());
            }
        }
    }
    let mut found = Vec::new();
    for id in seen {
        let package = packages.get(id).with_context(|| format!("cargo tells nothing about {id}"))?;
        let (name, version) = (package["name"].as_str().unwrap_or_default(), package["version"].as_str().unwrap_or_default());
        let licence =
            package["license"].as_str().map(|expression| json!({ "licenses": [{ "expression": expression.replace('/', " OR ") }] }));
        found.push(component(name, version, &format!("pkg:cargo/{name}@{}", escaped(version)), licence.unwrap_or(json!({}))));
    }
    Ok(found)
}

fn component(name: &str, version: &str, purl: &str, more: Value) -> Value {
    let mut component = json!({ "type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl });
    if let (Some(component), Value::Object(more)) = (component.as_object_mut(), more) {
        component.extend(more);
    }
    component
}

fn cargo_metadata() -> Result<Value> {
    let output = cargo()
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata answered no JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A version within a package URL: `+` and `:` mean something else there.
fn escaped(version: &str) -> String {
    version.replace('%', "%25").replace('+', "%2B").replace(':', "%3A")
}

/// RFC 3339, as the format wants it.
fn timestamp(epoch: u64) -> Result<String> {
    crate::shell::answer("date", &["-u", "-d", &format!("@{epoch}"), "+%FT%TZ"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_listed_and_removed_ones_are_not() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.41-12+deb13u1\n\n\
                      Package: perl-base\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 5.40\n";
        let found = debian(status);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["purl"], "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=trixie");
        assert_eq!(found[0]["properties"][0]["value"], "glibc");
    }

    #[test]
    fn what_only_tests_use_is_not_inside() {
        let node = |id: &str, deps: Value| json!({ "id": id, "deps": deps });
        let package = |id: &str, name: &str| json!({ "id": id, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0" });
        let metadata = json!({
            "packages": [package("d", "gateway-daemon"), package("a", "aya"), package("p", "proptest")],
            "resolve": { "nodes": [
                node("d", json!([
                    { "pkg": "a", "dep_kinds": [{ "kind": null }] },
                    { "pkg": "p", "dep_kinds": [{ "kind": "dev" }] },
                ])),
                node("a", json!([])),
                node("p", json!([])),
            ] },
        });
        let found = crates(&metadata).unwrap();
        let names: Vec<&str> = found.iter().filter_map(|component| component["name"].as_str()).collect();
        assert_eq!(names, ["aya", "gateway-daemon"]);
        assert_eq!(found[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
