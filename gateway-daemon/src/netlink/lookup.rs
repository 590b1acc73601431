//! Where the kernel would send a packet to an address.

use std::net::IpAddr;

use futures_util::StreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

use crate::inventory::IfIndex;

/// The interface towards an address; `None` without a route.
pub async fn egress(handle: &Handle, address: IpAddr) -> Option<IfIndex> {
    let mut request = RouteMessage::default();
    let (family, length, destination) = match address {
        IpAddr::V4(address) => (AddressFamily::Inet, 32, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(address)),
    };
    request.header.address_family = family;
    request.header.destination_prefix_length = length;
    request.attributes.push(RouteAttribute::Destination(destination));
    let answers = handle.route().get(request).execute();
    let answer = std::pin::pin!(answers).next().await?.ok()?;
    answer.attributes.iter().find_map(|attribute| if let RouteAttribute::Oif(link) = attribute { Some(IfIndex(*link)) } else { None })
}
