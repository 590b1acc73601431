//! The nftables datapath: one ruleset, and what is asked of conntrack.
//!
//! A flow that the ruleset has accepted carries the rule and its zones in its mark, so that conntrack's own table is the table of flows.
//! The ruleset lets a marked flow pass; a policy that no longer allows it therefore ends it here, by deleting its entry.

mod cut;
mod handover;
mod views;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::standing::{self, Standing};
use super::{Scene, Told};
use crate::daemon::{DaemonError, error};
use crate::instance::InstanceName;
use crate::inventory::Inventory;
use crate::model::{InterfaceName, Model, ProtocolMatch};
use crate::netlink::conntrack::{self, Conntrack, Entry, IpProtocol};
use crate::nftables::{self, Features, Flow, Mark, NftError, Ruleset};
use crate::sysctl::{self, Saved};

/// Why nftables forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The policy says so.
    Configured,
    /// The kernel refuses the eBPF programs, with its words.
    Refused(String),
}

/// The ruleset in force, and the connection to conntrack.
pub struct Nftables {
    why: Why,
    features: Features,
    applied: Option<Applied>,
    conntrack: Conntrack,
    standing: Standing,
}

/// What the ruleset in force was made from.
struct Applied {
    model: Model,
    ground: Vec<(InterfaceName, Vec<IpNet>)>,
    ruleset: Ruleset,
}

impl Nftables {
    /// Opens what is needed; nothing is applied yet. Needs a tokio runtime.
    ///
    /// # Errors
    /// There is no netlink to conntrack, or no nft.
    pub async fn open(why: Why, saved: &Saved) -> Result<Self, DaemonError> {
        let ipv6_everywhere = sysctl::needs_ipv6_everywhere(saved).unwrap_or_else(|failed| {
            tracing::warn!("{}", error::chain(&failed));
            false
        });
        Ok(Self {
            why,
            features: Features { ipv6_everywhere, ..Features::probe().await? },
            applied: None,
            conntrack: Conntrack::open()?,
            standing: Standing::open()?,
        })
    }

    /// The kernel must be told to forward IPv6 on every interface, or it forwards none.
    #[must_use]
    pub fn needs_ipv6_everywhere(&self) -> bool {
        self.features.ipv6_everywhere
    }

    /// The policy asks for whatever can be had.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        matches!(self.why, Why::Refused(_))
    }

    /// Goes on for another reason.
    pub fn stay(&mut self, why: Why) {
        self.why = why;
    }

    /// The policy of the ruleset in force.
    #[must_use]
    pub fn protected(&self) -> Option<&Model> {
        self.applied.as_ref().map(|applied| &applied.model)
    }

    /// Puts the ruleset in place, where it is another one, and ends the flows that it would not let begin.
    ///
    /// # Errors
    /// nft refuses it; the ruleset before it is in force.
    pub async fn protect(&mut self, scene: Scene<'_>) -> Result<(), NftError> {
        let ground = ground(scene.model, scene.inventory);
        let before = self.applied.as_ref();
        let another_policy = before.is_none_or(|applied| applied.model != *scene.model);
        if !another_policy && before.is_some_and(|applied| applied.ground == ground) {
            return Ok(());
        }
        let instance = scene.instance.as_str();
        let ruleset = nftables::render(instance, scene.model, scene.inventory, scene.numbers, self.features);
        let is_first = before.is_none();
        let is_new = before.is_none_or(|applied| applied.ruleset != ruleset);
        match before {
            Some(_) if !is_new => {}
            // The new ruleset goes on counting where the old one is now. What passes between this reading and the exchange is not counted.
            Some(applied) => ruleset.apply(&applied.ruleset.counters().await?).await?,
            None => ruleset.apply(&[]).await?,
        }
        if is_new {
            self.standing.applied(scene, &ruleset).await?;
        }
        self.applied = Some(Applied { model: scene.model.clone(), ground, ruleset });
        if is_first {
            self.end_foreign(scene);
        }
        if another_policy {
            self.end_refused(scene);
        }
        Ok(())
    }

    /// Nothing expires by our hand; it is looked now and then whether the ruleset stands.
    pub fn sweep(&mut self) -> Duration {
        self.standing.doubt();
        standing::AGAIN
    }

    /// Waits until somebody else has changed a ruleset.
    pub async fn told(&mut self) -> Told {
        self.standing.told().await;
        Told::Rulesets
    }

    /// Looks whether the ruleset stands as it was applied; where it does not, the next [`Nftables::protect`] applies it again.
    pub async fn verify(&mut self, scene: Scene<'_>) {
        if self.applied.is_some() && !self.standing.stands(scene).await {
            self.applied = None;
        }
    }

    /// Removes the ruleset. Conntrack's entries stay: a gateway that comes back goes on with them, and without it nothing is forwarded.
    ///
    /// # Errors
    /// nft refuses.
    pub async fn unprotect(&mut self, instance: &InstanceName) -> Result<(), NftError> {
        self.applied = None;
        nftables::remove(instance.as_str()).await
    }

    /// Flows that this ruleset has accepted.
    fn entries(&mut self, scene: Scene<'_>) -> Result<Vec<(Entry, Mark)>, DaemonError> {
        let mut ours = Vec::new();
        let is_zone = |zone| scene.numbers.zone_name(zone).is_some();
        self.conntrack.for_each(conntrack::Mark::ANY, |entry| {
            let mark = Mark(entry.mark);
            // Others mark connections, too; none of theirs is likely to name two zones and a rule.
            if mark.by().is_some() && is_zone(mark.from()) && is_zone(mark.to()) {
                ours.push((entry, mark));
            }
        })?;
        Ok(ours)
    }
}

/// A conntrack entry in the terms of the policy; `None` when a zone of it is gone.
fn flow<'a>(scene: Scene<'a>, entry: &Entry, mark: Mark) -> Option<Flow<'a>> {
    let (from, to) = (scene.numbers.zone_name(mark.from())?, scene.numbers.zone_name(mark.to())?);
    let external = entry.translated_source();
    let zone = scene.model.zones.iter().find(|zone| zone.name == *to)?;
    // Of several interfaces any may be the one, and the one whose address the flow has must be.
    let addresses: Vec<Ipv4Addr> =
        zone.interfaces.iter().filter_map(|name| scene.inventory.link(name)).filter_map(|link| link.primary_v4()).collect();
    let egress_address = addresses.iter().find(|address| external.ip() == IpAddr::V4(**address)).or(addresses.first()).copied();
    Some(Flow {
        protocol: match entry.protocol {
            IpProtocol::TCP => Some(ProtocolMatch::Tcp),
            IpProtocol::UDP => Some(ProtocolMatch::Udp),
            protocol if protocol.is_icmp() => Some(ProtocolMatch::Icmp),
            _ => None,
        },
        icmp_type: entry.original.icmp.map(|query| query.kind),
        source: entry.original.source,
        destination: entry.original.destination,
        translated_destination: entry.translated_destination(),
        translated_source: external,
        from,
        to,
        egress_address,
    })
}

/// What a ruleset depends on beside the policy: which interfaces of zones there are, and their addresses.
fn ground(model: &Model, inventory: &Inventory) -> Vec<(InterfaceName, Vec<IpNet>)> {
    let names = model.zones.iter().flat_map(|zone| &zone.interfaces);
    names.filter_map(|name| Some((name.clone(), inventory.link(name)?.addresses.clone()))).collect()
}
