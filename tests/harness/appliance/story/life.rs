//! The long story: what may happen to a machine that runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::forwards::{POLICY, policy_by, seed_with};
use super::scene::{ECHO, RDP, SOON, Scene, announcement, network_config, wait_quiet, watch};
use super::{BOOT, READY, Teller, crowd, logins};
use crate::appliance::Disk;
use crate::appliance::cables::LEGS;
use crate::lab::SERVER;
use crate::wait_until;

/// Other ports of the port forward, to tell policies apart.
const MOVED: u16 = 33891;
const PLUGGED: u16 = 33892;
/// What the README promises a machine of 256 MiB.
const FLOWS: usize = 100_000;
/// To open them, under emulation.
const CROWD: Duration = Duration::from_secs(900);
/// MiB that must be left then: what a restart of the daemon takes for a while, with the old tables still there.
const AVAILABLE: u64 = 24;
/// The gateway's addresses on the pod side and on the overlay, as tcpdump takes them.
const PODS: &str = "0x0a80000f";
const OVERLAY: &str = "0x0ae3800f";

fn moved_to(port: u16) -> String {
    POLICY.replace(&RDP.to_string(), &port.to_string())
}

pub fn tell(teller: &mut Teller<'_>) -> Result<()> {
    teller.check("the doctor knows where it is and finds no fault", doctor)?;
    teller.check("a disk that changes while it is read is read once more", changed_meanwhile)?;
    teller.check("a changed configuration disk is read again", |scene| {
        scene.vm.rewrite(&seed_with(&moved_to(MOVED)))?;
        scene.reread()?;
        scene.forwarded(MOVED)
    })?;
    teller.check("a policy with errors leaves the last good one", broken_policy)?;
    teller.check("nftables in place of the programs", |scene| {
        scene.vm.rewrite(&seed_with(&policy_by("nftables")))?;
        scene.reread()?;
        let seen = scene.forwards_by("forward and nat hooks")?;
        scene.ping()?;
        scene.out()?;
        scene.forwarded(RDP)?;
        Ok(seen)
    })?;
    teller.check("and back", |scene| {
        scene.vm.rewrite(&seed_with(POLICY))?;
        scene.reread()?;
        scene.forwards_by("tcx")
    })?;
    teller.check("nobody asked for a datapath: tc on virtio, and why", |scene| {
        let is_auto = |one: &Value| one["datapath"] == "tc" && one["reason"].as_str().is_some_and(|why| why.starts_with("auto: on virtio"));
        let mut interfaces = Vec::new();
        wait_until(SOON, "the gateway's own choice on both", || {
            interfaces = scene.status()?["interfaces"].as_array().cloned().unwrap_or_default();
            Ok(interfaces.len() == 2 && interfaces.iter().all(is_auto))
        })
        .with_context(|| format!("last seen: {interfaces:?}"))?;
        Ok(interfaces[0]["reason"].as_str().unwrap_or_default().chars().take(56).collect())
    })?;
    teller.check("a connection outlives a restart of the daemon", restart)?;
    teller.check("the clock is set by the server that DHCP names", |scene| {
        wait_until(SOON, "the clock to be synchronised", || {
            Ok(scene.agent.run("test -e /run/systemd/timesync/synchronized")?.code == Some(0))
        })?;
        scene.read("date -u +%FT%TZ").map(|date| date.trim().to_owned())
    })?;
    teller.check("a live migration: its driver asks, it announces itself", driver_asks)?;
    teller.check("a live migration: set to time, it announces itself", moved)?;
    teller.check("a cable pulled and put back: it announces itself", |scene| {
        let watch = scene.watch_for(&scene.lab.vm1, "eth0", OVERLAY)?;
        let mut monitor = scene.vm.monitor()?;
        for up in [false, true] {
            monitor.run("set_link", &json!({ "name": "nic1", "up": up }))?;
            let carrier = format!("grep -q {} /sys/class/net/eth1/carrier", u8::from(up));
            wait_until(SOON, "the guest to see it", || Ok(scene.agent.run(&carrier)?.code == Some(0)))?;
        }
        ensure!(watch.wait(SOON)?.success(), "{}", watch.output());
        scene.ping()
    })?;
    teller.check("100,000 flows in 256 MiB", crowded)?;
    teller.check("keys and a password come and go while it runs", logins::given_and_withdrawn)?;
    teller.check("state is on its disk", |scene| {
        let mounts = scene.read("cat /proc/mounts")?;
        let line = mounts.lines().find(|line| line.contains(" /var/lib/gateway ext4 ")).with_context(|| mounts.clone())?;
        Ok(line.split(' ').take(3).collect::<Vec<_>>().join(" "))
    })?;
    teller.check("rebooted without a policy, it has its last one", reboot)?;
    teller.check("and forwards by it", |scene| {
        scene.has_addresses()?;
        scene.forwards_by("tcx")?;
        scene.ping()?;
        scene.out()?;
        scene.forwarded(RDP)
    })?;
    teller.check("a ConfigMap plugged in is in force at once", |scene| {
        let disk = Disk::config_map("gateway-policy", vec![("policy.toml", moved_to(PLUGGED))]);
        scene.vm.plug(&disk)?;
        let seen = scene.forwarded(PLUGGED)?;
        scene.vm.unplug(&disk)?;
        Ok(seen)
    })?;
    teller.check("an interface that is not there: the console says so", |scene| {
        let from = scene.vm.console().len();
        scene.vm.rewrite(&seed_with(&POLICY.replace("overlay = [\"eth1\"]", "overlay = [\"eth1\", \"eth2\"]")))?;
        scene.reread()?;
        wait_until(SOON, "the policy to name it", || Ok(scene.status()?["interfaces"].as_array().map(Vec::len) == Some(3)))?;
        scene.read("systemctl restart gateway-ready")?;
        let told = scene.vm.wait_console("nothing through eth2", from, SOON, scene.stop)?;
        ensure!(!scene.vm.console()[from..].contains(READY), "it says that it forwards: {told}");
        Ok(told.chars().take(72).collect())
    })?;
    teller.check("once it is there, the console says that it forwards", |scene| {
        let from = scene.vm.console().len();
        scene.vm.plug_nic()?;
        scene.vm.wait_console(READY, from, SOON, scene.stop)
    })?;
    teller.check("and still no unit failed", |scene| {
        let failed = scene.read("systemctl list-units --failed --plain --no-legend")?;
        ensure!(failed.trim().is_empty(), "{failed}");
        Ok(String::new())
    })
}

fn doctor(scene: &Scene<'_>) -> Result<String> {
    // Exit code 1: there are findings, which need not be faults.
    let ran = scene.agent.run("gateway doctor --json")?;
    ensure!(matches!(ran.code, Some(0 | 1)), "{:?}: {}", ran.code, ran.error);
    let report: Value = serde_json::from_str(&ran.output)?;
    ensure!(report["topology"]["letter"] == "D", "it took the lab for {}", report["topology"]);
    let findings = report["findings"].as_array().context("no findings")?;
    ensure!(findings.iter().all(|finding| finding["severity"] != "fault"), "{findings:?}");
    let checks = report["checks"].as_array().context("no checks")?;
    let good: usize = checks.iter().filter_map(|check| check["good"].as_array()).map(Vec::len).sum();
    ensure!(checks.iter().any(|check| check["check"] == "port-security" && check["good"] != json!([])), "port security was not tried");
    let ids: Vec<&str> = findings.iter().filter_map(|finding| finding["id"].as_str()).collect();
    Ok(format!("topology D, {good} good, to look at: {}", if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") }))
}

/// A reading is held on behind the disk: whoever asks for one by then asks the one that is under way.
fn changed_meanwhile(scene: &Scene<'_>) -> Result<String> {
    let held = "/run/systemd/system/gateway-reread.service.d";
    let hold = "[Service]\\nExecStartPost=/bin/sh -c 'if test -p /run/hold; then read word </run/hold; fi'\\n";
    scene.read(&format!("mkdir -p {held} && mkfifo /run/hold && printf \"{hold}\" >{held}/hold.conf && systemctl daemon-reload"))?;
    scene.read("systemctl start --no-block gateway-reread")?;
    wait_until(SOON, "the disk to be read", || Ok(scene.read("systemctl show -P SubState gateway-reread")?.trim() == "start-post"))?;
    scene.vm.rewrite(&seed_with(&moved_to(PLUGGED)))?;
    // Out of the way before the reading goes on: the next one is not held.
    scene.read("udevadm trigger --action=change --settle /dev/vdb && exec 3>/run/hold && rm /run/hold && echo >&3")?;
    let seen = scene.forwarded(PLUGGED)?;
    scene.read(&format!("rm -r {held} && systemctl daemon-reload"))?;
    Ok(seen)
}

fn broken_policy(scene: &Scene<'_>) -> Result<String> {
    let from = scene.vm.console().len();
    scene.vm.rewrite(&seed_with(&moved_to(MOVED).replace("\"masquerade\"", "\"masquerad\"")))?;
    scene.reread()?;
    let told = scene.vm.wait_console("masquerad", from, SOON, scene.stop)?;
    let status = scene.read("gateway status")?;
    ensure!(status.contains("the last good one is in force") && status.contains("masquerad"), "{status}");
    scene.forwarded(MOVED)?;
    Ok(told.split("policy:").skip(1).collect::<Vec<_>>().join("policy:").chars().take(56).collect())
}

fn restart(scene: &Scene<'_>) -> Result<String> {
    let server = SocketAddr::new(SERVER.parse()?, ECHO);
    let mut connection = scene.lab.vm1.within(|| TcpStream::connect_timeout(&server, Duration::from_secs(30)))??;
    connection.set_read_timeout(Some(SOON))?;
    let mut echo = |word: &[u8; 4]| -> Result<()> {
        connection.write_all(word)?;
        let mut back = [0; 4];
        connection.read_exact(&mut back)?;
        ensure!(&back == word, "{back:?} came back");
        Ok(())
    };
    echo(b"one\n").context("before the restart")?;
    scene.read("systemctl restart gateway")?;
    echo(b"two\n").context("after the restart")?;
    let told = scene.read("journalctl -b -u gateway -o cat --no-pager | grep 'of before the restart go on' | tail -1")?;
    Ok(told.split(';').next().unwrap_or_default().trim().chars().rev().take(56).collect::<Vec<_>>().into_iter().rev().collect())
}

/// What qemu does at the end of a migration, in one round: `VIRTIO_NET_S_ANNOUNCE` has the guest's driver call `netdev_notify_peers`. The
/// kernel then announces each address once; what comes after that is the gateway's.
fn driver_asks(scene: &Scene<'_>) -> Result<String> {
    let [_, (_, _, mac)] = LEGS;
    let advertisement = format!("ether src {mac} and ip6 dst ff02::1 and ip6[40] = 136");
    let kinds = [announcement(OVERLAY), advertisement];
    for kind in &kinds {
        // Longer than between two rounds of an earlier occasion.
        wait_quiet(&scene.lab.vm1, "eth0", Duration::from_secs(6), kind)?;
    }
    let watches = kinds.iter().map(|kind| watch(&scene.lab.vm1, "eth0", 3, kind)).collect::<Result<Vec<_>>>()?;
    scene.vm.monitor()?.run("announce-self", &json!({ "initial": 50, "max": 550, "rounds": 1, "step": 50 }))?;
    for watch in watches {
        ensure!(watch.wait(SOON)?.success(), "{}", watch.output());
    }
    Ok("eth1: 3 ARP announcements, 3 neighbour advertisements".to_owned())
}

/// What KubeVirt and libvirt do with a guest that has been moved: they set its clock through the agent.
fn moved(scene: &Scene<'_>) -> Result<String> {
    let watch = scene.watch_for(&scene.lab.pods, "pods0", PODS)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    scene.agent.ask("guest-set-time", &json!({ "time": u64::try_from(now.as_nanos())? }))?;
    ensure!(watch.wait(SOON)?.success(), "{}", watch.output());
    Ok(watch.output().lines().find(|line| line.contains("ARP")).unwrap_or_default().chars().skip(16).take(56).collect())
}

/// As many flows as the README promises. The policy lets one VM have them all, and keeps them while an emulated machine opens the others.
fn crowded(scene: &Scene<'_>) -> Result<String> {
    let policy = format!("{POLICY}\n[datapath]\nflows-per-host = 131072\n\n[timeouts]\nudp = \"1h\"\n");
    scene.vm.rewrite(&seed_with(&policy))?;
    scene.reread()?;
    scene.forwards_by("tcx")?;
    let _servers = crowd::Servers::start(&scene.lab.pods)?;
    let took = crowd::open(scene.lab, FLOWS, CROWD, scene.stop)?;
    let mut used = 0;
    wait_until(SOON, "the flows to be counted", || {
        let status = scene.status()?;
        let table = status["tables"].as_array().into_iter().flatten().find(|table| table["name"] == "flows");
        used = table.and_then(|table| table["used"].as_u64()).context("no table of flows")?;
        Ok(used >= FLOWS as u64)
    })
    .with_context(|| format!("last seen: {used}"))?;
    let number = |line: &str| -> Result<u64> { Ok(scene.read(line)?.trim().parse()?) };
    let available = number("awk '/^MemAvailable/ { print $2 }' /proc/meminfo")? / 1024;
    ensure!(available >= AVAILABLE, "only {available} MiB are available");
    ensure!(number("awk '/^oom_kill / { print $2 }' /proc/vmstat")? == 0, "the kernel killed something for want of memory");
    ensure!(number("systemctl show --value --property NRestarts gateway")? == 0, "the daemon died");
    scene.ping()?;
    scene.out()?;
    scene.forwarded(RDP)?;
    Ok(format!("{used} flows in {:.0} s, {available} MiB available", took.as_secs_f64()))
}

fn reboot(scene: &Scene<'_>) -> Result<String> {
    scene.vm.rewrite(&Disk::nocloud("#cloud-config\n".to_owned(), &network_config()))?;
    let from = scene.vm.console().len();
    scene.agent.begin("systemctl --no-block reboot")?;
    let console = scene.vm.wait_console(READY, from, BOOT, scene.stop)?;
    scene.agent_answers()?;
    let report = scene.provisioned()?;
    ensure!(report["policy"] == "last-good", "{report}");
    Ok(console)
}
