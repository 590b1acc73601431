//! Whom the kernel knows on its links.

use std::collections::BTreeMap;

use rtnetlink::Handle;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourMessage;

use super::NetlinkError;
use super::apply::NextHop;
use super::connection::dump;
use super::parse::{self, NeighbourReport};
use crate::inventory::Mac;

/// Every neighbour of both families whose MAC is known.
///
/// # Errors
/// The kernel refuses the list.
pub async fn neighbours(handle: &Handle) -> Result<BTreeMap<NextHop, Mac>, NetlinkError> {
    let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let known = dump(handle, "list the neighbours", request).await?.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewNeighbour(message) => parse::neighbour(&message),
        _ => None,
    });
    Ok(known
        .filter_map(|(key, report, _)| match report {
            NeighbourReport::Usable(mac) => Some((NextHop { link: key.link, address: key.ip }, mac)),
            NeighbourReport::Unresolved | NeighbourReport::Failed => None,
        })
        .collect())
}
