//! The gateway's presence on the wire: its neighbours are told at once where its addresses are, instead of finding out when their
//! entries time out.
//!
//! # What is sent
//! - IPv4: an ARP *request* that asks for the address it comes from (RFC 5227 section 3, which also says why not a reply). Linux takes it
//!   over into an entry that it has, whatever `arp_accept` says, and since 4.13 also within `locktime` (`arp_process` in net/ipv4/arp.c);
//!   a gratuitous *reply* it would treat the same, but switches that inspect ARP distrust one that nobody asked for. Windows and OVN's
//!   routers renew existing entries from requests too (RFC 826: the merge does not look at the opcode).
//! - IPv6: a neighbour advertisement to all nodes with the override flag (RFC 4861 section 7.2.6), and with the router flag where the
//!   interface forwards: without it hosts would take the gateway off their list of routers (section 7.2.5).
//!
//! Always from the port's own MAC: OVN's port security drops any other, a VRRP virtual MAC above all.
//!
//! # When
//! At start, for every address of every zone interface; then whenever an address comes, an interface comes up or gets its carrier, its
//! MAC changes, or something says that the machine was moved to another host:
//! - `RTM_NEWLINK` with `IFLA_EVENT_NOTIFY_PEERS`. After a live migration QEMU raises `VIRTIO_NET_S_ANNOUNCE`; the guest's virtio-net calls
//!   `netdev_notify_peers`, and the kernel itself sends one announcement and this event. One can be lost while the new port is not yet
//!   bound; ours repeat it.
//! - A carrier that goes and comes: KubeVirt does that after a migration to interfaces in `bridge` binding.
//! - A clock that was set (`TFD_TIMER_CANCEL_ON_SET`): libvirt and KubeVirt set the guest's time through the guest agent after a migration
//!   and when a paused guest goes on; a resume from suspend counts as well.
//!
//! Not used: clocks that drift apart (a guest's monotonic clock stands still with the guest, so nothing shows), and a neighbour's new MAC
//! (behind `masquerade` the far end has the same one on every host).
//!
//! # How often
//! Three times per occasion ([`Schedule`]); at most some hundred frames per second in all.

mod clock;
mod error;
mod frame;
mod schedule;
mod send;

use std::collections::BTreeSet;
use std::time::Instant;

pub use clock::ClockWatch;
pub use error::AnnounceError;
pub use frame::{gratuitous_arp, unsolicited_advertisement};
pub use schedule::{Announcement, Presence, Schedule};

use crate::inventory::{IfIndex, Inventory, Link};

/// Announces what the gateway holds.
#[derive(Debug, Default)]
pub struct Announcer {
    schedule: Schedule,
}

impl Announcer {
    /// Takes in what the interfaces hold now. `interfaces` are those of zones, `forwarding` those of them that forward IPv6.
    pub fn observe(
        &mut self,
        inventory: &Inventory,
        interfaces: impl IntoIterator<Item = IfIndex>,
        forwarding: &BTreeSet<IfIndex>,
        now: Instant,
    ) {
        let present = interfaces
            .into_iter()
            .filter_map(|index| inventory.links.get(&index))
            .filter_map(|link| presence(inventory, link, forwarding.contains(&link.index)));
        self.schedule.update(present.collect(), now);
    }

    /// The machine may have been moved: everything is announced again.
    pub fn moved(&mut self, now: Instant) {
        self.schedule.again(now);
    }

    /// When [`Announcer::send`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.schedule.due()
    }

    /// Sends what is due, from the calling thread's network namespace. Announcements that fail are not made up for: the next round is due
    /// soon, and a link that fails is about to change.
    pub fn send(&mut self, now: Instant) -> Vec<AnnounceError> {
        send::send(&self.schedule.take(now))
    }
}

/// `None`: nobody would hear it.
fn presence(inventory: &Inventory, link: &Link, router: bool) -> Option<Presence> {
    let mac = link.mac.filter(|_| link.up && link.carrier)?;
    // RFC 4862 section 5.4: an address that may be somebody else's is not advertised.
    let addresses = link.addresses.iter().map(ipnet::IpNet::addr).filter(|address| !inventory.tentative.contains(&(link.index, *address)));
    Some(Presence {
        link: link.index,
        name: link.name.clone(),
        mac,
        addresses: addresses.collect(),
        router,
        asked: inventory.notify_peers.get(&link.index).copied().unwrap_or(0),
    })
}
