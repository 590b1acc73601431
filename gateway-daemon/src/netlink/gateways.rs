//! Next hops of the routes that are in the kernel's tables, whoever put them there: the default gateway above all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rtnetlink::Handle;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::NetlinkError;
use super::apply::NextHop;
use super::connection::dump;
use crate::inventory::IfIndex;

/// A full routing table has a few gateways and a million routes; a router with more gateways than this resolves the rest as it needs them.
const MOST: usize = 64;

/// The gateways of all unicast routes of both families.
///
/// # Errors
/// The kernel refuses the list.
pub async fn gateways(handle: &Handle) -> Result<BTreeSet<NextHop>, NetlinkError> {
    list(handle, |_| true).await
}

/// The gateways of the default routes of both families.
///
/// # Errors
/// The kernel refuses the list.
pub async fn default_gateways(handle: &Handle) -> Result<BTreeSet<NextHop>, NetlinkError> {
    list(handle, |route| route.header.destination_prefix_length == 0).await
}

async fn list(handle: &Handle, wanted: impl Fn(&RouteMessage) -> bool) -> Result<BTreeSet<NextHop>, NetlinkError> {
    let mut found = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        for message in dump(handle, "list the routes", RouteNetlinkMessage::GetRoute(request)).await? {
            if let RouteNetlinkMessage::NewRoute(route) = message
                && wanted(&route)
            {
                found.extend(next_hops(&route).take(MOST.saturating_sub(found.len())));
            }
        }
    }
    Ok(found)
}

fn next_hops(route: &RouteMessage) -> impl Iterator<Item = NextHop> {
    let mut next_hops = Vec::new();
    let link = route.attributes.iter().find_map(|attribute| if let RouteAttribute::Oif(link) = attribute { Some(*link) } else { None });
    next_hops.extend(link.zip(gateway(&route.attributes)).map(|(link, address)| NextHop { link: IfIndex(link), address }));
    for attribute in &route.attributes {
        let RouteAttribute::MultiPath(paths) = attribute else { continue };
        next_hops.extend(
            paths.iter().filter_map(|path| Some(NextHop { link: IfIndex(path.interface_index), address: gateway(&path.attributes)? })),
        );
    }
    next_hops.into_iter()
}

fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) | RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) | RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    })
}
