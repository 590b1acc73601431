//! What is measured: ways of forwarding.

use std::fmt;
use std::str::FromStr;

use super::workload::{Family, Nat, Setting};

/// What has to be left of a packet at its receiver.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The setting's translation takes place.
    pub translated: bool,
    /// The hop limit was lowered by one, and the frame has the MACs of the next link.
    pub routed: bool,
}

/// One way of forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `bpf_redirect` in XDP, no NAT, no look-up.
    Redirect,
    /// The same through a device map: the limit of the set-up, by convention.
    Devmap,
    /// FIB look-up in XDP as xdp-forward does it, no NAT, no state.
    Fib,
    /// The program xdp-forward of xdp-tools itself.
    XdpForward,
    /// A redirect at tc, no NAT, no look-up.
    TcRedirect,
    /// Kernel routing, no NAT, no filter.
    Routing,
    /// nftables NAT and a conntrack filter.
    Nftables,
    /// The same with a flowtable.
    Flowtable,
    /// einat: another eBPF NAT, at tc, with the kernel's routing.
    Einat,
    /// Our daemon, tc alone.
    Tc,
    /// Our daemon, XDP in front of tc.
    Xdp,
}

impl Subject {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Redirect,
        Self::Devmap,
        Self::Fib,
        Self::XdpForward,
        Self::TcRedirect,
        Self::Routing,
        Self::Nftables,
        Self::Flowtable,
        Self::Einat,
        Self::Tc,
        Self::Xdp,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redirect => "xdp-redirect",
            Self::Devmap => "xdp-devmap",
            Self::Fib => "xdp-fib",
            Self::XdpForward => "xdp-forward",
            Self::TcRedirect => "tc-redirect",
            Self::Routing => "kernel-routing",
            Self::Nftables => "nftables",
            Self::Flowtable => "nftables-flowtable",
            Self::Einat => "einat",
            Self::Tc => "gateway-tc",
            Self::Xdp => "gateway-xdp",
        }
    }

    /// What it does, in some words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Redirect => "XDP redirect, no NAT",
            Self::Devmap => "XDP device map redirect, no NAT (the limit)",
            Self::Fib => "XDP with FIB look-up as xdp-forward, no NAT, no state",
            Self::XdpForward => "xdp-forward of xdp-tools, no NAT, no state",
            Self::TcRedirect => "tc redirect, no NAT (tc's limit)",
            Self::Routing => "kernel routing, no NAT",
            Self::Nftables => "nftables NAT + conntrack filter",
            Self::Flowtable => "the same with a flowtable",
            Self::Einat => "einat, NAT at tc + kernel routing",
            Self::Tc => "this gateway, tc, NAT + filter",
            Self::Xdp => "this gateway, XDP, NAT + filter",
        }
    }

    /// The subject of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// Whether it keeps state per flow, which the first packets must build up before anything is measured.
    #[must_use]
    pub fn has_flows(self) -> bool {
        matches!(self, Self::Nftables | Self::Flowtable | Self::Einat | Self::Tc | Self::Xdp)
    }

    /// Whether it is our daemon.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Tc | Self::Xdp)
    }

    /// Whether it rewrites neither MACs nor hop limit.
    #[must_use]
    pub fn is_bridged(self) -> bool {
        matches!(self, Self::Redirect | Self::Devmap | Self::TcRedirect)
    }

    /// Whether XDP programs stand on the gateway's interfaces.
    #[must_use]
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Redirect | Self::Devmap | Self::Fib | Self::XdpForward | Self::Xdp)
    }

    /// Why it cannot do what the setting asks; `None`: it can, or, being a yardstick without NAT, leaves the translation out.
    #[must_use]
    pub fn cannot(self, setting: &Setting) -> Option<&'static str> {
        match self {
            Self::Einat if setting.family != Family::V4 || setting.nat != Nat::Source => {
                Some("it masquerades IPv4 to one address and does nothing else")
            }
            _ => None,
        }
    }

    /// What the sink has to find.
    #[must_use]
    pub fn expected(self, setting: &Setting) -> Expected {
        Expected { translated: self.has_flows() && setting.nat != Nat::None, routed: !self.is_bridged() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No subject has this name.
#[derive(Debug, thiserror::Error)]
#[error("no subject is named {name}; there are {}", Subject::ALL.map(Subject::name).join(", "))]
pub struct NoSubject {
    name: String,
}

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(name: &str) -> Result<Self, NoSubject> {
        Self::named(name).ok_or_else(|| NoSubject { name: name.to_owned() })
    }
}
