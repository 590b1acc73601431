//! Next hops that the kernel keeps resolved by itself (`NTF_EXT_MANAGED`, Linux 5.16): XDP cannot resolve a neighbour, so a next hop's
//! entry must never be missing because nobody asked for a while.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::StreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use serde::{Deserialize, Serialize};

use super::error::is_gone;
use super::{Applied, ApplyError, LinkRef, PROTOCOL};
use crate::inventory::{IfIndex, Inventory};
use crate::netlink::NetlinkError;
use crate::netlink::connection::change;

/// A next hop to be kept resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// The link it is on.
    pub link: IfIndex,
    /// Its address.
    pub address: IpAddr,
}

/// A neighbour that we made managed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AppliedNeighbour {
    link: LinkRef,
    address: IpAddr,
}

/// Why a next hop is not kept resolved by the kernel. It still works: the first packet resolves it.
#[derive(Debug, thiserror::Error)]
pub enum Unmanaged {
    /// The operator's own permanent entry needs no resolving, and making it managed would make it expire.
    #[error("it has a permanent entry, which needs no resolving")]
    Permanent,
    /// There is no such link.
    #[error("its link does not exist")]
    NoLink,
    /// The kernel is older than 5.16 and ignored the flag.
    #[error("this kernel does not know managed neighbours (Linux 5.16)")]
    OldKernel,
    /// The kernel said no.
    #[error("{0}")]
    Refused(NetlinkError),
}

/// What [`neighbours`] did.
#[derive(Debug, Default)]
pub struct NeighbourReport {
    /// How many next hops the kernel keeps resolved for the gateway.
    pub managed: usize,
    /// Those that it does not, and why.
    pub unmanaged: Vec<(NextHop, Unmanaged)>,
    /// Those that it should no longer keep, but does.
    pub errors: Vec<ApplyError>,
}

/// What the kernel has for one neighbour.
enum Entry {
    None,
    Permanent,
    Managed,
    Other,
}

/// Makes exactly `wanted` managed. Entries that others made managed are left to them.
pub async fn neighbours(handle: &Handle, inventory: &Inventory, wanted: &BTreeSet<NextHop>, applied: &mut Applied) -> NeighbourReport {
    let is_wanted = |noted: &AppliedNeighbour| wanted.contains(&NextHop { link: IfIndex(noted.link.index), address: noted.address });
    let (kept, mut unwanted) = applied.neighbours.drain(..).partition::<Vec<_>, _>(is_wanted);
    let mut report = NeighbourReport { errors: restore(handle, inventory, &mut unwanted).await, ..NeighbourReport::default() };
    applied.neighbours = kept;
    applied.neighbours.append(&mut unwanted);
    for &hop in wanted {
        match manage(handle, inventory, hop, applied).await {
            Ok(()) => report.managed += 1,
            Err(reason) => report.unmanaged.push((hop, reason)),
        }
    }
    report
}

async fn manage(handle: &Handle, inventory: &Inventory, hop: NextHop, applied: &mut Applied) -> Result<(), Unmanaged> {
    let link = inventory.links.get(&hop.link).ok_or(Unmanaged::NoLink)?;
    match entry(handle, hop).await.map_err(Unmanaged::Refused)? {
        Entry::Permanent => return Err(Unmanaged::Permanent),
        Entry::Managed => return Ok(()),
        Entry::None | Entry::Other => {}
    }
    let mut message = message(hop);
    message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL)));
    let request = RouteNetlinkMessage::NewNeighbour(message);
    change(handle, "keep a neighbour resolved", request, NLM_F_CREATE | NLM_F_REPLACE).await.map_err(Unmanaged::Refused)?;
    let ours = AppliedNeighbour { link: LinkRef::of(link), address: hop.address };
    if !applied.neighbours.contains(&ours) {
        applied.neighbours.push(ours);
    }
    // Before 5.16 the attribute is unknown and, outside strict checking, ignored.
    match entry(handle, hop).await.map_err(Unmanaged::Refused)? {
        Entry::Managed => Ok(()),
        _ => Err(Unmanaged::OldKernel),
    }
}

fn message(hop: NextHop) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = match hop.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.ifindex = hop.link.0;
    message.attributes.push(NeighbourAttribute::Destination(hop.address.into()));
    message
}

async fn entry(handle: &Handle, hop: NextHop) -> Result<Entry, NetlinkError> {
    let action = "look a neighbour up";
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(message(hop)));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut answers = handle.clone().request(request).map_err(|_| NetlinkError::Closed { action })?;
    let mut entry = Entry::None;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(found)) => {
                let managed = |attribute: &NeighbourAttribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed));
                entry = match found.header.state {
                    NeighbourState::Permanent | NeighbourState::Noarp => Entry::Permanent,
                    _ if found.attributes.iter().any(managed) => Entry::Managed,
                    _ => Entry::Other,
                };
            }
            NetlinkPayload::Error(error) if error.code.is_some() => {
                let error = NetlinkError::refused(action, &error);
                return if is_gone(&error) { Ok(Entry::None) } else { Err(error) };
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// Lets go of what is noted; what fails stays noted.
pub(super) async fn restore(handle: &Handle, inventory: &Inventory, noted: &mut Vec<AppliedNeighbour>) -> Vec<ApplyError> {
    let mut errors = Vec::new();
    for ours in std::mem::take(noted) {
        let Some(link) = ours.link.find(inventory) else { continue };
        let hop = NextHop { link: link.index, address: ours.address };
        // Deleted by somebody, and perhaps made permanent by the operator since.
        if !matches!(entry(handle, hop).await, Ok(Entry::Managed)) {
            continue;
        }
        match change(handle, "let go of a neighbour", RouteNetlinkMessage::DelNeighbour(message(hop)), 0).await {
            Err(source) if !is_gone(&source) => {
                errors.push(ApplyError::RemoveNeighbour { link: ours.link.interface(), address: ours.address, source });
                noted.push(ours);
            }
            _ => {}
        }
    }
    errors
}
