//! Addresses, MTU and administrative state of links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use super::error::{is_gone, is_present};
use super::{Applied, ApplyError, LinkRef};
use crate::inventory::{IfIndex, Inventory, Link};
use crate::netlink::NetlinkError;
use crate::netlink::connection::change;

/// An address that was missing and that we added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppliedAddress {
    link: LinkRef,
    address: IpNet,
}

/// An MTU that we set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppliedMtu {
    link: LinkRef,
    before: u32,
    ours: u32,
}

/// What [`addresses`] did.
#[derive(Debug, Default)]
pub struct AddressReport {
    /// Were missing and were added.
    pub added: Vec<IpNet>,
    /// Had been added by the gateway, are no longer wanted, and were removed.
    pub removed: Vec<IpNet>,
    /// What failed; the other addresses were applied nevertheless.
    pub errors: Vec<ApplyError>,
}

/// Adds the missing of `wanted` to `link`, and removes what was added for an earlier policy and is wanted no more. Addresses that were
/// there before the gateway are never removed, wanted or not.
pub async fn addresses(handle: &Handle, link: &Link, wanted: &[IpNet], applied: &mut Applied) -> AddressReport {
    let mut report = AddressReport::default();
    let mut kept = Vec::new();
    for ours in std::mem::take(&mut applied.addresses) {
        if ours.link.index != link.index.0 || wanted.contains(&ours.address) {
            kept.push(ours);
            continue;
        }
        match remove_address(handle, link, ours.address).await {
            Ok(()) => report.removed.push(ours.address),
            Err(source) => {
                report.errors.push(ApplyError::RemoveAddress { link: link.name.clone(), address: ours.address, source });
                kept.push(ours);
            }
        }
    }
    applied.addresses = kept;
    for &address in wanted.iter().filter(|address| !link.addresses.contains(address)) {
        match add_address(handle, link.index, address).await {
            Ok(()) => {
                let ours = AppliedAddress { link: LinkRef::of(link), address };
                if !applied.addresses.contains(&ours) {
                    applied.addresses.push(ours);
                }
                report.added.push(address);
            }
            // Somebody else was faster than the observation: theirs, not ours to remove.
            Err(error) if is_present(&error) => {}
            Err(source) => report.errors.push(ApplyError::AddAddress { link: link.name.clone(), address, source }),
        }
    }
    report
}

/// Sets the MTU in bytes; `None` gives back what it was before the gateway first set it.
///
/// # Errors
/// When the driver refuses the value.
pub async fn mtu(handle: &Handle, link: &Link, wanted: Option<u32>, applied: &mut Applied) -> Result<(), ApplyError> {
    let noted = applied.mtus.iter().position(|noted| noted.link.index == link.index.0);
    let value = match (wanted, noted) {
        (Some(value), _) => value,
        (None, Some(position)) => applied.mtus[position].before,
        (None, None) => return Ok(()),
    };
    if link.mtu != value {
        let attribute = LinkAttribute::Mtu(value);
        set_link(handle, "set the MTU", link.index, |message| message.attributes.push(attribute))
            .await
            .map_err(|source| ApplyError::SetMtu { link: link.name.clone(), mtu: value, source })?;
    }
    match (wanted, noted) {
        (None, Some(position)) => {
            applied.mtus.swap_remove(position);
        }
        (Some(value), Some(position)) => applied.mtus[position].ours = value,
        (Some(value), None) if link.mtu != value => {
            applied.mtus.push(AppliedMtu { link: LinkRef::of(link), before: link.mtu, ours: value });
        }
        _ => {}
    }
    Ok(())
}

/// Sets the link up if it is down.
///
/// # Errors
/// When the kernel refuses.
pub async fn up(handle: &Handle, link: &Link, applied: &mut Applied) -> Result<(), ApplyError> {
    if link.up {
        return Ok(());
    }
    set_up(handle, link, true).await?;
    let ours = LinkRef::of(link);
    if !applied.ups.contains(&ours) {
        applied.ups.push(ours);
    }
    Ok(())
}

async fn set_up(handle: &Handle, link: &Link, up: bool) -> Result<(), ApplyError> {
    set_link(handle, "set the link's state", link.index, |message| {
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
    })
    .await
    .map_err(|source| ApplyError::SetUp { link: link.name.clone(), up, source })
}

async fn set_link(handle: &Handle, action: &'static str, index: IfIndex, edit: impl FnOnce(&mut LinkMessage)) -> Result<(), NetlinkError> {
    let mut message = LinkMessage::default();
    message.header.index = index.0;
    edit(&mut message);
    change(handle, action, RouteNetlinkMessage::SetLink(message), 0).await
}

fn address_message(index: IfIndex, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index.0;
    message.header.prefix_len = net.prefix_len();
    message.header.family = match net {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.attributes.push(AddressAttribute::Local(net.addr()));
    message.attributes.push(AddressAttribute::Address(net.addr()));
    message
}

async fn add_address(handle: &Handle, index: IfIndex, net: IpNet) -> Result<(), NetlinkError> {
    let mut message = address_message(index, net);
    if let Some(broadcast) = broadcast(net) {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    change(handle, "add an address", RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL).await
}

/// None on /31 and /32, which have no broadcast address (RFC 3021).
fn broadcast(net: IpNet) -> Option<Ipv4Addr> {
    match net {
        IpNet::V4(net) if net.prefix_len() < 31 => Some(net.broadcast()),
        _ => None,
    }
}

/// Removes our address, and only it: with a primary IPv4 address the kernel also drops the secondary ones of the same prefix
/// (`promote_secondaries` off), so those are put back.
async fn remove_address(handle: &Handle, link: &Link, address: IpNet) -> Result<(), NetlinkError> {
    let message = RouteNetlinkMessage::DelAddress(address_message(link.index, address));
    match change(handle, "remove an address", message, 0).await {
        Err(error) if !is_gone(&error) => return Err(error),
        _ => {}
    }
    let is_secondary = |other: &&IpNet| matches!(other.addr(), IpAddr::V4(_)) && other.trunc() == address.trunc() && **other != address;
    for &other in link.addresses.iter().filter(is_secondary) {
        match add_address(handle, link.index, other).await {
            Err(error) if !is_present(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Undoes addresses, MTUs and states, in this order.
pub(super) async fn restore(handle: &Handle, inventory: &Inventory, applied: &mut Applied) -> Vec<ApplyError> {
    let mut errors = Vec::new();
    let mut failed = Vec::new();
    let ours = std::mem::take(&mut applied.addresses);
    for noted in ours.iter().rev() {
        let Some(link) = noted.link.find(inventory) else { continue };
        let mut others = link.clone();
        // Our own secondary addresses are not to be put back.
        others.addresses.retain(|&address| !ours.iter().any(|other| other.link == noted.link && other.address == address));
        if let Err(source) = remove_address(handle, &others, noted.address).await {
            errors.push(ApplyError::RemoveAddress { link: noted.link.interface(), address: noted.address, source });
            failed.push(noted.clone());
        }
    }
    applied.addresses = failed;
    for noted in applied.mtus.clone() {
        match noted.link.find(inventory) {
            // Somebody changed it since: their decision stands.
            Some(link) if link.mtu != noted.ours => applied.mtus.retain(|other| *other != noted),
            Some(link) => errors.extend(mtu(handle, link, None, applied).await.err()),
            None => applied.mtus.retain(|other| *other != noted),
        }
    }
    for noted in std::mem::take(&mut applied.ups) {
        if let Some(link) = noted.find(inventory)
            && let Err(error) = set_up(handle, link, false).await
        {
            errors.push(error);
            applied.ups.push(noted);
        }
    }
    errors
}
