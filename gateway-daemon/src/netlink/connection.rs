//! Sockets, and requests over them.
//!
//! Events and requests have a socket each: an overrun of the event socket then cannot swallow the answer to a request.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::AbortHandle;

use super::NetlinkError;

/// What the observer follows. Nexthop objects need no group of their own: by default (`net.ipv4.nexthop_compat_mode`) a change of one
/// is also announced for every route that uses it.
const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Receive buffer of the event socket in bytes: some 4,000 route events while the daemon is busy, before a resync becomes necessary.
const EVENT_BUFFER: usize = 4 << 20;

/// How often an interrupted dump is read again before giving up until the next event.
const DUMP_ATTEMPTS: u32 = 8;

/// Ends the connection's task with its owner.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn spawn(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(connection).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The stream of what the kernel announces; ends when the connection ends.
pub(super) type Events<T> = BoxStream<'static, NetlinkMessage<T>>;

/// Opens the event socket, already subscribed.
pub(super) fn open_events() -> Result<(Events<RouteNetlinkMessage>, Task), NetlinkError> {
    let open = |source| NetlinkError::Open { protocol: "route", source };
    let (mut connection, _, messages) = rtnetlink::new_multicast_connection(&GROUPS).map_err(open)?;
    let socket = connection.socket_mut().socket_mut();
    // Without CAP_NET_ADMIN in the initial user namespace the kernel's own limit stands; overruns are handled either way.
    if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size_force(&*socket, EVENT_BUFFER) {
        tracing::debug!(%error, "keeping the default netlink receive buffer");
    }
    let task = Task::spawn(connection);
    Ok((messages.map(|(message, _)| message).boxed(), task))
}

/// Opens the request socket. It checks dump filters strictly, so a filtered dump is never silently a full one.
pub(super) fn open_requests() -> Result<Handle, NetlinkError> {
    let open = |source| NetlinkError::Open { protocol: "route", source };
    let (connection, handle, _) = rtnetlink::new_connection_with_strict_check().map_err(open)?;
    // Ends by itself when the last clone of the handle is dropped.
    tokio::spawn(connection);
    Ok(handle)
}

/// Asks for a list, again when the kernel says that it changed underway.
pub(super) async fn dump(
    handle: &Handle,
    action: &'static str,
    request: RouteNetlinkMessage,
) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    for _ in 0..DUMP_ATTEMPTS {
        let mut message = NetlinkMessage::from(request.clone());
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut answers = handle.clone().request(message).map_err(|_| NetlinkError::Closed { action })?;
        let mut list = Vec::new();
        let mut interrupted = false;
        while let Some(answer) = answers.next().await {
            interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => list.push(inner),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(NetlinkError::refused(action, &error)),
                NetlinkPayload::Overrun(_) => interrupted = true,
                _ => {}
            }
        }
        if !interrupted {
            return Ok(list);
        }
    }
    Err(NetlinkError::Interrupted { action, attempts: DUMP_ATTEMPTS })
}

/// Asks for one change and waits until the kernel made or refused it; `flags` are added to `NLM_F_REQUEST | NLM_F_ACK`.
pub(super) async fn change(handle: &Handle, action: &'static str, request: RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut answers = handle.clone().request(message).map_err(|_| NetlinkError::Closed { action })?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload
            && error.code.is_some()
        {
            return Err(NetlinkError::refused(action, &error));
        }
    }
    Ok(())
}
