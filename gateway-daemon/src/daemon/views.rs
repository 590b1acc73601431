//! What the live commands are shown.

use gateway_ebpf::abi::{DropReason, Reason, RuleId};

use super::gateway::{Gateway, now};
use super::reload::try_reload;
use crate::control::view::{
    Datapath, DropsView, FlowState, FlowView, FlowsView, InterfaceView, IpFamily, LinkState, MappingView, PolicyView, Protocol, ReasonView,
    RuleAction, RuleCounts, RuleView, StatusView, TableView, TrafficView, ZoneView,
};
use crate::control::{ControlRequest, FlowFilter, Refusal, RefusalKind, Request, Response};
use crate::datapath::inspect::{self, FlowRecord};
use crate::datapath::{DatapathError, allowance};
use crate::inventory::IfIndex;
use crate::model::{self, Action, RuleName};
use crate::plan::Waiting;

/// What people call the rule that is no rule.
const DEFAULT_RULE: &str = "default";
/// Milliseconds per tick of the datapath's clock, rounded.
const TICK_MS: u64 = 134;

/// Answers one request. A client that is gone is no error.
pub async fn answer(gateway: &mut Gateway, request: ControlRequest) {
    let response = match request.request {
        Request::Status => gateway.status().map(|status| Response::Status(Box::new(status))),
        Request::Flows { filter } => gateway.flows(&filter).map(Response::Flows),
        Request::Mappings => gateway.mappings().map(Response::Mappings),
        Request::Drops => gateway.drops().map(Response::Drops),
        Request::Reload => Ok(match try_reload(gateway).await {
            Ok(()) => Response::Reloaded(gateway.policy_view()),
            Err(lines) => Response::Refused(Refusal::new(RefusalKind::Policy, lines.join("\n"))),
        }),
    };
    let response = response.unwrap_or_else(|error| Response::Refused(Refusal::new(RefusalKind::Failed, super::error::chain(&error))));
    let _ = request.reply.send(response);
}

impl Gateway {
    fn status(&self) -> Result<StatusView, DatapathError> {
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
        let capacity = self.datapath.capacity();
        let table = |name: &str, used: u64, capacity: u32| TableView { name: name.to_owned(), used, capacity: u64::from(capacity) };
        Ok(StatusView {
            instance: self.options.instance.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.ready,
            policy: self.policy_view(),
            interfaces: self.interfaces(),
            zones: self.zones(),
            tables: vec![
                table("flows", self.swept.flows - self.swept.half_open, capacity.flows),
                table("half-open flows", self.swept.half_open, capacity.half_open()),
                table("mappings", self.swept.mappings, capacity.flows),
            ],
            traffic,
            uptime_seconds: self.started.elapsed().as_secs(),
        })
    }

    fn policy_view(&self) -> PolicyView {
        let model = &self.policy.model;
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        PolicyView {
            file: self.policy.path.display().to_string(),
            generation: self.generation,
            loaded_at: self.policy.loaded_at,
            rules: RuleCounts {
                firewall: count(model.firewall.rules.len()),
                nat_source: count(model.nat.source.len()),
                nat_destination: count(model.nat.destination.len()),
                routes: count(model.routes.len()),
            },
            warnings: self.policy.warnings.iter().chain(&self.problems).cloned().collect(),
            error: if self.reload_errors.is_empty() { None } else { Some(self.reload_errors.join("\n")) },
        }
    }

    fn zones(&self) -> Vec<ZoneView> {
        let view = |zone: &model::Zone| ZoneView {
            name: zone.name.0.clone(),
            interfaces: zone.interfaces.iter().map(|name| name.0.clone()).collect(),
        };
        self.policy.model.zones.iter().map(view).collect()
    }

    fn interfaces(&self) -> Vec<InterfaceView> {
        let planned = self.plan.interfaces.iter().map(|(index, planned)| {
            let attachment = self.datapath.attachment(*index);
            let xdp = attachment.is_some_and(crate::datapath::Attachment::has_xdp);
            let mut reason = attachment
                .and_then(|attachment| attachment.refused.as_ref())
                .map_or_else(|| planned.reason.to_string(), |refused| format!("the kernel refused xdp, tc alone forwards: {refused}"));
            if self.without_ipv6_errors.contains(index) {
                reason.push_str("; this kernel sends no ICMPv6 errors for packets that cannot be forwarded (before Linux 6.17)");
            }
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
            self.interface(&planned.name, &planned.zone, Some(*index), datapath, attach, reason)
        });
        let waiting = self.plan.waiting.iter().map(|waiting: &Waiting| {
            let index = self.observer.inventory().link(&waiting.name).map(|link| link.index);
            self.interface(&waiting.name, &waiting.zone, index, Datapath::None, "-".to_owned(), waiting.reason.to_string())
        });
        planned.chain(waiting).collect()
    }

    fn interface(
        &self,
        name: &model::InterfaceName,
        zone: &model::ZoneName,
        index: Option<IfIndex>,
        datapath: Datapath,
        attach: String,
        reason: String,
    ) -> InterfaceView {
        let link = index.and_then(|index| self.observer.inventory().links.get(&index));
        InterfaceView {
            name: name.0.clone(),
            ifindex: index.map(|index| index.0),
            zone: Some(zone.0.clone()),
            state: match link {
                None => LinkState::Missing,
                Some(link) if !link.up => LinkState::Down,
                Some(link) if !link.carrier => LinkState::NoCarrier,
                Some(_) => LinkState::Up,
            },
            mac: link.and_then(|link| link.mac).map(|mac| mac.0.map(|byte| format!("{byte:02x}")).join(":")),
            mtu: link.map(|link| link.mtu),
            addresses: link.map(|link| link.addresses.clone()).unwrap_or_default(),
            datapath,
            attach,
            reason,
        }
    }

    fn flows(&self, filter: &FlowFilter) -> Result<FlowsView, DatapathError> {
        let now = now();
        let views = inspect::flows(self.datapath.maps())?.into_iter().filter_map(|record| {
            let idle = now.since(record.last_seen);
            let allowed = allowance(&self.policy.model.timeouts, record.protocol, record.state, record.half_open);
            self.flow(&record, u64::from(idle) * TICK_MS / 1000, u64::from(allowed.saturating_sub(idle)) * TICK_MS / 1000)
        });
        Ok(filter.select(views))
    }

    /// The internal endpoint is the one behind the gateway: the client of a flow that goes out, the server of a port forward.
    fn flow(&self, record: &FlowRecord, idle_seconds: u64, expires_seconds: u64) -> Option<FlowView> {
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
            from_zone: self.zone_of(record.arrival),
            to_zone: self.zone_of(record.egress),
            state: FlowState::from(record.state),
            rule: self.rule_name(record.rule),
            nat_rule: translated.then(|| self.rule_name(record.nat_rule)),
            idle_seconds,
            expires_seconds,
            packets_original: record.original.packets,
            bytes_original: record.original.bytes,
            packets_reply: record.reply.packets,
            bytes_reply: record.reply.bytes,
        })
    }

    fn mappings(&self) -> Result<Vec<MappingView>, DatapathError> {
        let now = now();
        let records = inspect::mappings(self.datapath.maps())?.into_iter();
        Ok(records
            .filter_map(|record| {
                Some(MappingView {
                    protocol: Protocol::from_abi(record.protocol)?,
                    internal: record.internal,
                    external: record.external,
                    rule: self.rule_name(record.rule),
                    age_seconds: u64::from(now.since(record.created)) * TICK_MS / 1000,
                    idle_seconds: u64::from(now.since(record.last_used)) * TICK_MS / 1000,
                })
            })
            .collect())
    }

    fn drops(&self) -> Result<DropsView, DatapathError> {
        let reasons = inspect::reasons(self.datapath.maps())?;
        let mut rules = Vec::new();
        let mut accepted = Vec::new();
        for rule in &self.policy.model.firewall.rules {
            let packets = inspect::rule_hits(self.datapath.maps(), self.numbers.rule(&rule.name))?;
            let (list, action) = match rule.action {
                Action::Accept => (&mut accepted, RuleAction::Accept),
                Action::Drop => (&mut rules, RuleAction::Drop),
                Action::Reject => (&mut rules, RuleAction::Reject),
            };
            list.push(RuleView { rule: rule.name.0.clone(), action, packets });
        }
        // What no rule matched is refused by the default, which people look for in the same place.
        let by_default = |(reason, _): &&(Reason, u64)| matches!(reason, Reason::Drop(DropReason::DefaultDrop | DropReason::DefaultReject));
        let packets: u64 = reasons.iter().filter(by_default).map(|(_, packets)| packets).sum();
        if packets > 0 {
            let action = if self.policy.model.firewall.default == Action::Reject { RuleAction::Reject } else { RuleAction::Drop };
            rules.push(RuleView { rule: DEFAULT_RULE.to_owned(), action, packets });
        }
        let reasons = reasons.into_iter().map(|(reason, packets)| ReasonView::new(reason, packets)).collect();
        Ok(DropsView { reasons, rules, accepted })
    }

    fn zone_of(&self, index: IfIndex) -> String {
        self.plan.interfaces.get(&index).map_or_else(|| "-".to_owned(), |planned| planned.zone.0.clone())
    }

    fn rule_name(&self, id: RuleId) -> String {
        if id.0 == 0 {
            return DEFAULT_RULE.to_owned();
        }
        self.numbers.rule_name(id).map_or_else(|| format!("#{}", id.0), |RuleName(name)| name.clone())
    }
}
