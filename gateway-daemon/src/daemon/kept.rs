//! Flows over a restart: the daemon that ends hands them to systemd in a file without a name, and the one that starts takes them back.
//!
//! systemd keeps a unit's descriptors while it restarts the unit, and closes them when it stops it (sd_notify(3), `FDSTORE=1`): after a
//! stop nothing is left. What is kept does not depend on the tables' layout, so the next daemon may be of another version. Without
//! systemd, or without `FileDescriptorStoreMax=` in the unit, connections begin anew.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use gateway_ebpf::abi::Protocol;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::time::{ClockId, clock_gettime};
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

use super::engine::{Carry, Engine};
use super::error;
use super::gateway::Gateway;
use crate::inventory::IfIndex;
use crate::model::{RuleName, ZoneName};

/// What systemd calls the descriptor.
const NAME: &str = "flows";
/// Another number, another meaning: such flows are left alone.
const FORMAT: u32 = 1;

/// The file's content, as JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// Seconds since the machine's start, its sleep included.
    written: u64,
    flows: Vec<Flow>,
}

/// A [`Carry`].
#[derive(Serialize, Deserialize)]
struct Flow {
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
    translated_source: SocketAddr,
    translated_destination: SocketAddr,
    from: String,
    to: String,
    arrival: Option<u32>,
    egress: Option<u32>,
    rule: Option<String>,
    nat_rule: Option<String>,
    /// Seconds that it may stay idle.
    remaining: u64,
}

impl Gateway {
    /// Hands the flows to systemd, where there is one. The programs go first, so that no packet changes what is written.
    pub fn keep_flows(&mut self) {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return;
        }
        self.engine.detach();
        let (engine, scene) = self.scene();
        // Connection tracking keeps its flows by itself.
        let Engine::Ebpf(ebpf) = engine else { return };
        let given = ebpf.hand_over(scene).map_err(io::Error::other).and_then(|flows| give(&flows).map(|()| flows.len()));
        match given {
            Ok(0) => {}
            Ok(flows) => tracing::info!(flows, "{flows} established flows are kept, in case this is a restart"),
            Err(failed) => tracing::warn!("flows cannot be kept over a restart: {}", error::chain(&failed)),
        }
    }

    /// Takes back what the daemon before has kept, before any program sees a packet.
    pub fn take_kept_flows(&mut self) {
        let flows = take();
        if flows.is_empty() {
            return;
        }
        let (engine, scene) = self.scene();
        let Engine::Ebpf(ebpf) = engine else { return };
        let plan = crate::plan::plan(scene.model, scene.inventory, scene.numbers);
        match ebpf.take_over(scene, &plan, &flows) {
            Ok(kept) => {
                let all = flows.len();
                tracing::info!(kept, all, "{kept} of {all} established flows of before the restart go on; half-open ones begin anew");
            }
            Err(failed) => tracing::warn!("flows of before the restart are lost: {}", error::chain(&failed)),
        }
    }
}

fn give(flows: &[Carry]) -> io::Result<()> {
    if flows.is_empty() {
        return Ok(());
    }
    let file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC)?);
    let mut out = BufWriter::new(&file);
    serde_json::to_writer(&mut out, &Kept::new(flows, uptime()))?;
    out.flush()?;
    sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(NAME)], &[file.as_fd()])
}

fn take() -> Vec<Carry> {
    let Ok(mut descriptors) = sd_notify::listen_fds_with_names() else { return Vec::new() };
    let Some((number, _)) = descriptors.find(|(_, name)| name == NAME) else { return Vec::new() };
    let read = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{number}")).and_then(|file| {
        let kept: Result<Kept, _> = serde_json::from_reader(BufReader::new(&file));
        // The inherited descriptor stays open as long as we run: its memory need not.
        file.set_len(0)?;
        Ok(kept?)
    });
    let _ = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(NAME)]);
    match read {
        Ok(kept) => kept.flows(uptime()),
        Err(failed) => {
            tracing::warn!("flows of before the restart cannot be read: {failed}");
            Vec::new()
        }
    }
}

fn uptime() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

impl Kept {
    fn new(flows: &[Carry], now: u64) -> Self {
        let flows = flows.iter().map(|flow| Flow {
            protocol: flow.protocol.0,
            source: flow.source,
            destination: flow.destination,
            translated_source: flow.translated_source,
            translated_destination: flow.translated_destination,
            from: flow.from.0.clone(),
            to: flow.to.0.clone(),
            arrival: flow.arrival.map(|index| index.0),
            egress: flow.egress.map(|index| index.0),
            rule: flow.rule.as_ref().map(|rule| rule.0.clone()),
            nat_rule: flow.nat_rule.as_ref().map(|rule| rule.0.clone()),
            remaining: flow.remaining.as_secs(),
        });
        Self { format: FORMAT, written: now, flows: flows.collect() }
    }

    /// Those whose time is not over yet.
    fn flows(self, now: u64) -> Vec<Carry> {
        if self.format != FORMAT {
            return Vec::new();
        }
        let passed = now.saturating_sub(self.written);
        let alive = self.flows.into_iter().filter(|flow| flow.remaining > passed);
        let carry = alive.map(|flow| Carry {
            protocol: Protocol(flow.protocol),
            source: flow.source,
            destination: flow.destination,
            translated_source: flow.translated_source,
            translated_destination: flow.translated_destination,
            from: ZoneName(flow.from),
            to: ZoneName(flow.to),
            arrival: flow.arrival.map(IfIndex),
            egress: flow.egress.map(IfIndex),
            rule: flow.rule.map(RuleName),
            nat_rule: flow.nat_rule.map(RuleName),
            remaining: Duration::from_secs(flow.remaining - passed),
        });
        carry.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remaining: u64) -> Carry {
        let at = |text: &str| text.parse().unwrap();
        Carry {
            protocol: Protocol(6),
            source: at("10.0.0.1:4000"),
            destination: at("192.0.2.1:80"),
            translated_source: at("203.0.113.1:61000"),
            translated_destination: at("[2001:db8::1]:80"),
            from: ZoneName("lan".into()),
            to: ZoneName("wan".into()),
            arrival: Some(IfIndex(2)),
            egress: None,
            rule: Some(RuleName("a \"rule\"".into())),
            nat_rule: None,
            remaining: Duration::from_secs(remaining),
        }
    }

    #[test]
    fn what_is_written_is_read_and_time_has_passed() {
        let text = serde_json::to_string(&Kept::new(&[flow(100), flow(5)], 1000)).unwrap();
        let read = |now| serde_json::from_str::<Kept>(&text).unwrap().flows(now);
        assert_eq!(read(1000), [flow(100), flow(5)]);
        assert_eq!(read(1005), [flow(95)]);
        let other = text.replace("\"format\":1", "\"format\":2");
        assert_eq!(serde_json::from_str::<Kept>(&other).unwrap().flows(1000), []);
    }
}
