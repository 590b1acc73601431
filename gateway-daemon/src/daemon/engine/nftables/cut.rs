//! Flows under another policy: what it no longer allows ends, and what another rule allows now is marked as that rule's.

use std::collections::HashMap;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::{DaemonError, Nftables, Scene, error};
use crate::netlink::conntrack::{self, Entry};
use crate::nftables::{AcceptedBy, Mark, Ruling, Standing};

/// What became of the flows.
struct Cut {
    /// Those that there were.
    flows: usize,
    /// Those that have been ended.
    ended: u64,
}

impl Nftables {
    /// Ends the flows that the policy of now would not let begin.
    pub fn end_refused(&mut self, scene: Scene<'_>) {
        match self.cut(scene) {
            Ok(cut) if cut.ended > 0 => tracing::info!("{} of {} flows ended: the policy no longer allows them", cut.ended, cut.flows),
            Ok(_) => {}
            Err(failed) => {
                tracing::warn!("flows that the policy no longer allows may go on until they are idle: {}", error::chain(&failed));
            }
        }
    }

    /// Ends flows of hosts beside our interfaces that somebody else let through before the ruleset came: their translation was never ours
    /// to decide, and the ruleset refuses their packets as long as they are tracked.
    pub fn end_foreign(&mut self, scene: Scene<'_>) {
        let is_own = |end: SocketAddr| scene.inventory.links.values().any(|link| link.addresses.iter().any(|net| net.addr() == end.ip()));
        let links = scene.model.zones.iter().flat_map(|zone| &zone.interfaces).filter_map(|name| scene.inventory.link(name));
        let networks: Vec<IpNet> = links.flat_map(|link| &link.addresses).copied().collect();
        let is_beside = |end: SocketAddr| networks.iter().any(|net| net.contains(&end.ip()));
        let mut foreign = Vec::new();
        let listed = self.conntrack.for_each(conntrack::Mark::ANY, |entry| {
            let ends = [entry.original.source, entry.translated_destination()];
            if Mark(entry.mark).by().is_none() && ends.into_iter().any(is_beside) && !ends.into_iter().any(is_own) {
                foreign.push(entry);
            }
        });
        match listed.and_then(|()| self.conntrack.delete_all(&foreign)) {
            Ok(0) => {}
            Ok(ended) => tracing::info!("{ended} flows ended that the kernel forwarded before the gateway came"),
            Err(failed) => tracing::warn!("{}", error::chain(&failed)),
        }
    }

    fn cut(&mut self, scene: Scene<'_>) -> Result<Cut, DaemonError> {
        let standing = Standing::new(scene.model, scene.inventory);
        let entries = self.entries(scene)?;
        let mut ended = Vec::new();
        let mut marked: HashMap<u32, Vec<&Entry>> = HashMap::new();
        for (entry, mark) in &entries {
            match super::flow(scene, entry, *mark).map(|flow| standing.ask(&flow)) {
                Some(Ruling::Accept { rule, .. }) => {
                    let by = rule.map_or(AcceptedBy::Default, |rule| AcceptedBy::Rule(scene.numbers.rule(rule)));
                    let now = Mark::new(by, mark.from(), mark.to());
                    if now != *mark {
                        marked.entry(now.0).or_default().push(entry);
                    }
                }
                Some(Ruling::End(_)) | None => ended.push(entry),
            }
        }
        let ended = self.conntrack.delete_all(ended)?;
        for (mark, entries) in marked {
            self.conntrack.set_mark_all(entries, conntrack::Mark::whole(mark))?;
        }
        Ok(Cut { flows: entries.len(), ended })
    }
}
