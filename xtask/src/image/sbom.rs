//! What is inside, as a CycloneDX 1.6 document: Debian's packages from the root's own records, the boot loaders' from the workshop's, and the
//! crates that the daemon and the BPF object in it are built of.
//!
//! Written out by hand: the document is one list, and the library for the format would double what this program compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::program::Program;
use super::recipe::{Recipe, SUITE};
use crate::shell::cargo;

/// What is compiled into the program, and for which target: the daemon, and the BPF object that it carries.
const BUILT: [(&str, &str); 2] = [("gateway-daemon", "x86_64-unknown-linux-gnu"), ("gateway-ebpf", "bpfel-unknown-none")];

/// Files of the workshop that end up on the disk, outside the root: the loaders for both firmwares.
const LOADERS: [&str; 2] = ["/usr/lib/grub/i386-pc/kernel.img", "/usr/lib/grub/x86_64-efi/kernel.img"];

/// Writes the document.
///
/// # Errors
/// When dpkg's records or cargo's answer cannot be read, or lack what must be inside.
pub fn write(to: &Path, recipe: &Recipe, tree: &Path, builder: &Path, program: &Program) -> Result<()> {
    let mut components = debian(&records(tree)?);
    ensure!(!components.is_empty(), "the root's records name no package");
    components.extend(loaders(builder)?);
    for (package, target) in BUILT {
        components.extend(crates(&cargo_metadata(target)?, package)?);
    }
    // What both programs are built of is inside once.
    let mut seen = BTreeSet::new();
    components.retain(|component| seen.insert(component["purl"].to_string()));
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

/// What dpkg knows of the packages in a root.
fn records(root: &Path) -> Result<String> {
    let status = root.join("var/lib/dpkg/status");
    std::fs::read_to_string(&status).with_context(|| format!("cannot read {}", status.display()))
}

/// The workshop's packages that [`LOADERS`] come from.
fn loaders(builder: &Path) -> Result<Vec<Value>> {
    let installed = debian(&records(builder)?);
    let mut found = Vec::new();
    for file in LOADERS {
        let owner = owner(builder, file)?.with_context(|| format!("no package of the workshop has {file}, which is on the disk"))?;
        let package = installed.iter().find(|component| component["name"] == *owner);
        found.push(package.with_context(|| format!("the workshop's records do not name {owner}"))?.clone());
    }
    Ok(found)
}

/// The name of the package that a file of the root belongs to.
fn owner(root: &Path, file: &str) -> Result<Option<String>> {
    let info = root.join("var/lib/dpkg/info");
    for entry in std::fs::read_dir(&info).with_context(|| format!("cannot list {}", info.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".list") else { continue };
        let list = std::fs::read_to_string(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
        if list.lines().any(|line| line == file) {
            // Of several architectures' packages the architecture stands behind the name.
            return Ok(package.split(':').next().map(str::to_owned));
        }
    }
    Ok(None)
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

/// The crates that a package's programs are built of, tests left out.
fn crates(metadata: &Value, program: &str) -> Result<Vec<Value>> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let start = packages.iter().find(|(_, package)| package["name"] == program).with_context(|| format!("cargo knows no {program}"))?;
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

fn cargo_metadata(target: &str) -> Result<Value> {
    let output = cargo()
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target])
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
        let found = crates(&metadata, "gateway-daemon").unwrap();
        assert_eq!(names(&found), ["aya", "gateway-daemon"]);
        assert_eq!(found[0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }

    #[test]
    fn the_crates_of_the_daemon_and_of_its_bpf_object_are_named() {
        let mut all = Vec::new();
        for (package, target) in BUILT {
            all.extend(crates(&cargo_metadata(target).unwrap(), package).unwrap());
        }
        let names = names(&all);
        for wanted in ["gateway-daemon", "gateway-ebpf", "aya", "aya-ebpf", "aya-ebpf-bindings", "tokio", "rustix"] {
            assert!(names.contains(&wanted), "{wanted} is compiled in, and is not named");
        }
        for other in ["xtask", "gateway-tests", "proptest"] {
            assert!(!names.contains(&other), "{other} is not inside");
        }
    }

    /// A workshop with these packages, each with one file of its own.
    fn workshop(packages: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let dpkg = root.path().join("var/lib/dpkg");
        std::fs::create_dir_all(dpkg.join("info")).unwrap();
        let mut status = String::new();
        for (package, file) in packages {
            let name = package.split(':').next().unwrap_or_default();
            status += &format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nSource: grub2\nVersion: 2.12-9\n\n");
            std::fs::write(dpkg.join(format!("info/{package}.list")), format!("/.\n{file}\n")).unwrap();
        }
        std::fs::write(dpkg.join("status"), status).unwrap();
        root
    }

    #[test]
    fn the_loaders_on_the_disk_are_named_and_the_workshops_other_tools_are_not() {
        let [bios, efi] = LOADERS;
        let root = workshop(&[("grub-pc-bin", bios), ("grub-efi-amd64-bin:amd64", efi), ("xorriso", "/usr/bin/xorriso")]);
        let found = loaders(root.path()).unwrap();
        assert_eq!(names(&found), ["grub-pc-bin", "grub-efi-amd64-bin"]);
        assert_eq!(found[0]["purl"], "pkg:deb/debian/grub-pc-bin@2.12-9?arch=amd64&distro=trixie");
        let error = loaders(workshop(&[("grub-pc-bin", bios)]).path()).unwrap_err().to_string();
        assert!(error.contains(efi), "{error}");
    }

    fn names(components: &[Value]) -> Vec<&str> {
        components.iter().filter_map(|component| component["name"].as_str()).collect()
    }
}
