//! Who is told what, and when: plain data, the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::inventory::{IfIndex, Mac};
use crate::model::InterfaceName;

/// Times that each occasion is announced. `MAX_NEIGHBOR_ADVERTISEMENT` (RFC 4861 section 10); of ARP one more than `ANNOUNCE_NUM`
/// (RFC 5227 section 1.1), for a virtual switch that takes seconds to bind a port on its new host.
pub const ROUNDS: u8 = 3;
/// Between two ARP announcements: `ANNOUNCE_INTERVAL` (RFC 5227 section 1.1).
pub const ARP_INTERVAL: Duration = Duration::from_secs(2);
/// Between two advertisements: `RETRANS_TIMER` (RFC 4861 section 10). Also the least time between two announcements of one address, with
/// which a flapping link is damped.
pub const NA_INTERVAL: Duration = Duration::from_secs(1);
/// Frames in one go, and the time to the next: an interface with a thousand addresses is no storm for the neighbours.
const BATCH: usize = 32;
const BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// What the gateway holds on one interface that can be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Its index.
    pub link: IfIndex,
    /// Its name, for messages.
    pub name: InterfaceName,
    /// Its own MAC.
    pub mac: Mac,
    /// Its addresses of both families.
    pub addresses: BTreeSet<IpAddr>,
    /// It forwards IPv6.
    pub router: bool,
    /// How often its driver has asked for announcements.
    pub asked: u64,
}

/// One frame to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where.
    pub link: IfIndex,
    /// Its name.
    pub name: InterfaceName,
    /// From whom.
    pub mac: Mac,
    /// What.
    pub address: IpAddr,
    /// The router flag.
    pub router: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    left: u8,
    due: Instant,
    sent: Option<Instant>,
}

/// What has been announced and what is still to be.
#[derive(Debug, Default)]
pub struct Schedule {
    links: BTreeMap<IfIndex, Presence>,
    entries: BTreeMap<(IfIndex, IpAddr), Entry>,
    /// Nothing before this: the last batch was full.
    held: Option<Instant>,
}

impl Schedule {
    /// Takes in all that is present now; what is new, or not as it was, is announced.
    pub fn update(&mut self, present: Vec<Presence>, now: Instant) {
        let present: BTreeMap<IfIndex, Presence> = present.into_iter().map(|presence| (presence.link, presence)).collect();
        // What is gone is forgotten, and new when it comes again.
        self.entries.retain(|(link, address), _| present.get(link).is_some_and(|presence| presence.addresses.contains(address)));
        for (link, presence) in &present {
            let before = self.links.get(link);
            let moved = before.is_none_or(|before| before.mac != presence.mac);
            let asked = before.is_some_and(|before| before.asked != presence.asked);
            for address in &presence.addresses {
                let key = (*link, *address);
                if moved {
                    // Neighbours hold a MAC that leads nowhere: no damping.
                    self.entries.remove(&key);
                }
                if asked || !self.entries.contains_key(&key) {
                    self.begin(key, now);
                }
            }
        }
        self.links = present;
    }

    /// Announces everything again.
    pub fn again(&mut self, now: Instant) {
        let keys: Vec<_> = self.entries.keys().copied().collect();
        for key in keys {
            self.begin(key, now);
        }
    }

    fn begin(&mut self, key: (IfIndex, IpAddr), now: Instant) {
        let sent = self.entries.get(&key).and_then(|entry| entry.sent);
        let due = sent.map_or(now, |sent| now.max(sent + NA_INTERVAL));
        self.entries.insert(key, Entry { left: ROUNDS, due, sent });
    }

    /// When [`Schedule::take`] has something.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let first = self.entries.values().filter(|entry| entry.left > 0).map(|entry| entry.due).min()?;
        Some(self.held.map_or(first, |held| first.max(held)))
    }

    /// Takes what is due, no more than a batch of it; the rest is due a little later.
    pub fn take(&mut self, now: Instant) -> Vec<Announcement> {
        if self.held.is_some_and(|held| held > now) {
            return Vec::new();
        }
        let mut batch = Vec::new();
        for ((link, address), entry) in &mut self.entries {
            let Some(presence) = self.links.get(link) else { continue };
            if entry.left == 0 || entry.due > now {
                continue;
            }
            if batch.len() == BATCH {
                break;
            }
            entry.left -= 1;
            entry.sent = Some(now);
            entry.due = now + if address.is_ipv4() { ARP_INTERVAL } else { NA_INTERVAL };
            batch.push(Announcement {
                link: *link,
                name: presence.name.clone(),
                mac: presence.mac,
                address: *address,
                router: presence.router,
            });
        }
        self.held = (batch.len() == BATCH).then(|| now + BATCH_INTERVAL);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(mac: u8, addresses: &[&str]) -> Presence {
        Presence {
            link: IfIndex(2),
            name: InterfaceName("eth1".into()),
            mac: Mac([2, 0, 0, 0, 0, mac]),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            router: true,
            asked: 0,
        }
    }

    /// When what is announced, in milliseconds, until nothing is due any more.
    fn sent(schedule: &mut Schedule, start: Instant) -> Vec<(u128, String, u8)> {
        let mut sent = Vec::new();
        while let Some(due) = schedule.due() {
            for announcement in schedule.take(due) {
                sent.push(((due - start).as_millis(), announcement.address.to_string(), announcement.mac.0[5]));
            }
        }
        sent
    }

    #[test]
    fn each_address_is_announced_three_times_at_the_intervals_of_its_rfc() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.update(vec![presence(1, &["10.0.0.1", "fd00::1"])], start);
        let (v4, v6) = ("10.0.0.1".to_owned(), "fd00::1".to_owned());
        assert_eq!(
            sent(&mut schedule, start),
            [(0, v4.clone(), 1), (0, v6.clone(), 1), (1000, v6.clone(), 1), (2000, v4.clone(), 1), (2000, v6, 1), (4000, v4, 1)]
        );
        schedule.update(vec![presence(1, &["10.0.0.1", "fd00::1"])], start + Duration::from_secs(9));
        assert_eq!(schedule.due(), None, "nothing has changed");
    }

    #[test]
    fn a_new_address_a_new_mac_and_a_link_that_returns_are_announced() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.update(vec![presence(1, &["10.0.0.1"])], start);
        sent(&mut schedule, start);
        let start = start + Duration::from_secs(60);
        schedule.update(vec![presence(1, &["10.0.0.1", "10.0.0.2"])], start);
        assert_eq!(
            sent(&mut schedule, start).iter().map(|(at, address, _)| (*at, address.as_str())).collect::<Vec<_>>(),
            [(0, "10.0.0.2"), (2000, "10.0.0.2"), (4000, "10.0.0.2")]
        );
        // Without waiting for the rest of the round before.
        let start = start + Duration::from_millis(4001);
        schedule.update(vec![presence(7, &["10.0.0.2"])], start);
        assert_eq!(sent(&mut schedule, start).iter().map(|(at, _, mac)| (*at, *mac)).collect::<Vec<_>>(), [(0, 7), (2000, 7), (4000, 7)]);
        schedule.update(vec![], start);
        assert_eq!(schedule.due(), None);
        schedule.update(vec![presence(7, &["10.0.0.2"])], start);
        assert_eq!(schedule.due(), Some(start));
    }

    #[test]
    fn a_move_is_announced_but_no_address_more_than_once_a_second() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        schedule.update(vec![presence(1, &["10.0.0.1"])], start);
        assert_eq!(schedule.take(start).len(), 1);
        // The driver asks a hundred times within a second.
        for millisecond in (0..1000).step_by(10) {
            let now = start + Duration::from_millis(millisecond);
            schedule.update(vec![Presence { asked: 1 + millisecond, ..presence(1, &["10.0.0.1"]) }], now);
            assert!(schedule.take(now).is_empty());
        }
        assert_eq!(schedule.due(), Some(start + NA_INTERVAL));
        assert_eq!(sent(&mut schedule, start).len(), 3);
        let later = start + Duration::from_secs(60);
        schedule.again(later);
        assert_eq!(schedule.take(later).len(), 1, "the clock was set");
    }

    #[test]
    fn a_thousand_addresses_are_no_storm() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let many: Vec<String> = (0..1000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
        schedule.update(vec![presence(1, &many.iter().map(String::as_str).collect::<Vec<_>>())], start);
        let sent = sent(&mut schedule, start);
        assert_eq!(sent.len(), 3000);
        let in_a_second = |from: u128| sent.iter().filter(|(at, ..)| (from..from + 1000).contains(at)).count();
        assert!((0..10_000).step_by(500).all(|from| in_a_second(from) <= 330));
    }
}
