//! What the live commands are shown of the eBPF datapath.

use gateway_ebpf::abi::Reason;

use super::super::drops::drops;
use super::super::{Handling, Scene};
use super::Ebpf;
use super::clock::now;
use crate::control::view::{Datapath, DropsView, FlowState, FlowView, IpFamily, MappingView, Protocol, TableView, TrafficView};
use crate::datapath::inspect::{self, FlowRecord};
use crate::datapath::{Attachment, DatapathError, Swept, allowance};
use crate::inventory::IfIndex;
use crate::plan::PlannedInterface;

/// Milliseconds per tick of the datapath's clock, rounded.
pub(super) const TICK_MS: u64 = 134;

impl Ebpf {
    /// How an interface's packets are handled.
    #[must_use]
    pub fn handling(&self, index: IfIndex, planned: &PlannedInterface) -> Handling {
        let attachment = self.datapath.attachment(index);
        let xdp = attachment.is_some_and(Attachment::has_xdp);
        let reason = attachment
            .and_then(|attachment| attachment.refused.as_ref())
            .map_or_else(|| planned.reason.to_string(), |refused| format!("the kernel refused xdp, tc alone forwards: {refused}"));
        let attach = match attachment {
            Some(attachment) if xdp => format!("native xdp + {}", attachment.hook),
            Some(attachment) => attachment.hook.to_string(),
            None => "-".to_owned(),
        };
        let datapath = match (attachment.is_some(), xdp) {
            (true, true) => Datapath::XdpTc,
            (true, false) => Datapath::Tc,
            (false, _) => Datapath::None,
        };
        Handling { datapath, attach, reason }
    }

    /// How full the tables are.
    #[must_use]
    pub fn tables(&self) -> Vec<TableView> {
        let capacity = self.datapath.capacity();
        let Swept { flows, half_open, flows_v6, half_open_v6, mappings, .. } = self.swept;
        let table = |name: &str, used: u64, capacity: u32| TableView { name: name.to_owned(), used, capacity: u64::from(capacity) };
        vec![
            table("flows", (flows - half_open) - (flows_v6 - half_open_v6), capacity.flows),
            table("half-open flows", half_open - half_open_v6, capacity.half_open()),
            table("mappings", mappings, capacity.flows),
            table("IPv6 flows", flows_v6 - half_open_v6, capacity.v6().flows),
            table("half-open IPv6 flows", half_open_v6, capacity.v6().half_open()),
        ]
    }

    /// Counters since the start.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn traffic(&self) -> Result<TrafficView, DatapathError> {
        let mut traffic = TrafficView {
            flows_opened: self.ended.flows + self.swept.flows,
            packets_forwarded: self.ended.packets + self.swept.live.packets,
            bytes_forwarded: self.ended.bytes + self.swept.live.bytes,
            ..Default::default()
        };
        for (reason, packets) in inspect::reasons(self.datapath.maps())? {
            match reason {
                Reason::Drop(_) => traffic.packets_dropped += packets,
                Reason::Punt(_) => traffic.packets_punted += packets,
                Reason::Pass(_) => traffic.packets_passed += packets,
            }
        }
        Ok(traffic)
    }

    /// Every flow.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn flows(&self, scene: Scene<'_>) -> Result<Vec<FlowView>, DatapathError> {
        let now = now();
        let views = inspect::flows(self.datapath.maps()).into_iter().filter_map(|record| {
            let idle = now.since(record.last_seen);
            let allowed = allowance(&scene.model.timeouts, record.protocol, record.state, record.half_open);
            flow(scene, &record, u64::from(idle) * TICK_MS / 1000, u64::from(allowed.saturating_sub(idle)) * TICK_MS / 1000)
        });
        Ok(views.collect())
    }

    /// Every mapping.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn mappings(&self, scene: Scene<'_>) -> Result<Vec<MappingView>, DatapathError> {
        let now = now();
        let records = inspect::mappings(self.datapath.maps()).into_iter();
        Ok(records
            .filter_map(|record| {
                Some(MappingView {
                    protocol: Protocol::from_abi(record.protocol)?,
                    internal: record.internal,
                    external: record.external,
                    rule: scene.rule_name(record.rule),
                    age_seconds: u64::from(now.since(record.created)) * TICK_MS / 1000,
                    idle_seconds: u64::from(now.since(record.last_used)) * TICK_MS / 1000,
                })
            })
            .collect())
    }

    /// What was not forwarded, and by which rule.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn drops(&self, scene: Scene<'_>) -> Result<DropsView, DatapathError> {
        let reasons = inspect::reasons(self.datapath.maps())?;
        let mut hits = Vec::new();
        for rule in &scene.model.firewall.rules {
            hits.push(inspect::rule_hits(self.datapath.maps(), scene.numbers.rule(&rule.name))?);
        }
        Ok(drops(scene.model, reasons, hits))
    }
}

/// The internal endpoint is the one behind the gateway: the client of a flow that goes out, the server of a port forward.
fn flow(scene: Scene<'_>, record: &FlowRecord, idle_seconds: u64, expires_seconds: u64) -> Option<FlowView> {
    let (internal, external, remote) = if record.destination_nat {
        (record.translated_destination, Some(record.destination), record.source)
    } else {
        let external = record.source_nat.then_some(record.translated_source);
        (record.source, external, record.translated_destination)
    };
    let translated = record.source_nat || record.destination_nat;
    Some(FlowView {
        family: if record.source.is_ipv4() { IpFamily::V4 } else { IpFamily::V6 },
        protocol: Protocol::from_abi(record.protocol)?,
        internal,
        external,
        remote,
        original_destination: record.destination_nat.then_some(record.destination),
        from_zone: scene.zone_of(record.arrival),
        to_zone: scene.zone_of(record.egress),
        state: FlowState::from(record.state),
        rule: scene.rule_name(record.rule),
        nat_rule: translated.then(|| scene.rule_name(record.nat_rule)),
        idle_seconds,
        expires_seconds,
        packets_original: record.original.packets,
        bytes_original: record.original.bytes,
        packets_reply: record.reply.packets,
        bytes_reply: record.reply.bytes,
    })
}
