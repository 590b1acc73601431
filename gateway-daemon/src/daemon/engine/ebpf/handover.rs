//! The eBPF datapath's flows for another engine, and another engine's for it.

use std::time::Duration;

use gateway_ebpf::abi::{FlowState, RuleId};

use super::super::{Carry, Scene};
use super::Ebpf;
use super::clock::now;
use super::views::TICK_MS;
use crate::datapath::inspect::{self, FlowRecord};
use crate::datapath::{Adopted, DatapathError, MappingKind, allowance};
use crate::model::{Filtering, Mapping};
use crate::plan::Plan;

impl Ebpf {
    /// Flows that can go on elsewhere: those that both sides have spoken on, and whose end is not near.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn hand_over(&self, scene: Scene<'_>) -> Result<Vec<Carry>, DatapathError> {
        let flows = inspect::flows(self.datapath.maps());
        Ok(flows.iter().filter_map(|record| carry(scene, record)).collect())
    }

    /// Flows that nobody has answered yet, as of the last sweep.
    #[must_use]
    pub fn half_open(&self) -> u64 {
        self.swept.half_open
    }

    /// Writes another engine's flows into the tables, before any program sees a packet; how many found their place.
    ///
    /// # Errors
    /// A table cannot be written.
    pub fn take_over(&mut self, scene: Scene<'_>, plan: &Plan, flows: &[Carry]) -> Result<usize, DatapathError> {
        self.datapath.write(plan)?;
        let adopted: Vec<Adopted> = flows.iter().filter_map(|flow| adopt(scene, flow)).collect();
        self.datapath.adopt(&adopted, now())
    }
}

fn carry(scene: Scene<'_>, record: &FlowRecord) -> Option<Carry> {
    if record.half_open || record.state == FlowState::CLOSED {
        return None;
    }
    let zone = |index| scene.plan.interfaces.get(&index).map(|planned| planned.zone.clone());
    let rule = |id: RuleId| scene.numbers.rule_name(id).cloned();
    let allowed = allowance(&scene.model.timeouts, record.protocol, record.state, record.half_open);
    let left = allowed.saturating_sub(now().since(record.last_seen));
    Some(Carry {
        protocol: record.protocol,
        source: record.source,
        destination: record.destination,
        translated_source: record.translated_source,
        translated_destination: record.translated_destination,
        from: zone(record.arrival)?,
        to: zone(record.egress)?,
        arrival: Some(record.arrival),
        egress: Some(record.egress),
        rule: rule(record.rule),
        nat_rule: rule(record.nat_rule),
        remaining: Duration::from_millis(u64::from(left) * TICK_MS),
    })
}

fn adopt(scene: Scene<'_>, flow: &Carry) -> Option<Adopted> {
    let number = |rule: &Option<_>| rule.as_ref().map_or(RuleId(0), |rule| scene.numbers.rule(rule));
    let source_nat = scene.model.nat.source.iter().find(|rule| Some(&rule.name) == flow.nat_rule.as_ref());
    Some(Adopted {
        protocol: flow.protocol,
        source: flow.source,
        destination: flow.destination,
        translated_source: flow.translated_source,
        translated_destination: flow.translated_destination,
        arrival: flow.arrival?,
        egress: flow.egress?,
        rule: number(&flow.rule),
        nat_rule: number(&flow.nat_rule),
        mapping: source_nat
            .filter(|rule| rule.mapping == Mapping::EndpointIndependent)
            .map(|rule| MappingKind { open: rule.filtering == Filtering::EndpointIndependent }),
    })
}
