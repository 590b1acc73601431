//! What every story works with: the lab's servers, traffic through the machine, questions to the guest.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::appliance::cables::LEGS;
use crate::appliance::{Agent, Vm};
use crate::lab::{GATEWAY_PODS, ONPREM, SERVER, VM1};
use crate::{Lab, Namespace, Process, tcp_listening, wait_until};

/// For what the machine does by itself, on a slow host.
pub const SOON: Duration = Duration::from_secs(120);
/// How long the lab's servers live at most.
const SERVERS: Duration = Duration::from_secs(1800);
/// Some megabytes that are not all the same.
const BULK: &str = "seq 1 500000";
/// The port forward of the users' policy.
pub const RDP: u16 = 33890;
/// Echoes what it is sent.
pub const ECHO: u16 = 7777;

/// A machine in its lab.
pub struct Scene<'a> {
    /// The networks around it.
    pub lab: &'a Lab,
    /// Inside.
    pub agent: Agent,
    /// From outside.
    pub vm: &'a Vm,
    /// Raised when the user has had enough.
    pub stop: &'a AtomicBool,
}

/// The lab's servers: DHCP for the pod leg, and on either side servers that tell their client's address, send much, or echo.
pub fn serve(lab: &Lab) -> Result<()> {
    let options = [
        format!("--dhcp-range={GATEWAY_PODS},{GATEWAY_PODS},255.255.255.0,1h"),
        format!("--dhcp-option=option:router,{SERVER}"),
        format!("--dhcp-option=option:ntp-server,{SERVER}"),
    ];
    let fixed =
        "--keep-in-foreground --conf-file=/dev/null --port=0 --interface=pods0 --dhcp-authoritative --no-ping --leasefile-ro --pid-file=";
    let words: Vec<&str> = fixed.split(' ').chain(options.iter().map(String::as_str)).collect();
    lab.pods.spawn(SERVERS, "dnsmasq", &words)?;
    let who = "SYSTEM:echo seen $SOCAT_PEERADDR";
    for (room, port, answer) in
        [(&lab.pods, 8080, who), (&lab.vm1, 3389, who), (&lab.pods, 8081, &*format!("SYSTEM:{BULK}")), (&lab.pods, ECHO, "EXEC:cat")]
    {
        room.spawn(SERVERS, "socat", &[&format!("TCP-LISTEN:{port},fork,reuseaddr"), answer])?;
        wait_until(SOON, "the server", || tcp_listening(room, port))?;
    }
    Ok(())
}

/// network-config for the two legs, told apart by their MACs.
pub fn network_config() -> String {
    let [(_, _, pods), (_, _, overlay)] = LEGS;
    format!(
        "version: 2\nethernets:\n  pods:\n    match: {{macaddress: '{pods}'}}\n    set-name: eth0\n    dhcp4: true\n  \
         overlay:\n    match: {{macaddress: '{overlay}'}}\n    set-name: eth1\n"
    )
}

impl Scene<'_> {
    /// The standard output of a command in the guest that must succeed.
    pub fn read(&self, line: &str) -> Result<String> {
        let ran = self.agent.run(line)?;
        ensure!(ran.code == Some(0), "`{line}` ended with {:?}: {}{}", ran.code, ran.output, ran.error);
        Ok(ran.output)
    }

    /// Waits for the guest agent, as a probe would.
    pub fn agent_answers(&self) -> Result<String> {
        wait_until(SOON, "the guest agent", || Ok(self.agent.ask("guest-ping", &json!({})).is_ok()))?;
        Ok("guest-ping".to_owned())
    }

    /// The guest's IPv4 addresses, as the agent tells the hypervisor.
    pub fn addresses(&self) -> Result<Vec<String>> {
        let interfaces = self.agent.ask("guest-network-get-interfaces", &json!({}))?;
        let lists = interfaces.as_array().into_iter().flatten().filter(|interface| interface["name"] != "lo");
        let addresses = lists.flat_map(|interface| interface["ip-addresses"].as_array().into_iter().flatten());
        let v4 = addresses.filter(|address| address["ip-address-type"] == "ipv4");
        Ok(v4.filter_map(|address| address["ip-address"].as_str().map(str::to_owned)).collect())
    }

    /// Waits for the pod leg's address by DHCP.
    pub fn has_addresses(&self) -> Result<String> {
        wait_until(SOON, "an address by DHCP", || Ok(self.addresses()?.contains(&GATEWAY_PODS.to_owned())))?;
        Ok(self.addresses()?.join(" "))
    }

    /// What `gateway status` says.
    pub fn status(&self) -> Result<Value> {
        // Whatever its exit code says of it.
        let ran = self.agent.run("gateway status --json")?;
        serde_json::from_str(&ran.output).with_context(|| format!("no status: {}{}", ran.output, ran.error))
    }

    /// What `gateway provision` reported last.
    pub fn provisioned(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.read("cat /run/gateway-provision.json")?)?)
    }

    /// Waits until both interfaces forward, attached in a way whose name begins so.
    pub fn forwards_by(&self, wanted: &str) -> Result<String> {
        let mut seen = String::new();
        let waited = wait_until(SOON, format_args!("both interfaces to forward by {wanted}"), || {
            let status = self.status()?;
            let interfaces = status["interfaces"].as_array().cloned().unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
            let attached: Vec<String> = interfaces.iter().map(|one| text(&one["attach"])).collect();
            seen = interfaces.iter().zip(&attached).map(|(one, by)| format!("{} {by}", text(&one["name"]))).collect::<Vec<_>>().join(", ");
            Ok(status["ready"] == true && attached.len() == 2 && attached.iter().all(|by| by.starts_with(wanted)))
        });
        waited.with_context(|| format!("last seen: {seen}"))?;
        Ok(seen)
    }

    /// Has the guest read its sources again, and again from the beginning if it is about to.
    pub fn reread(&self) -> Result<()> {
        self.read("systemctl restart gateway-reread.service").map(drop)
    }

    /// An overlay VM pings the pod side.
    pub fn ping(&self) -> Result<String> {
        wait_until(SOON, "a ping", || Ok(self.lab.vm1.output("ping", &["-c1", "-W2", SERVER])?.status.success()))?;
        let answer = self.lab.vm1.run("ping", &["-c5", "-i0.2", "-W5", SERVER])?;
        let counts = answer.lines().find(|line| line.contains("packets")).unwrap_or_default();
        Ok(counts.split(", time").next().unwrap_or_default().to_owned())
    }

    /// An overlay VM reaches a server on the pod side, as the gateway, with a few bytes and with some megabytes.
    pub fn out(&self) -> Result<String> {
        let answer = connect(&self.lab.vm1, SERVER, 8080)?;
        ensure!(answer == format!("seen {GATEWAY_PODS}"), "the server saw {answer:?}, not the gateway");
        let digest = |line: &str| self.lab.vm1.run("sh", &["-c", &format!("{line} | md5sum")]);
        let got = digest(&format!("socat -u -T15 TCP:{SERVER}:8081,connect-timeout=15 -"))?;
        ensure!(got == digest(BULK)?, "what the server sent did not arrive whole");
        Ok(format!("{VM1} as {GATEWAY_PODS}, 3 MB whole"))
    }

    /// A host beyond the pod side reaches the VM through the port forward, and is seen as itself.
    pub fn forwarded(&self, port: u16) -> Result<String> {
        let mut answer = String::new();
        // The first may come before the gateway knows the VM's MAC.
        wait_until(SOON, "the port forward", || {
            answer = connect(&self.lab.onprem, GATEWAY_PODS, port).unwrap_or_default();
            Ok(!answer.is_empty())
        })?;
        ensure!(answer == format!("seen {ONPREM}"), "the VM saw {answer:?}, not the client");
        Ok(format!("{ONPREM} to {GATEWAY_PODS}:{port}"))
    }

    /// A client that no rule names does not come through.
    pub fn refused(&self) -> Result<String> {
        let output = self.lab.pods.output("socat", &["-T3", "-", &format!("TCP:{GATEWAY_PODS}:{RDP},connect-timeout=3")])?;
        ensure!(!output.status.success(), "a client outside the rule came through: {}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8_lossy(&output.stderr).rsplit(": ").next().unwrap_or_default().trim().to_owned())
    }

    /// Looks for an ARP announcement of `address` (in hexadecimal, as tcpdump wants it) at that end of a wire.
    pub fn watch_for(&self, room: &Namespace, interface: &str, address: &str) -> Result<Process> {
        watch(room, interface, 1, &announcement(address))
    }
}

/// As tcpdump takes it: the ARP announcement of `address`, in hexadecimal.
pub fn announcement(address: &str) -> String {
    format!("arp and arp[6:2] = 1 and arp[14:4] = {address} and arp[24:4] = {address}")
}

/// Looks for so many frames of a kind at that end of a wire.
pub fn watch(room: &Namespace, interface: &str, count: u32, kind: &str) -> Result<Process> {
    let watch = room.spawn(SERVERS, "tcpdump", &["-l", "-n", "-i", interface, "-c", &count.to_string(), kind])?;
    wait_until(SOON, "tcpdump", || Ok(watch.output().contains("listening on")))?;
    Ok(watch)
}

/// Waits until no frame of a kind comes for so long.
pub fn wait_quiet(room: &Namespace, interface: &str, quiet: Duration, kind: &str) -> Result<()> {
    wait_until(SOON, format_args!("silence of {kind}"), || Ok(watch(room, interface, 1, kind)?.wait(quiet).is_err()))
}

/// What the server says to who connects.
fn connect(room: &Namespace, address: &str, port: u16) -> Result<String> {
    let answer = room.run("socat", &["-T15", "-", &format!("TCP:{address}:{port},connect-timeout=15")])?;
    Ok(answer.trim().to_owned())
}
