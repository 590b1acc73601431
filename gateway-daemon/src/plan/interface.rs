//! Which interfaces carry traffic, by which hook, and why.

use std::collections::BTreeMap;
use std::fmt;

use gateway_ebpf::abi::{self, INTERFACES_LEN, InterfaceFlags, Ipv4, Ipv6};

use super::Numbers;
use crate::inventory::{IfIndex, Inventory, Link};
use crate::model::{DatapathMode, InterfaceName, Model, SourceValidation, ZoneName};

/// An interface that carries traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedInterface {
    /// Its name.
    pub name: InterfaceName,
    /// Its zone.
    pub zone: ZoneName,
    /// Its entry in the datapath.
    pub entry: abi::Interface,
    /// XDP in front of tc.
    pub xdp: bool,
    /// Why so.
    pub reason: ModeReason,
}

/// Why an interface has XDP, or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeReason {
    /// The policy says tc.
    Configured,
    /// The policy says XDP, and the driver can.
    ConfiguredXdp,
    /// The policy says XDP, and the kernel does not say who accepts redirected frames.
    ConfiguredXdpUntold,
    /// The policy says XDP, the driver cannot.
    NotNative,
    /// The policy says nftables: the kernel forwards.
    Nftables,
    /// Auto: a veth.
    Veth,
    /// Auto: a virtio NIC.
    Virtio,
    /// Auto: native XDP.
    Native,
    /// Auto: no native XDP.
    NoNative,
    /// Auto: the kernel does not say.
    Unknown,
}

impl fmt::Display for ModeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "the policy asks for tc",
            Self::ConfiguredXdp => "the policy asks for xdp",
            Self::ConfiguredXdpUntold => {
                "the policy asks for xdp, but the kernel does not say which drivers accept frames from it (before Linux 6.3): \
                 it drops what it may, and tc forwards"
            }
            Self::NotNative => "the policy asks for xdp, but the driver has no native XDP: tc alone",
            Self::Nftables => "the policy asks for nftables: no program is attached",
            Self::Veth => "auto: on a veth any XDP program makes the sender give up TSO, which costs more per byte than tc does",
            // drivers/net/virtio_net.c, `virtnet_xdp_set`: it switches the guest's offloads off, so that every segment comes by itself. The
            // bench shows on a veth, where the same happens, what that costs: nearly twice as much per byte as tc.
            Self::Virtio => {
                "auto: on virtio any XDP program makes the host give up TSO and checksum offload towards this machine, \
                 which costs more per byte than it saves per packet; where small packets matter more, ask for xdp"
            }
            Self::Native => "auto: the driver has native XDP",
            Self::NoNative => "auto: the driver has no native XDP",
            Self::Unknown => "auto: the kernel does not say whether the driver has native XDP (before Linux 6.3)",
        })
    }
}

/// An interface that the policy names and that carries nothing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub name: InterfaceName,
    /// Its zone.
    pub zone: ZoneName,
    /// Why it waits.
    pub reason: WaitReason,
}

/// Why an interface waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// There is none of that name.
    Missing,
    /// It has no Ethernet address.
    NotEthernet,
    /// Its index does not fit the flow key.
    IndexTooLarge,
    /// Another interface has its slot in the datapath's table.
    SlotTaken(InterfaceName),
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no such interface: waiting for it"),
            Self::NotEthernet => f.write_str("not an Ethernet interface: only those are supported"),
            Self::IndexTooLarge => write!(f, "its index is above {}: create it anew", abi::Link::MAX_IFINDEX),
            Self::SlotTaken(other) => {
                write!(f, "its index collides with that of {} modulo {INTERFACES_LEN}: create one of them anew", other.0)
            }
        }
    }
}

/// Every interface of every zone, as it can be used now.
pub fn plan(model: &Model, inventory: &Inventory, numbers: &Numbers) -> (BTreeMap<IfIndex, PlannedInterface>, Vec<Waiting>) {
    let mut planned: BTreeMap<IfIndex, PlannedInterface> = BTreeMap::new();
    let mut waiting = Vec::new();
    for zone in &model.zones {
        for name in &zone.interfaces {
            let wait = |reason| Waiting { name: name.clone(), zone: zone.name.clone(), reason };
            let Some(link) = inventory.link(name) else {
                waiting.push(wait(WaitReason::Missing));
                continue;
            };
            let slot = |index: IfIndex| index.0 % INTERFACES_LEN;
            let taken = planned.iter().find(|(index, _)| slot(**index) == slot(link.index)).map(|(_, other)| other.name.clone());
            match (link.mac, taken) {
                (None, _) => waiting.push(wait(WaitReason::NotEthernet)),
                (Some(_), _) if link.index.0 > abi::Link::MAX_IFINDEX => waiting.push(wait(WaitReason::IndexTooLarge)),
                (Some(_), Some(other)) => waiting.push(wait(WaitReason::SlotTaken(other))),
                (Some(mac), None) => {
                    let (xdp, reason) = mode(model, link);
                    let entry = entry(model, numbers, link, mac.0, &zone.name);
                    planned.insert(link.index, PlannedInterface { name: name.clone(), zone: zone.name.clone(), entry, xdp, reason });
                }
            }
        }
    }
    (planned, waiting)
}

fn mode(model: &Model, link: &Link) -> (bool, ModeReason) {
    let own = model.interfaces.get(&link.name).and_then(|interface| interface.datapath);
    let configured = if model.mode == DatapathMode::Nftables { model.mode } else { own.unwrap_or(model.mode) };
    let native = link.xdp.map(|features| features.native);
    match configured {
        DatapathMode::Tc => (false, ModeReason::Configured),
        DatapathMode::Nftables => (false, ModeReason::Nftables),
        DatapathMode::Xdp => match native {
            Some(true) => (true, ModeReason::ConfiguredXdp),
            Some(false) => (false, ModeReason::NotNative),
            // Attaching tells whether it can be, but not where frames may be sent.
            None => (true, ModeReason::ConfiguredXdpUntold),
        },
        DatapathMode::Auto if link.kind.as_deref() == Some("veth") => (false, ModeReason::Veth),
        DatapathMode::Auto if link.bus.as_deref() == Some("virtio") => (false, ModeReason::Virtio),
        DatapathMode::Auto => match native {
            Some(true) => (true, ModeReason::Native),
            Some(false) => (false, ModeReason::NoNative),
            None => (false, ModeReason::Unknown),
        },
    }
}

fn entry(model: &Model, numbers: &Numbers, link: &Link, mac: [u8; 6], zone: &ZoneName) -> abi::Interface {
    let validation = model.interfaces.get(&link.name).map(|interface| interface.source_validation).unwrap_or_default();
    let mut flags = match validation {
        SourceValidation::Strict => InterfaceFlags::STRICT,
        SourceValidation::Loose => InterfaceFlags::LOOSE,
        SourceValidation::Off => 0,
    };
    if link.xdp.is_some_and(|features| features.transmit) {
        flags |= InterfaceFlags::XDP_TRANSMIT;
    }
    abi::Interface {
        index: abi::IfIndex(link.index.0),
        zone: numbers.zone(Some(zone)),
        flags: InterfaceFlags(flags),
        mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        mac: abi::Mac::from_octets(mac),
        v4: link.primary_v4().map(|address| Ipv4::from_octets(address.octets())).unwrap_or_default(),
        v6: Ipv6::default(),
        ..Default::default()
    }
}
