//! What the kernel's connection tracking and NAT do otherwise than our own datapath, for one policy.

use std::fmt;

use crate::model::{Action, Filtering, Mapping, Model, SourceNat, Timeouts, Translate};

/// One difference by design. The sentence says what to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Difference {
    /// RFC 4787 REQ-1, as long as the port is free.
    MappingWhilePortIsFree,
    /// RFC 4787 section 5: no endpoint-independent filtering.
    OpenFiltering,
    /// RFC 4787 REQ-4 and the choice of ports.
    Ports,
    /// Which address masquerading takes.
    MasqueradeAddress,
    /// `[timeouts]` are the network namespace's.
    Timeouts,
    /// `flows` and `flows-per-host`.
    Capacity,
    /// Where log lines go.
    Log,
    /// How a reload ends flows.
    Reload,
    /// TCP windows.
    TcpWindows,
    /// Fragments are put together.
    Fragments,
    /// ICMP errors about accepted flows pass.
    IcmpErrors,
    /// Hop limit and MTU come before the firewall.
    HopLimit,
    /// What the kernel drops before the rules see it.
    Malformed,
    /// A flow is not bound to the interfaces that it began on.
    Interfaces,
    /// The connection mark is taken.
    ConnectionMark,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MappingWhilePortIsFree => {
                "endpoint-independent mapping holds only while the external port is free: a flow to a remote that another internal host \
                 already talks to from that port gets another one"
            }
            Self::OpenFiltering => {
                "filtering = \"endpoint-independent\" is not possible: what comes in unasked to a mapping is refused, as with \
                 \"address-and-port-dependent\""
            }
            Self::Ports => "external ports are the internal ones where those are free, and of any parity where not; not random",
            Self::MasqueradeAddress => {
                "masquerading takes the egress interface's address in the next hop's network, where it has several; its flows end when \
                 that address goes"
            }
            Self::Timeouts => "the timeouts hold for every connection in the network namespace: they are the kernel's (net.netfilter sysctls)",
            Self::Capacity => {
                "flows and flows-per-host are not enforced: the kernel's connection table (net.netfilter.nf_conntrack_max) is shared by all \
                 hosts"
            }
            Self::Log => "logged packets go to the kernel log, not to the gateway's own",
            Self::Reload => "flows that a new policy forbids end when the reload deletes them from the connection table, not at their next packet",
            Self::TcpWindows => "TCP segments outside their connection's window are dropped",
            Self::Fragments => "fragments are put together and forwarded, not dropped",
            Self::IcmpErrors => "ICMP errors about accepted flows are forwarded, whoever sends them",
            Self::HopLimit => "packets whose hop limit or size does not fit are answered before the firewall is asked, also those that begin no flow",
            Self::Malformed => "malformed packets and source routes are dropped by the kernel without being counted; packets from an address to itself are routed",
            Self::Interfaces => {
                "packets of an accepted flow pass from whatever zone interface they come: source validation is asked about its first packet only"
            }
            Self::ConnectionMark => "connection marks of forwarded flows are the gateway's; nothing else may set them",
        })
    }
}

impl Difference {
    /// True when the policy asks for something in words and does not get it.
    #[must_use]
    pub fn withholds(self) -> bool {
        self == Self::OpenFiltering
    }
}

/// What is different for this policy.
#[must_use]
pub fn differences(model: &Model) -> Vec<Difference> {
    let translates = |rule: &&SourceNat| rule.translate != Translate::None;
    let any = |wanted: fn(&SourceNat) -> bool| model.nat.source.iter().filter(translates).any(wanted);
    let accepts = model.firewall.default == Action::Accept || model.firewall.rules.iter().any(|rule| rule.action == Action::Accept);
    let applies = |difference: &Difference| match difference {
        Difference::MappingWhilePortIsFree | Difference::Ports => any(|rule| rule.mapping == Mapping::EndpointIndependent),
        Difference::OpenFiltering => any(|rule| rule.filtering == Filtering::EndpointIndependent),
        Difference::MasqueradeAddress => any(|rule| rule.translate == Translate::Masquerade),
        Difference::Timeouts => model.timeouts != Timeouts::default(),
        Difference::Log => model.firewall.rules.iter().any(|rule| rule.log),
        Difference::Malformed | Difference::HopLimit => true,
        // Of what is accepted.
        Difference::Capacity
        | Difference::Reload
        | Difference::TcpWindows
        | Difference::Fragments
        | Difference::IcmpErrors
        | Difference::Interfaces
        | Difference::ConnectionMark => accepts,
    };
    ALL.iter().copied().filter(applies).collect()
}

const ALL: [Difference; 15] = [
    Difference::MappingWhilePortIsFree,
    Difference::OpenFiltering,
    Difference::Ports,
    Difference::MasqueradeAddress,
    Difference::Timeouts,
    Difference::Capacity,
    Difference::Log,
    Difference::Reload,
    Difference::TcpWindows,
    Difference::Fragments,
    Difference::IcmpErrors,
    Difference::HopLimit,
    Difference::Malformed,
    Difference::Interfaces,
    Difference::ConnectionMark,
];
