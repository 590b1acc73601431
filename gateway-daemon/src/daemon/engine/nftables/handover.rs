//! Conntrack's flows for another engine, and another engine's for conntrack.

use std::time::Duration;

use gateway_ebpf::abi::Protocol;

use super::super::{Carry, Scene};
use super::{DaemonError, Nftables};
use crate::netlink::conntrack::{Created, Entry, IpProtocol, NewEntry, Status, TcpState};
use crate::nftables::{AcceptedBy, Mark, Ruling, Standing};

impl Nftables {
    /// Flows that can go on elsewhere: those that both sides have spoken on, and whose end is not near.
    ///
    /// # Errors
    /// Conntrack cannot be asked.
    pub fn hand_over(&mut self, scene: Scene<'_>) -> Result<Vec<Carry>, DaemonError> {
        let standing = Standing::new(scene.model, scene.inventory);
        Ok(self.entries(scene)?.iter().filter_map(|(entry, mark)| carry(scene, &standing, entry, *mark)).collect())
    }

    /// Makes entries of another engine's flows; how many it made. Those that there are already stay as they are.
    ///
    /// # Errors
    /// Conntrack cannot be asked.
    pub fn take_over(&mut self, scene: Scene<'_>, flows: &[Carry]) -> Result<usize, DaemonError> {
        let entries: Vec<NewEntry> = flows.iter().map(|flow| entry(scene, flow)).collect();
        let made = self.conntrack.create_all(&entries)?;
        Ok(made.iter().filter(|created| matches!(created, Created::Made)).count())
    }

    /// Forgets every flow: another engine carries them now.
    ///
    /// # Errors
    /// Conntrack cannot be asked.
    pub fn forget(&mut self, scene: Scene<'_>) -> Result<(), DaemonError> {
        let entries = self.entries(scene)?;
        self.conntrack.delete_all(entries.iter().map(|(entry, _)| entry))?;
        Ok(())
    }
}

fn carry(scene: Scene<'_>, standing: &Standing<'_>, entry: &Entry, mark: Mark) -> Option<Carry> {
    let ends = matches!(entry.tcp, Some(TcpState::TimeWait | TcpState::Close));
    if !entry.status.contains(Status::SEEN_REPLY) || ends {
        return None;
    }
    let Ruling::Accept { rule, destination_nat, source_nat } = standing.ask(&super::flow(scene, entry, mark)?) else { return None };
    Some(Carry {
        protocol: Protocol(entry.protocol.0),
        source: entry.original.source,
        destination: entry.original.destination,
        translated_source: entry.translated_source(),
        translated_destination: entry.translated_destination(),
        from: scene.numbers.zone_name(mark.from())?.clone(),
        to: scene.numbers.zone_name(mark.to())?.clone(),
        arrival: None,
        egress: None,
        rule: rule.cloned(),
        nat_rule: source_nat.or(destination_nat).cloned(),
        // What a flowtable forwards has no end of its own.
        remaining: entry.timeout.unwrap_or(Duration::ZERO),
    })
}

fn entry(scene: Scene<'_>, flow: &Carry) -> NewEntry {
    let by = flow.rule.as_ref().map_or(AcceptedBy::Default, |rule| AcceptedBy::Rule(scene.numbers.rule(rule)));
    let mark = Mark::new(by, scene.numbers.zone(Some(&flow.from)), scene.numbers.zone(Some(&flow.to)));
    NewEntry {
        translated_source: flow.translated_source,
        translated_destination: flow.translated_destination,
        mark: mark.0,
        ..NewEntry::established(IpProtocol(flow.protocol.0), flow.source, flow.destination, flow.remaining)
    }
}
