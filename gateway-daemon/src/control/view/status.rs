//! `gateway status`: the daemon as a whole.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::control::label::labelled;

/// Everything that `gateway status` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusView {
    /// The instance's name.
    pub instance: String,
    /// The daemon's version, which need not be the command's.
    pub version: String,
    /// The datapath is in place; without it nothing is forwarded.
    pub ready: bool,
    /// The policy that runs.
    pub policy: PolicyView,
    /// Every interface of a zone or of the policy's `[interfaces]`, also those that are missing.
    pub interfaces: Vec<InterfaceView>,
    /// Zones in the policy's order.
    pub zones: Vec<ZoneView>,
    /// How full the datapath's tables are.
    pub tables: Vec<TableView>,
    /// Counters since the start.
    pub traffic: TrafficView,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
}

/// The policy that runs, and what became of the last attempt to change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The file it was read from.
    pub file: String,
    /// Counts up with every policy that took effect; the first is 1.
    pub generation: u32,
    /// When this generation took effect, in seconds since the Unix epoch.
    pub loaded_at: u64,
    /// How many rules of each kind.
    pub rules: RuleCounts,
    /// What is legal but suspicious, each with file, line and column.
    pub warnings: Vec<String>,
    /// Why the last reload was refused, with `file:line:column`; the generation above runs on. `None` when it was accepted.
    pub error: Option<String>,
}

/// How many rules a policy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// `[[firewall.rules]]`.
    pub firewall: u32,
    /// `[[nat.source]]`.
    pub nat_source: u32,
    /// `[[nat.destination]]`.
    pub nat_destination: u32,
    /// `[[routes]]`.
    pub routes: u32,
}

labelled! {
    /// Whether an interface can carry packets.
    LinkState {
        /// Up, with a carrier.
        Up = "up";
        /// Up, but the cable or the peer is not there.
        NoCarrier = "no-carrier";
        /// Administratively down.
        Down = "down";
        /// The policy names it and the machine does not have it; the daemon waits for it.
        Missing = "missing";
    }
}

labelled! {
    /// What handles an interface's packets.
    Datapath {
        /// The tc program alone.
        Tc = "tc";
        /// XDP for established flows, tc for the rest.
        XdpTc = "xdp+tc";
        /// The kernel's own forwarding, with an nftables ruleset.
        Nftables = "nftables";
        /// No program: the interface is missing, or in no zone.
        None = "none";
    }
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// The kernel's index; `None` while it is missing.
    pub ifindex: Option<u32>,
    /// The zone it is in; `None` when the policy only configures it.
    pub zone: Option<String>,
    /// Whether it can carry packets.
    pub state: LinkState,
    /// The Ethernet address as `02:00:00:00:00:01`; `None` on links without one.
    pub mac: Option<String>,
    /// The MTU in bytes, without the link-layer header; `None` while it is missing.
    pub mtu: Option<u32>,
    /// Its addresses with prefix length, primary first.
    pub addresses: Vec<IpNet>,
    /// The programs on it.
    pub datapath: Datapath,
    /// How they are attached: "tcx", "clsact", "native + tcx"; empty with [`Datapath::None`].
    pub attach: String,
    /// Why this datapath and this attachment, as a sentence.
    pub reason: String,
}

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneView {
    /// Its name.
    pub name: String,
    /// The names of its interfaces, in the policy's order.
    pub interfaces: Vec<String>,
}

/// How full a datapath table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableView {
    /// "flows-v4", "half-open-v4", "mappings-v4", "hosts-v4" and so on.
    pub name: String,
    /// Entries in use.
    pub used: u64,
    /// Entries it can hold.
    pub capacity: u64,
}

/// Counters since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficView {
    /// Flows opened; both directions count once.
    pub flows_opened: u64,
    /// Packets sent on by the datapath; a GSO packet counts once.
    pub packets_forwarded: u64,
    /// Their bytes, from the IP header on.
    pub bytes_forwarded: u64,
    /// Packets discarded.
    pub packets_dropped: u64,
    /// Packets that the kernel finished, to answer with an ICMP error.
    pub packets_punted: u64,
    /// Packets that are not the datapath's: the gateway's own, other protocols, interfaces in no zone.
    pub packets_passed: u64,
}
