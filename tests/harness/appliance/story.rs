//! What the appliance is for, from the firmware to a closed port forward, as a list of checks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::cables::LEGS;
use super::{Agent, Firmware, Image, Seed, Vm};
use crate::lab::{GATEWAY_PODS, ONPREM, SERVER, VM1};
use crate::{Lab, tcp_listening, wait_until};

/// The users' policy.
const POLICY: &str = include_str!("../../policies/seed.toml");
/// From power to forwarding, under emulation on a machine that does other things too.
const BOOT: Duration = Duration::from_secs(180);
/// For what the machine does by itself after that.
const SOON: Duration = Duration::from_secs(40);
/// Servers of the lab.
const SERVERS: Duration = Duration::from_secs(300);
/// What the console says when the datapath stands; see the image's `gateway-ready.service`.
const READY: &str = "gateway: forwarding";

/// What was found.
#[derive(Debug)]
pub struct Story {
    /// Each check, with what it saw.
    pub lines: Vec<Line>,
    /// From the kernel's start to forwarding, in seconds of the guest.
    pub guest_seconds: f64,
    /// From power to forwarding, in seconds of this machine.
    pub wall_seconds: f64,
    /// And in seconds of its processors.
    pub processor_seconds: f64,
    /// Raised when the user has had enough.
    stop: Arc<AtomicBool>,
}

/// One check.
#[derive(Debug)]
pub struct Line {
    /// What a user would say.
    pub what: &'static str,
    /// What was seen.
    pub seen: String,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { what, seen, took } in &self.lines {
            writeln!(f, "{what:<46} {seen:<56} {:6.1} s", took.as_secs_f64())?;
        }
        let Self { guest_seconds, wall_seconds, processor_seconds, .. } = self;
        writeln!(
            f,
            "forwarding {guest_seconds:.1} s after the kernel's start by the guest's clock, {wall_seconds:.1} s after power by this machine's \
             ({processor_seconds:.1} s of its processors)"
        )
    }
}

/// Boots the image between the lab's networks and drives real programs' traffic through it.
///
/// # Errors
/// The first check that fails, with the console; or that `stop` was raised.
pub fn tell(image: &Image, firmware: Firmware, stop: &Arc<AtomicBool>, mut said: impl FnMut(&Line)) -> Result<Story> {
    let lab = Lab::unique("image")?;
    serve(&lab)?;
    let vm = Vm::start(image, firmware, &lab, &Seed::with_policy(POLICY, &network_config()))?;
    let console = vm.wait_console(READY, BOOT, stop)?;
    let mut story = Story {
        lines: Vec::new(),
        guest_seconds: console.split_whitespace().filter_map(|word| word.parse().ok()).next().context("no time on the console")?,
        wall_seconds: vm.age().as_secs_f64(),
        processor_seconds: vm.processor_time()?.as_secs_f64(),
        stop: Arc::clone(stop),
    };
    story.add("boots from firmware to forwarding", &mut said, || Ok(console.trim().to_owned()))?;
    let agent = vm.agent();
    let told = checks(&lab, &agent, &mut story, &mut said).and_then(|()| changes(&lab, image, &vm, &mut story, &mut said));
    told.with_context(|| {
        let log =
            agent.run("journalctl -b -p info --no-pager | tail -60; ip -br address; gateway status").map(|ran| ran.output + &ran.error);
        format!("the console:\n{}\nthe guest says:\n{}", vm.console(), log.unwrap_or_else(|error| format!("({error:#})")))
    })?;
    vm.stop()?;
    Ok(story)
}

fn checks(lab: &Lab, agent: &Agent, story: &mut Story, said: &mut impl FnMut(&Line)) -> Result<()> {
    story.add("the guest agent answers, as a probe would ask", said, || {
        wait_until(SOON, "the guest agent", || Ok(agent.ask("guest-ping", &json!({})).is_ok()))?;
        Ok("guest-ping".to_owned())
    })?;
    story.add("the pod leg has its address by DHCP, MAC matched", said, || {
        wait_until(SOON, "an address by DHCP", || Ok(addresses(agent)?.contains(&GATEWAY_PODS.to_owned())))?;
        Ok(addresses(agent)?.join(" "))
    })?;
    story.add("`gateway status` says that it forwards", said, || status(agent))?;
    story.add("nothing was wrong with the configuration", said, || {
        let report: Value = serde_json::from_str(&read(agent, "cat /run/gateway-provision.json")?)?;
        ensure!(report["problems"] == json!([]) && report["policy"] == "given", "{report}");
        Ok(report["sources"][0].as_str().unwrap_or_default().to_owned())
    })?;
    story.add("an overlay VM pings the pod network", said, || ping(lab))?;
    story.add("and reaches a server there, masqueraded", said, || out(lab))?;
    story.add("on-prem reaches the VM's RDP by the port forward", said, || forwarded(lab, 33890))?;
    story.add("a client that no rule names does not", said, || refused(lab))?;
    story.add("the root is read-only below a layer in memory", said, || {
        let mounts = read(agent, "cat /proc/mounts")?;
        ensure!(mounts.lines().any(|line| line.starts_with("root / overlay ")), "{mounts}");
        Ok("overlay".to_owned())
    })?;
    story.add("nobody can log in: no key and no password given", said, || {
        let shadow = read(agent, "grep ^root: /etc/shadow; ls /root/.ssh 2>/dev/null || true")?;
        ensure!(shadow.starts_with("root:*:") && shadow.lines().count() == 1, "{shadow}");
        Ok("root:*".to_owned())
    })?;
    story.add("and no unit failed", said, || {
        let failed = read(agent, "systemctl list-units --failed --plain --no-legend")?;
        ensure!(failed.trim().is_empty(), "{failed}");
        let free = read(agent, "grep MemAvailable /proc/meminfo")?;
        Ok(free.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

/// What happens when the hypervisor's configuration changes under a running machine.
fn changes(lab: &Lab, image: &Image, vm: &Vm, story: &mut Story, said: &mut impl FnMut(&Line)) -> Result<()> {
    const OTHER: u16 = 33891;
    let (agent, stop) = (vm.agent(), Arc::clone(&story.stop));
    let moved = POLICY.replace("33890", &OTHER.to_string());
    let reread = "systemctl start gateway-reread.service";
    story.add("a changed configuration disk is read again", said, || {
        vm.reseed(image, &Seed::with_policy(&moved, &network_config()))?;
        read(&agent, reread)?;
        let mut seen = String::new();
        wait_until(SOON, "the port forward to move", || {
            seen = forwarded(lab, OTHER).unwrap_or_default();
            Ok(!seen.is_empty())
        })?;
        Ok(seen)
    })?;
    story.add("a policy with errors leaves the last good one", said, || {
        let broken = moved.replace("\"masquerade\"", "\"masquerad\"");
        vm.reseed(image, &Seed::with_policy(&broken, &network_config()))?;
        read(&agent, reread)?;
        let told = vm.wait_console("masquerad", SOON, &stop)?;
        let status = read(&agent, "gateway status")?;
        ensure!(status.contains("the last good one is in force") && status.contains("masquerad"), "{status}");
        forwarded(lab, OTHER)?;
        let line = told.split("policy:").skip(1).collect::<Vec<_>>().join("policy:");
        Ok(line.chars().take(56).collect())
    })?;
    story.add("a mended one holds at once: tc alone, no XDP", said, || {
        let by_tc = format!("{POLICY}\n[datapath]\nmode = \"tc\"\n");
        vm.reseed(image, &Seed::with_policy(&by_tc, &network_config()))?;
        read(&agent, reread)?;
        let mut seen = String::new();
        wait_until(SOON, "tc alone", || {
            seen = status(&agent)?;
            Ok(!seen.contains("xdp"))
        })?;
        ping(lab)?;
        forwarded(lab, 33890)?;
        Ok(seen)
    })
}

impl Story {
    fn add(&mut self, what: &'static str, said: &mut impl FnMut(&Line), check: impl FnOnce() -> Result<String>) -> Result<()> {
        ensure!(!self.stop.load(Ordering::Relaxed), "interrupted");
        let begun = Instant::now();
        let seen = check().context(what)?;
        let line = Line { what, seen, took: begun.elapsed() };
        said(&line);
        self.lines.push(line);
        Ok(())
    }
}

/// The lab's servers: DHCP for the pod leg, a server that tells its client's address on either side.
fn serve(lab: &Lab) -> Result<()> {
    let range = format!("--dhcp-range={GATEWAY_PODS},{GATEWAY_PODS},255.255.255.0,1h");
    let leases = format!("--dhcp-leasefile={}", std::env::temp_dir().join(format!("{}.leases", lab.pods.name())).display());
    let router = format!("--dhcp-option=option:router,{SERVER}");
    let words = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=pods0", "--dhcp-authoritative", "--no-ping"];
    let words: Vec<&str> = words.into_iter().chain(["--pid-file=", &leases, &range, &router]).collect();
    lab.pods.spawn(SERVERS, "dnsmasq", &words)?;
    for (room, port) in [(&lab.pods, 8080), (&lab.vm1, 3389)] {
        room.spawn(SERVERS, "socat", &[&format!("TCP-LISTEN:{port},fork,reuseaddr"), "SYSTEM:echo seen $SOCAT_PEERADDR"])?;
        wait_until(SOON, "the server", || tcp_listening(room, port))?;
    }
    Ok(())
}

fn network_config() -> String {
    let [(_, _, pods), (_, _, overlay)] = LEGS;
    format!(
        "version: 2\nethernets:\n  pods:\n    match: {{macaddress: '{pods}'}}\n    set-name: eth0\n    dhcp4: true\n  \
         overlay:\n    match: {{macaddress: '{overlay}'}}\n    set-name: eth1\n"
    )
}

/// The standard output of a command in the guest that must succeed.
fn read(agent: &Agent, line: &str) -> Result<String> {
    let ran = agent.run(line)?;
    ensure!(ran.code == Some(0), "`{line}` ended with {:?}: {}{}", ran.code, ran.output, ran.error);
    Ok(ran.output)
}

fn addresses(agent: &Agent) -> Result<Vec<String>> {
    let interfaces = agent.ask("guest-network-get-interfaces", &json!({}))?;
    let lists = interfaces.as_array().into_iter().flatten().filter(|interface| interface["name"] != "lo");
    let addresses = lists.flat_map(|interface| interface["ip-addresses"].as_array().into_iter().flatten());
    let v4 = addresses.filter(|address| address["ip-address-type"] == "ipv4");
    Ok(v4.filter_map(|address| address["ip-address"].as_str().map(str::to_owned)).collect())
}

fn status(agent: &Agent) -> Result<String> {
    let mut seen = String::new();
    wait_until(SOON, "both interfaces to forward", || {
        let status: Value = serde_json::from_str(&read(agent, "gateway status --json")?)?;
        ensure!(status["policy"]["error"].is_null(), "{status}");
        let interfaces = status["interfaces"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        seen = interfaces.iter().map(|one| format!("{} {}", text(&one["name"]), text(&one["attach"]))).collect::<Vec<_>>().join(", ");
        Ok(status["ready"] == true && interfaces.len() == 2 && interfaces.iter().all(|one| one["attach"] != "-"))
    })?;
    Ok(seen)
}

fn ping(lab: &Lab) -> Result<String> {
    wait_until(SOON, "a ping", || Ok(lab.vm1.output("ping", &["-c1", "-W1", SERVER])?.status.success()))?;
    let answer = lab.vm1.run("ping", &["-c5", "-i0.2", "-W2", SERVER])?;
    Ok(answer.lines().find(|line| line.contains("packets")).unwrap_or_default().trim().to_owned())
}

fn out(lab: &Lab) -> Result<String> {
    let answer = lab.vm1.run("socat", &["-T5", "-", &format!("TCP:{SERVER}:8080,connect-timeout=5")])?;
    ensure!(answer.trim() == format!("seen {GATEWAY_PODS}"), "the server saw {answer:?}, not the gateway");
    Ok(format!("{VM1} as {GATEWAY_PODS}"))
}

fn forwarded(lab: &Lab, port: u16) -> Result<String> {
    let answer = lab.onprem.run("socat", &["-T5", "-", &format!("TCP:{GATEWAY_PODS}:{port},connect-timeout=5")])?;
    ensure!(answer.trim() == format!("seen {ONPREM}"), "the VM saw {answer:?}, not the client");
    Ok(format!("{ONPREM} to {GATEWAY_PODS}:{port}"))
}

fn refused(lab: &Lab) -> Result<String> {
    let output = lab.pods.output("socat", &["-T3", "-", &format!("TCP:{GATEWAY_PODS}:33890,connect-timeout=3")])?;
    ensure!(!output.status.success(), "a client outside the rule came through: {}", String::from_utf8_lossy(&output.stdout));
    Ok(String::from_utf8_lossy(&output.stderr).rsplit(": ").next().unwrap_or_default().trim().to_owned())
}
