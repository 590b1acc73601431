//! The commands by which README.md gets a changed policy into a running VM: they run against a stand-in for kubectl, which keeps what it was
//! asked and answers as a cluster with the manifests would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use serde_json::Value;

use crate::documents::topologies;

/// Answers from files beside itself; what `exec` hands to the VM's pod is kept there.
const KUBECTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/asked"
case "$*" in
    "get pod "*) echo pod/virt-launcher-gateway-abcde ;;
    "get configmap -n gateway gateway-policy -o jsonpath={.data.policy\.toml}") cat "$here/policy.toml" ;;
    "exec -n gateway pod/virt-launcher-gateway-abcde -c compute -- virsh -c qemu+unix:///session?socket=/var/run/libvirt/virtqemud-sock "*)
        for last; do :; done
        printf %s "$last" >"$here/agent" ;;
    *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"#;
/// Keeps what it is asked to do, and what it reads.
const SSH: &str = "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf %s \"$2\" >\"$here/line\"\ncat >\"$here/read\"\n";

/// The shell blocks of the section.
fn blocks() -> Vec<String> {
    let text = include_str!("../../containerdisk/manifests/README.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Changing the policy\n")).expect("no such section");
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a block with the stand-ins in `directory` before everything else.
fn run(block: &str, directory: &Path) {
    for (name, text) in [("kubectl", KUBECTL), ("ssh", SSH)] {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-euc", block]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What the machine is told to do: nothing is put in place that has not been checked.
fn checks_before_it_replaces(line: &str) {
    let steps: Vec<&str> = line.split(" && ").collect();
    let place = |wanted: &str| steps.iter().position(|step| step.starts_with(wanted)).unwrap_or_else(|| panic!("no `{wanted}` in {line}"));
    assert!(place("cat >") < place("gateway check") && place("gateway check") < place("cp "), "{line}");
    assert_eq!(place("gateway reload"), steps.len() - 1, "{line}");
    assert!(line.contains(" /etc/gateway/ "), "{line}");
}

#[test]
fn a_changed_policy_gets_into_a_running_vm_by_kubectl_alone() {
    let [first, second, _] = blocks().try_into().unwrap();
    let home = tempfile::tempdir().unwrap();
    let manifest = topologies().remove(0);
    let policy = manifest.of_kind("ConfigMap").next().unwrap()["data"]["policy.toml"].as_str().unwrap().to_owned();
    fs::write(home.path().join("policy.toml"), &policy).unwrap();
    run(&first, home.path());
    let told: Value = serde_json::from_str(&fs::read_to_string(home.path().join("agent")).unwrap()).unwrap();
    assert_eq!(told["execute"], "guest-exec");
    let arguments = &told["arguments"];
    let read = base64::engine::general_purpose::STANDARD.decode(arguments["input-data"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), policy);
    assert_eq!((&arguments["path"], &arguments["arg"][0]), (&"/bin/sh".into(), &"-c".into()));
    checks_before_it_replaces(arguments["arg"][1].as_str().unwrap());
    // In the same shell.
    run(&(first + &second), home.path());
    let told: Value = serde_json::from_str(&fs::read_to_string(home.path().join("agent")).unwrap()).unwrap();
    assert_eq!(told["execute"], "guest-exec-status");
}

#[test]
fn a_changed_policy_gets_into_a_running_vm_by_ssh() {
    let [.., last] = <[String; 3]>::try_from(blocks()).unwrap();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("policy.toml"), "version = 1\n").unwrap();
    run(&last, home.path());
    assert_eq!(fs::read_to_string(home.path().join("read")).unwrap(), "version = 1\n");
    checks_before_it_replaces(&fs::read_to_string(home.path().join("line")).unwrap());
}

#[test]
fn the_commands_name_what_the_manifests_do() {
    let commands = blocks().concat();
    for manifest in topologies() {
        let machine = manifest.of_kind("VirtualMachine").next().unwrap();
        let [name, namespace] = ["name", "namespace"].map(|key| machine["metadata"][key].as_str().unwrap());
        // So KubeVirt calls the domain.
        assert!(commands.contains(&format!(" {namespace}_{name} ")), "{}", manifest.name);
        let label = machine["spec"]["template"]["metadata"]["labels"]["app"].as_str().unwrap();
        assert!(commands.contains(&format!("-n {namespace} -l app={label} ")), "{}", manifest.name);
        let map = &manifest.of_kind("ConfigMap").next().unwrap()["metadata"]["name"];
        assert!(commands.contains(&format!("get configmap -n {namespace} {} ", map.as_str().unwrap())), "{}", manifest.name);
        assert!(manifest.text.contains("README.md, \"Changing\n# the policy\""), "{} does not say how a change gets in", manifest.name);
    }
}
