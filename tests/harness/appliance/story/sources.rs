//! Other ways to configure a machine: ConfigDrive with a ConfigMap and a Secret beside it, and the kernel's command line alone.

use anyhow::{Result, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use super::forwards::POLICY;
use super::logins::HASH;
use super::scene::{RDP, network_config};
use super::{Teller, logins};
use crate::appliance::Disk;
use crate::appliance::disks::{Content, Medium};
use crate::lab::GATEWAY_PODS;

/// Where the ConfigMap's policy has the port forward.
const OTHER: u16 = 33891;
/// A key of nobody.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6kpsY1eWrBmBgbxTNcw8pNoChDo8L8Q4E0dVk1pB3x nobody";
/// A policy that fits into a command line.
const SMALL: &str = r#"version = 1
[interfaces.eth1]
addresses = ["10.227.128.15/21"]
mtu = 1400
[zones]
pods = ["eth0"]
overlay = ["eth1"]
[[nat.source]]
name = "masquerade"
from = "overlay"
to = "pods"
translate = "masquerade"
[firewall]
default = "drop"
[[firewall.rules]]
name = "out"
from = "overlay"
to = "pods"
action = "accept"
"#;

/// A drive with a policy in a file, a ConfigMap with another one and the label that KubeVirt gives to each, and a Secret with a label of its own.
pub fn disks() -> Vec<Disk> {
    let indented: String = POLICY.lines().map(|line| format!("      {line}\n")).collect();
    let user_data =
        format!("#cloud-config\nhostname: driven\nwrite_files:\n  - path: /etc/gateway/policy.toml\n    content: |\n{indented}");
    let secret =
        Medium { label: "gateway-secret", files: vec![("password-hash", HASH.to_owned()), ("authorized_keys", format!("{KEY}\n"))] };
    vec![
        Disk::config_drive(user_data, &network_config()),
        Disk::config_map("gateway-policy", vec![("policy.toml", POLICY.replace(&RDP.to_string(), &OTHER.to_string()))]),
        Disk { name: "secret", serial: "", content: Content::Medium(secret) },
    ]
}

pub fn tell(teller: &mut Teller<'_>) -> Result<()> {
    teller.check("the guest agent answers", |scene| scene.agent_answers())?;
    teller.check("it was booted by UEFI", |scene| scene.read("ls -d /sys/firmware/efi").map(|path| path.trim().to_owned()))?;
    teller.check("all three sources were found and nothing is wrong", |scene| {
        let report = scene.provisioned()?;
        let sources: Vec<&str> = report["sources"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let kinds: Vec<&str> = sources.iter().filter_map(|source| source.split(' ').next()).collect();
        ensure!(kinds == ["policy", "policy", "ConfigDrive"] && report["problems"] == json!([]), "{report}");
        Ok(kinds.join(", "))
    })?;
    teller.check("the drive names the host", |scene| {
        let name = scene.read("cat /proc/sys/kernel/hostname")?;
        ensure!(name.trim() == "driven", "{name}");
        Ok(name.trim().to_owned())
    })?;
    teller.check("its network-config holds: DHCP on the pod leg", |scene| scene.has_addresses())?;
    teller.check("the ConfigMap's policy outranks the drive's", |scene| {
        scene.forwards_by("tcx")?;
        scene.forwarded(OTHER)
    })?;
    teller.check("an overlay VM reaches servers, masqueraded", |scene| scene.out())?;
    teller.check("the Secret opens the console and ssh, by its key", |scene| {
        let shadow = scene.read("grep ^root: /etc/shadow; cat /root/.ssh/authorized_keys")?;
        ensure!(shadow.contains(HASH) && shadow.contains(KEY), "{shadow}");
        let ssh = format!("TCP:{GATEWAY_PODS}:22,connect-timeout=15");
        let banner = scene.lab.pods.run("sh", &["-c", &format!("socat -u -T15 {ssh} - | head -n1")])?;
        ensure!(banner.starts_with("SSH-2.0-"), "{banner}");
        Ok(banner.trim().to_owned())
    })?;
    teller.check("its password opens the console, and a wrong one does not", logins::by_password)
}

/// The words for the kernel.
pub fn command_line() -> String {
    format!("gateway.hostname=last-resort gateway.policy={}", base64::engine::general_purpose::STANDARD.encode(SMALL))
}

pub fn tell_last_resort(teller: &mut Teller<'_>) -> Result<()> {
    teller.check("the guest agent answers", |scene| scene.agent_answers())?;
    teller.check("the command line was read, and nothing else is there", |scene| {
        let report = scene.provisioned()?;
        ensure!(report["sources"] == json!(["kernel command line"]) && report["problems"] == json!([]), "{report}");
        ensure!(scene.read("cat /proc/sys/kernel/hostname")?.trim() == "last-resort", "the host has another name");
        Ok("kernel command line".to_owned())
    })?;
    teller.check("the first NIC asks for its address by DHCP, unasked", |scene| scene.has_addresses())?;
    teller.check("an overlay VM pings the pod network", |scene| scene.ping())?;
    teller.check("and reaches servers there, masqueraded", |scene| scene.out())
}
