//! What the live commands are shown of the nftables datapath: conntrack's entries as flows, the ruleset's counters as drops.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gateway_ebpf::abi::{self, DropReason, Reason};

use super::super::drops::drops;
use super::super::scene::DEFAULT_RULE;
use super::super::{Handling, Scene};
use super::{Nftables, Why};
use crate::control::view::{Datapath, DropsView, FlowState, FlowView, IpFamily, MappingView, Protocol, TableView, TrafficView};
use crate::daemon::DaemonError;
use crate::model::{Action, RuleName, Timeouts};
use crate::netlink::conntrack::{Counters, Entry, IpProtocol, Status, TcpState};
use crate::nftables::{AcceptedBy, Count, Counted, Mark, NftError, Ruling, Standing};

impl Nftables {
    /// How every interface's packets are handled.
    #[must_use]
    pub fn handling(&self) -> Handling {
        let reason = match &self.why {
            Why::Configured => "the policy asks for nftables".to_owned(),
            Why::Refused(refusal) => format!("auto: the eBPF datapath cannot run here: {refusal}"),
        };
        let attach = if self.features.flowtable { "forward and nat hooks, flowtable" } else { "forward and nat hooks" };
        Handling { datapath: Datapath::Nftables, attach: attach.to_owned(), reason }
    }

    /// How full conntrack's table is, with whatever else is tracked in this namespace.
    ///
    /// # Errors
    /// Conntrack does not say.
    pub fn tables(&mut self) -> Result<Vec<TableView>, DaemonError> {
        let stats = self.conntrack.stats()?;
        Ok(vec![TableView { name: "conntrack".to_owned(), used: u64::from(stats.entries), capacity: stats.limit.map_or(0, u64::from) }])
    }

    /// Counters since the start.
    ///
    /// # Errors
    /// nft does not list them.
    pub async fn traffic(&mut self, scene: Scene<'_>) -> Result<TrafficView, DaemonError> {
        let accepts: HashSet<&RuleName> =
            scene.model.firewall.rules.iter().filter(|rule| rule.action == Action::Accept).map(|rule| &rule.name).collect();
        let mut traffic = TrafficView::default();
        let mut over_rate = 0;
        let is_accepted = |counted: &Counted| match counted {
            Counted::DefaultAccept => true,
            Counted::Rule(rule) => accepts.contains(rule),
            _ => false,
        };
        for Count { counted, packets, bytes } in self.counts().await? {
            match counted {
                Counted::Flow => {
                    traffic.packets_forwarded += packets;
                    traffic.bytes_forwarded += bytes;
                }
                first if is_accepted(&first) => {
                    traffic.flows_opened += packets;
                    traffic.packets_forwarded += packets;
                    traffic.bytes_forwarded += bytes;
                }
                Counted::Reason(reason) => {
                    traffic.packets_dropped += packets;
                    if reason == DropReason::RuleRate {
                        // Its rule has counted it, too.
                        over_rate += packets;
                    }
                }
                _ => {}
            }
        }
        traffic.flows_opened = traffic.flows_opened.saturating_sub(over_rate);
        traffic.packets_forwarded = traffic.packets_forwarded.saturating_sub(over_rate);
        Ok(traffic)
    }

    async fn counts(&self) -> Result<Vec<Count>, NftError> {
        match &self.applied {
            Some(applied) => applied.ruleset.counters().await,
            None => Ok(Vec::new()),
        }
    }

    /// What was not forwarded, and by which rule.
    ///
    /// # Errors
    /// nft does not list the counters.
    pub async fn drops(&mut self, scene: Scene<'_>) -> Result<DropsView, DaemonError> {
        let mut reasons = Vec::new();
        let mut matched = HashMap::new();
        for count in self.counts().await? {
            match count.counted {
                Counted::Reason(reason) if count.packets > 0 => reasons.push((Reason::Drop(reason), count.packets)),
                Counted::Rule(rule) => {
                    matched.insert(rule, count.packets);
                }
                _ => {}
            }
        }
        let hits = scene.model.firewall.rules.iter().map(|rule| matched.get(&rule.name).copied().unwrap_or(0)).collect();
        Ok(drops(scene.model, reasons, hits))
    }

    /// Every flow.
    ///
    /// # Errors
    /// Conntrack does not list them.
    pub fn flows(&mut self, scene: Scene<'_>) -> Result<Vec<FlowView>, DaemonError> {
        let standing = Standing::new(scene.model, scene.inventory);
        Ok(self.entries(scene)?.iter().filter_map(|(entry, mark)| flow(scene, &standing, entry, *mark)).collect())
    }

    /// Every external endpoint that a flow uses, once. Conntrack keeps none without a flow.
    ///
    /// # Errors
    /// Conntrack does not list the flows.
    pub fn mappings(&mut self, scene: Scene<'_>) -> Result<Vec<MappingView>, DaemonError> {
        let standing = Standing::new(scene.model, scene.inventory);
        let now = SystemTime::now();
        let mut mappings: HashMap<(u8, SocketAddr, SocketAddr), MappingView> = HashMap::new();
        for (entry, mark) in self.entries(scene)? {
            let Some(protocol) = protocol(entry.protocol).filter(|_| entry.has_source_nat()) else { continue };
            let (internal, external) = (entry.original.source, entry.translated_source());
            let age = entry.started.and_then(|started| now.duration_since(started).ok()).unwrap_or_default();
            let mapping = mappings.entry((entry.protocol.0, internal, external)).or_insert_with(|| MappingView {
                protocol,
                internal,
                external,
                rule: nat_rule(scene, &standing, &entry, mark).unwrap_or_else(|| "-".to_owned()),
                age_seconds: 0,
                idle_seconds: u64::MAX,
            });
            mapping.age_seconds = mapping.age_seconds.max(age.as_secs());
            mapping.idle_seconds = mapping.idle_seconds.min(idle(&scene.model.timeouts, &entry).0.as_secs());
        }
        Ok(mappings.into_values().collect())
    }
}

fn flow(scene: Scene<'_>, standing: &Standing<'_>, entry: &Entry, mark: Mark) -> Option<FlowView> {
    let ends = entry.endpoints();
    let (idle, expires) = idle(&scene.model.timeouts, entry);
    let zone = |zone| scene.numbers.zone_name(zone).map_or_else(|| "-".to_owned(), |name| name.0.clone());
    let counted = |counters: Option<Counters>| counters.unwrap_or_default();
    let (original, reply) = (counted(entry.original_counters), counted(entry.reply_counters));
    Some(FlowView {
        family: if entry.original.source.is_ipv4() { IpFamily::V4 } else { IpFamily::V6 },
        protocol: protocol(entry.protocol)?,
        internal: ends.internal,
        external: ends.external,
        remote: ends.remote,
        original_destination: ends.original_destination,
        from_zone: zone(mark.from()),
        to_zone: zone(mark.to()),
        state: state(entry),
        rule: match mark.by()? {
            AcceptedBy::Default => DEFAULT_RULE.to_owned(),
            AcceptedBy::Rule(rule) => scene.rule_name(rule),
        },
        nat_rule: nat_rule(scene, standing, entry, mark),
        idle_seconds: idle.as_secs(),
        expires_seconds: expires.as_secs(),
        packets_original: original.packets,
        bytes_original: original.bytes,
        packets_reply: reply.packets,
        bytes_reply: reply.bytes,
    })
}

/// The rule that translates it, by the policy of now.
fn nat_rule(scene: Scene<'_>, standing: &Standing<'_>, entry: &Entry, mark: Mark) -> Option<String> {
    match standing.ask(&super::flow(scene, entry, mark)?) {
        Ruling::Accept { destination_nat, source_nat, .. } => source_nat.or(destination_nat).map(|RuleName(name)| name.clone()),
        Ruling::End(_) => None,
    }
}

fn protocol(protocol: IpProtocol) -> Option<Protocol> {
    Protocol::from_abi(abi::Protocol(protocol.0))
}

/// Conntrack's states in the terms of the datapath's (include/uapi/linux/netfilter/nf_conntrack_tcp.h).
fn state(entry: &Entry) -> FlowState {
    match entry.tcp {
        Some(TcpState::SynSent | TcpState::SynSent2 | TcpState::None) => FlowState::Opening,
        Some(TcpState::SynRecv) => FlowState::Answered,
        Some(TcpState::FinWait | TcpState::CloseWait | TcpState::LastAck) => FlowState::Closing,
        Some(TcpState::TimeWait | TcpState::Close) => FlowState::Closed,
        Some(TcpState::Established) => FlowState::Established,
        None if entry.status.contains(Status::SEEN_REPLY) => FlowState::Established,
        None => FlowState::Opening,
    }
}

/// Since the last packet, and until the end: conntrack tells the latter, and what a packet gives is in the policy.
fn idle(timeouts: &Timeouts, entry: &Entry) -> (Duration, Duration) {
    let allowed = match (entry.protocol, state(entry)) {
        (IpProtocol::TCP, FlowState::Opening | FlowState::Answered) => timeouts.tcp_opening,
        (IpProtocol::TCP, FlowState::Established) => timeouts.tcp_established,
        (IpProtocol::TCP, _) => timeouts.tcp_closing,
        (IpProtocol::UDP, _) => timeouts.udp,
        _ => timeouts.icmp,
    };
    // A flowtable's flows do not expire, and the kernel tells no time for them.
    let left = entry.timeout.unwrap_or(allowed);
    (allowed.saturating_sub(left), left)
}
