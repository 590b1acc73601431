//! What drivers say of XDP, over the generic netlink family "netdev" (Linux 6.3; Documentation/netlink/specs/netdev.yaml).

use std::collections::BTreeMap;
use std::io;

use futures_util::StreamExt;
use netlink_packet_generic::ctrl::nlas::{GenlCtrlAttrs, McastGrpAttrs};
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use rtnetlink::packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, NlasIterator, ParseableParametrized,
};
use rtnetlink::proto::ConnectionHandle;
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{AsyncSocket, SocketAddr};

use super::NetlinkError;
use super::connection::{Events, Task};
use crate::inventory::{IfIndex, XdpFeatures};

const FAMILY: &str = "netdev";
const GROUP: &str = "mgmt";

// include/uapi/linux/netdev.h
const NETDEV_FAMILY_VERSION: u8 = 1;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_CMD_DEV_ADD_NTF: u8 = 2;
const NETDEV_CMD_DEV_DEL_NTF: u8 = 3;
const NETDEV_CMD_DEV_CHANGE_NTF: u8 = 4;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_REDIRECT: u64 = 2;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 4;
const NETDEV_XDP_ACT_RX_SG: u64 = 32;

/// One message of the family: a request without attributes, or what the kernel says of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Netdev {
    command: u8,
    index: Option<IfIndex>,
    features: Option<u64>,
}

impl GenlFamily for Netdev {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        NETDEV_FAMILY_VERSION
    }
}

impl Emitable for Netdev {
    fn buffer_len(&self) -> usize {
        0
    }

    fn emit(&self, _buffer: &mut [u8]) {}
}

impl ParseableParametrized<[u8], GenlHeader> for Netdev {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let mut message = Self { command: header.cmd, index: None, features: None };
        for attribute in NlasIterator::new(buffer) {
            let attribute = attribute?;
            match attribute.kind() {
                NETDEV_A_DEV_IFINDEX => {
                    let raw = attribute.value().try_into().map(u32::from_ne_bytes).unwrap_or(0);
                    message.index = (raw != 0).then_some(IfIndex(raw));
                }
                NETDEV_A_DEV_XDP_FEATURES => message.features = attribute.value().try_into().map(u64::from_ne_bytes).ok(),
                _ => {}
            }
        }
        Ok(message)
    }
}

impl Netdev {
    fn device(&self) -> Option<(IfIndex, XdpFeatures)> {
        const NATIVE: u64 = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT;
        let bits = self.features?;
        let features = XdpFeatures {
            native: bits & NATIVE == NATIVE,
            transmit: bits & NETDEV_XDP_ACT_NDO_XMIT != 0,
            fragments: bits & NETDEV_XDP_ACT_RX_SG != 0,
        };
        Some((self.index?, features))
    }
}

/// What the kernel announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// A link's abilities, new or changed.
    Features(IfIndex, XdpFeatures),
    /// The link left the namespace.
    Gone(IfIndex),
    /// Something else of the family (page pools, queues).
    Other,
    /// Announcements were lost.
    Overrun,
}

/// Follows the family's announcements and answers for all links.
pub(super) struct XdpWatch {
    family: u16,
    handle: ConnectionHandle<GenlMessage<Netdev>>,
    events: Events<GenlMessage<Netdev>>,
    _task: Task,
}

impl XdpWatch {
    /// Subscribes; `None` where the kernel has no such family.
    pub(super) async fn open() -> Result<Option<Self>, NetlinkError> {
        let Some((family, group)) = resolve().await? else {
            return Ok(None);
        };
        let (mut connection, handle, messages) = rtnetlink::proto::new_connection(NETLINK_GENERIC).map_err(open)?;
        let socket = connection.socket_mut().socket_mut();
        socket.bind(&SocketAddr::new(0, 0)).map_err(open)?;
        socket.add_membership(group).map_err(open)?;
        let task = Task::spawn(connection);
        Ok(Some(Self { family, handle, events: messages.map(|(message, _)| message).boxed(), _task: task }))
    }

    /// The next announcement; `None` when the connection ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let message = self.events.next().await?;
        Some(match message.payload {
            NetlinkPayload::Overrun(_) => Report::Overrun,
            NetlinkPayload::InnerMessage(message) => match (message.payload.command, message.payload.device(), message.payload.index) {
                (NETDEV_CMD_DEV_ADD_NTF | NETDEV_CMD_DEV_CHANGE_NTF, Some((index, features)), _) => Report::Features(index, features),
                (NETDEV_CMD_DEV_DEL_NTF, _, Some(index)) => Report::Gone(index),
                _ => Report::Other,
            },
            _ => Report::Other,
        })
    }

    /// Every link's abilities.
    pub(super) async fn all(&self) -> Result<BTreeMap<IfIndex, XdpFeatures>, NetlinkError> {
        let action = "list the XDP abilities of the links";
        let mut request = GenlMessage::from_payload(Netdev { command: NETDEV_CMD_DEV_GET, index: None, features: None });
        request.set_resolved_family_id(self.family);
        let mut message = NetlinkMessage::from(request);
        // The family's answers lack NLM_F_MULTI (genlmsg_iput in net/core/netdev-genl.c): without an acknowledgement asked for, the first
        // of them would count as the whole.
        message.header.flags = NLM_F_REQUEST | NLM_F_DUMP | NLM_F_ACK;
        let mut answers = self.handle.request(message, SocketAddr::new(0, 0)).map_err(|_| NetlinkError::Closed { action })?;
        let mut all = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => all.extend(message.payload.device()),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(NetlinkError::refused(action, &error)),
                _ => {}
            }
        }
        Ok(all)
    }
}

fn open(source: io::Error) -> NetlinkError {
    NetlinkError::Open { protocol: "generic", source }
}

/// Asks the controller for the numbers of the family and of its group.
async fn resolve() -> Result<Option<(u16, u32)>, NetlinkError> {
    let action = "look up the netdev family";
    let (connection, handle, _) = rtnetlink::proto::new_connection(NETLINK_GENERIC).map_err(open)?;
    let _task = Task::spawn(connection);
    let request = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())] };
    let mut message = NetlinkMessage::from(GenlMessage::from_payload(request));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    let mut answers = handle.request(message, SocketAddr::new(0, 0)).map_err(|_| NetlinkError::Closed { action })?;
    let mut family = None;
    let mut group = None;
    while let Some(answer) = answers.next().await {
        match answer.payload {
            NetlinkPayload::InnerMessage(message) => {
                for attribute in message.payload.nlas {
                    match attribute {
                        GenlCtrlAttrs::FamilyId(id) => family = Some(id),
                        GenlCtrlAttrs::McastGroups(groups) => group = groups.iter().find_map(|attributes| group_id(attributes)),
                        _ => {}
                    }
                }
            }
            NetlinkPayload::Error(error) if error.code.is_some() => {
                let error = NetlinkError::refused(action, &error);
                return match error.kernel().map(io::Error::kind) {
                    Some(io::ErrorKind::NotFound) => Ok(None),
                    _ => Err(error),
                };
            }
            _ => {}
        }
    }
    Ok(family.zip(group))
}

fn group_id(attributes: &[McastGrpAttrs]) -> Option<u32> {
    let named = attributes.iter().any(|attribute| matches!(attribute, McastGrpAttrs::Name(name) if name == GROUP));
    attributes.iter().find_map(|attribute| match attribute {
        McastGrpAttrs::Id(id) if named => Some(*id),
        _ => None,
    })
}
