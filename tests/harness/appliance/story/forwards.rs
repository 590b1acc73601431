//! The short story: it boots, it is configured by a NoCloud disk, it forwards by tc and by XDP, and it is closed.

use anyhow::{Result, ensure};
use serde_json::json;

use super::scene::{RDP, Scene, network_config};
use super::{Teller, crowd, logins};
use crate::appliance::Disk;
use crate::appliance::disks::user_data;

/// The users' policy.
pub const POLICY: &str = include_str!("../../../policies/seed.toml");

/// The users' policy, by another datapath than the gateway would choose.
pub fn policy_by(mode: &str) -> String {
    format!("{POLICY}\n[datapath]\nmode = \"{mode}\"\n")
}

/// A configuration disk with this policy.
pub fn seed_with(policy: &str) -> Disk {
    Disk::nocloud(user_data(policy), &network_config())
}

/// The configuration disk of the beginning.
pub fn seed() -> Disk {
    seed_with(&policy_by("tc"))
}

pub fn tell(teller: &mut Teller<'_>) -> Result<()> {
    teller.check("the guest agent answers, as a probe would ask", |scene| scene.agent_answers())?;
    teller.check("the pod leg has its address by DHCP, MAC matched", |scene| scene.has_addresses())?;
    teller.check("nothing was wrong with the configuration", |scene| {
        let report = scene.provisioned()?;
        ensure!(report["problems"] == json!([]) && report["policy"] == "given", "{report}");
        Ok(report["sources"][0].as_str().unwrap_or_default().to_owned())
    })?;
    teller.check("by tc: it forwards", |scene| scene.forwards_by("tcx"))?;
    teller.check("by tc: an overlay VM pings the pod network", |scene| scene.ping())?;
    teller.check("by tc: and reaches servers there, masqueraded", |scene| scene.out())?;
    teller.check("by tc: on-prem reaches its RDP by the port forward", |scene| scene.forwarded(RDP))?;
    teller.check("by tc: a client that no rule names does not", |scene| scene.refused())?;
    teller.check("by tc: every packet becomes the kernel's own", |scene| {
        let (packets, met) = met_by_kernel(scene)?;
        ensure!(met >= packets, "of {packets} packets the kernel met {met}: it does not count what it should");
        Ok(format!("{met} for {packets}"))
    })?;
    teller.check("the policy asks for XDP: it follows", |scene| {
        scene.vm.rewrite(&seed_with(&policy_by("xdp")))?;
        scene.reread()?;
        scene.forwards_by("native xdp + tcx")
    })?;
    teller.check("by XDP: an overlay VM pings the pod network", |scene| scene.ping())?;
    teller.check("by XDP: and reaches servers there, masqueraded", |scene| scene.out())?;
    teller.check("by XDP: on-prem reaches its RDP by the port forward", |scene| scene.forwarded(RDP))?;
    teller.check("by XDP: a client that no rule names does not", |scene| scene.refused())?;
    teller.check("by XDP: established flows are carried in the driver", |scene| {
        let (packets, met) = met_by_kernel(scene)?;
        // A flow's first packets are tc's, and so are a few until both next hops are known.
        ensure!(met <= packets / 4, "of {packets} packets the kernel met {met}: XDP left them to tc");
        Ok(format!("{packets} packets, of which the kernel met {met}"))
    })?;
    teller.check("the root is read-only below a layer in memory", |scene| {
        let mounts = scene.read("cat /proc/mounts")?;
        ensure!(mounts.lines().any(|line| line.starts_with("root / overlay ")), "{mounts}");
        Ok("overlay".to_owned())
    })?;
    teller.check("nobody can log in: no key and no password given", |scene| {
        let shadow = scene.read("grep ^root: /etc/shadow; ls /root/.ssh 2>/dev/null || true")?;
        ensure!(shadow.starts_with("root:*:") && shadow.lines().count() == 1, "{shadow}");
        Ok("root:*".to_owned())
    })?;
    teller.check("and nobody does, on the serial console", logins::closed)?;
    teller.check("and no unit failed", |scene| {
        let failed = scene.read("systemctl list-units --failed --plain --no-legend")?;
        ensure!(failed.trim().is_empty(), "{failed}");
        let free = scene.read("grep MemAvailable /proc/meminfo")?;
        Ok(free.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

/// Drives established flows through the machine, and gives their packets, and how many of all packets meanwhile its kernel met: what XDP
/// redirects in the driver never becomes an skb, which is what the first column of softnet_stat counts (`__netif_receive_skb_core`).
fn met_by_kernel(scene: &Scene<'_>) -> Result<(u64, u64)> {
    let met = || -> Result<u64> {
        let table = scene.read("cat /proc/net/softnet_stat")?;
        // A line per processor, in hexadecimal.
        table.lines().map(|line| Ok(u64::from_str_radix(line.split(' ').next().unwrap_or_default(), 16)?)).sum()
    };
    let _servers = crowd::Servers::start(&scene.lab.pods)?;
    let before = met()?;
    let packets = crowd::converse(scene.lab, 50)?;
    Ok((packets, met()? - before))
}
