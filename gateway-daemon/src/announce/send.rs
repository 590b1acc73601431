//! Onto the wire: packet(7) sockets, open only while they send, as an open one would be handed a copy of every packet.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use pnet_datalink::{Channel, ChannelType, Config, DataLinkSender, MacAddr, NetworkInterface};

use super::{AnnounceError, Announcement, gratuitous_arp, unsolicited_advertisement};
use crate::inventory::IfIndex;

/// Until a full transmit queue is given up. The daemon waits for it.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sends announcements, each on its link; one error per link at most.
pub(super) fn send(announcements: &[Announcement]) -> Vec<AnnounceError> {
    let mut by_link: BTreeMap<IfIndex, Vec<&Announcement>> = BTreeMap::new();
    for announcement in announcements {
        by_link.entry(announcement.link).or_default().push(announcement);
    }
    by_link.values().filter_map(|announcements| send_on_link(announcements).err()).collect()
}

fn send_on_link(announcements: &[&Announcement]) -> Result<(), AnnounceError> {
    let Some(first) = announcements.first() else { return Ok(()) };
    let mut socket = open(first).map_err(|source| AnnounceError::Open { interface: first.name.clone(), source })?;
    for announcement in announcements {
        let frame = match announcement.address {
            IpAddr::V4(address) => gratuitous_arp(announcement.mac, address),
            IpAddr::V6(address) => unsolicited_advertisement(announcement.mac, address, announcement.router),
        };
        let failed = |source| AnnounceError::Send { interface: announcement.name.clone(), source };
        // `None` only for channels that cannot send.
        socket.send_to(&frame, None).unwrap_or(Ok(())).map_err(failed)?;
    }
    Ok(())
}

fn open(on: &Announcement) -> io::Result<Box<dyn DataLinkSender>> {
    let [a, b, c, d, e, f] = on.mac.0;
    // The index is what counts; it is the inventory's, so no list of interfaces is read again.
    let interface = NetworkInterface {
        name: on.name.0.clone(),
        description: String::new(),
        index: on.link.0,
        mac: Some(MacAddr(a, b, c, d, e, f)),
        ips: Vec::new(),
        flags: 0,
    };
    let config = Config { promiscuous: false, channel_type: ChannelType::Layer2, write_timeout: Some(PATIENCE), ..Config::default() };
    match pnet_datalink::channel(&interface, config)? {
        Channel::Ethernet(sender, _) => Ok(sender),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}
