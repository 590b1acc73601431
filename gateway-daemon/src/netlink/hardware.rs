//! What a link is made of: its bus, its queues and its offloads, over rtnetlink and ethtool's generic netlink family (Linux 5.6;
//! Documentation/networking/ethtool-netlink.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolError, EthtoolFeatureAttr, EthtoolFeatureBit, EthtoolHandle, EthtoolHeader, EthtoolMessage,
};
use futures_util::{Stream, StreamExt};
use netlink_packet_generic::GenlMessage;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::NetlinkError;
use super::connection::{Task, dump};
use crate::inventory::IfIndex;
use crate::model::InterfaceName;

/// One link's make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// The bus of its parent device: "virtio", "pci"; `None` for links of software.
    pub bus: Option<String>,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<IfIndex>,
    /// The link that it lies on (VLAN, macvlan), or a veth's peer in this namespace.
    pub lower: Option<IfIndex>,
    /// Receive and transmit queues that the link was made with.
    pub queues: Queues,
    /// The driver's channels; `None` where it has no notion of them.
    pub channels: Option<Channels>,
    /// Offloads by ethtool's long names ("rx-gro"); empty where the kernel does not say.
    pub features: BTreeMap<String, Feature>,
    /// An XDP program is attached.
    pub xdp: bool,
}

/// Queues that a link was made with (`IFLA_NUM_RX_QUEUES`, `IFLA_NUM_TX_QUEUES`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// For receiving.
    pub receive: u32,
    /// For sending.
    pub transmit: u32,
}

/// Receive channels: those that also send count as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// In use.
    pub current: u32,
    /// The most that can be set.
    pub most: u32,
}

/// One offload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feature {
    /// It is on.
    pub active: bool,
    /// It can be switched (`ETHTOOL_A_FEATURES_HW`).
    pub changeable: bool,
}

/// Every link's make. What ethtool cannot say of a link is left empty.
///
/// # Errors
/// The links themselves cannot be listed.
pub async fn hardware(handle: &Handle) -> Result<BTreeMap<IfIndex, Hardware>, NetlinkError> {
    let mut all = BTreeMap::new();
    let mut names = BTreeMap::new();
    for message in dump(handle, "list the links", RouteNetlinkMessage::GetLink(LinkMessage::default())).await? {
        if let RouteNetlinkMessage::NewLink(message) = message
            && message.header.interface_family == AddressFamily::Unspec
        {
            let index = IfIndex(message.header.index);
            let (name, hardware) = of_link(&message);
            all.insert(index, hardware);
            names.extend(name.map(|name| (name, index)));
        }
    }
    match ask_ethtool().await {
        Ok((channels, features)) => {
            for (name, channels) in channels {
                if let Some(hardware) = names.get(&name).and_then(|index| all.get_mut(index)) {
                    hardware.channels = Some(channels);
                }
            }
            for (name, features) in features {
                if let Some(hardware) = names.get(&name).and_then(|index| all.get_mut(index)) {
                    hardware.features = features;
                }
            }
        }
        Err(error) => tracing::debug!(%error, "ethtool's netlink family does not answer"),
    }
    Ok(all)
}

fn of_link(message: &LinkMessage) -> (Option<InterfaceName>, Hardware) {
    let mut name = None;
    let mut hardware = Hardware::default();
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(InterfaceName(value.clone())),
            LinkAttribute::ParentDevBusName(value) => hardware.bus = Some(value.clone()),
            LinkAttribute::Controller(value) => hardware.master = (*value != 0).then_some(IfIndex(*value)),
            LinkAttribute::Link(value) => hardware.lower = (*value != 0).then_some(IfIndex(*value)),
            LinkAttribute::NumRxQueues(value) => hardware.queues.receive = *value,
            LinkAttribute::NumTxQueues(value) => hardware.queues.transmit = *value,
            LinkAttribute::Xdp(attributes) => {
                let attached = |xdp: &LinkXdp| matches!(xdp, LinkXdp::Attached(mode) if *mode != XdpAttached::None);
                hardware.xdp = attributes.iter().any(attached);
            }
            _ => {}
        }
    }
    (name, hardware)
}

type ByName<T> = BTreeMap<InterfaceName, T>;

async fn ask_ethtool() -> io::Result<(ByName<Channels>, ByName<BTreeMap<String, Feature>>)> {
    let (connection, mut handle, _) = ethtool::new_connection()?;
    let _task = Task::spawn(async {
        connection.await;
    });
    let mut channels = BTreeMap::new();
    for message in collect(handle.channel().get(None).execute().await.map_err(io::Error::other)?).await {
        channels.extend(interface(&message).zip(of_channels(&message)));
    }
    Ok((channels, features(&mut handle).await.map_err(io::Error::other)?))
}

async fn features(handle: &mut EthtoolHandle) -> Result<ByName<BTreeMap<String, Feature>>, EthtoolError> {
    let mut all = BTreeMap::new();
    for message in collect(handle.feature().get(None).execute().await?).await {
        all.extend(interface(&message).map(|name| (name, of_features(&message))));
    }
    Ok(all)
}

/// Messages until the first failure: some drivers know only some of the answers.
async fn collect(stream: impl Stream<Item = Result<GenlMessage<EthtoolMessage>, EthtoolError>>) -> Vec<EthtoolMessage> {
    let mut messages = Vec::new();
    let mut stream = std::pin::pin!(stream);
    while let Some(Ok(message)) = stream.next().await {
        messages.push(message.payload);
    }
    messages
}

fn interface(message: &EthtoolMessage) -> Option<InterfaceName> {
    let named = |headers: &[EthtoolHeader]| {
        headers.iter().find_map(|header| if let EthtoolHeader::DevName(name) = header { Some(InterfaceName(name.clone())) } else { None })
    };
    message.nlas.iter().find_map(|attribute| match attribute {
        EthtoolAttr::Channel(EthtoolChannelAttr::Header(headers)) | EthtoolAttr::Feature(EthtoolFeatureAttr::Header(headers)) => {
            named(headers)
        }
        _ => None,
    })
}

fn of_channels(message: &EthtoolMessage) -> Option<Channels> {
    let mut channels = Channels::default();
    let mut any = false;
    for attribute in &message.nlas {
        let EthtoolAttr::Channel(attribute) = attribute else { continue };
        match attribute {
            EthtoolChannelAttr::RxMax(count) | EthtoolChannelAttr::CombinedMax(count) => channels.most += count,
            EthtoolChannelAttr::RxCount(count) | EthtoolChannelAttr::CombinedCount(count) => channels.current += count,
            _ => continue,
        }
        any = true;
    }
    any.then_some(channels)
}

fn of_features(message: &EthtoolMessage) -> BTreeMap<String, Feature> {
    let mut changeable = BTreeSet::new();
    let mut fixed = BTreeSet::new();
    let mut active = BTreeSet::new();
    for attribute in &message.nlas {
        let EthtoolAttr::Feature(attribute) = attribute else { continue };
        let (bits, set): (&[EthtoolFeatureBit], _) = match attribute {
            EthtoolFeatureAttr::Hw(bits) => (bits, &mut changeable),
            EthtoolFeatureAttr::NoChange(bits) => (bits, &mut fixed),
            EthtoolFeatureAttr::Active(bits) => (bits, &mut active),
            _ => continue,
        };
        set.extend(bits.iter().filter(|bit| bit.value).map(|bit| bit.name.clone()));
    }
    let names: BTreeSet<String> = changeable.iter().chain(&active).cloned().collect();
    let feature = |name: &String| Feature { active: active.contains(name), changeable: changeable.contains(name) && !fixed.contains(name) };
    names.into_iter().map(|name| (name.clone(), feature(&name))).collect()
}
