//! Where the datapaths differ by design: all of it, each with its reason. Everything else must be equal.

use std::net::{IpAddr, Ipv4Addr};

use crate::answers::Answer;
use crate::counters::Counters;
use crate::lane::Datapath;
use crate::network::is_own;
use crate::outcome::{Endpoint, Forwarded, Outcome};
use crate::policy::{Forward, Named, Policy, Ports, SourceNat, Translate, Zone};
use crate::talk::{Ends, Side, Talk, Word};
use crate::traffic::{First, Transport};

/// An outcome without what lanes may differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Common {
    /// As it is.
    Plain(Outcome),
    /// Forwarded.
    Forwarded {
        /// Leg, station, and the destination.
        to: (usize, [u8; 6], Endpoint),
        /// The source.
        source: CommonSource,
    },
}

/// A source without what lanes may differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommonSource {
    /// Kept or restored: equal in all lanes.
    Plain(Endpoint),
    /// **External ports** are drawn at random by our datapath, with a key of each daemon's own (RFC 6056 section 3.3.3), and kept where
    /// they can be by the kernel's NAT. The port's class must be that of the internal port (RFC 4787 REQ-3a), or within the pool's range.
    Address(IpAddr),
    /// **The address of a pool** is picked by that key too. The rules whose pools have it must be the same.
    Pool(Vec<u8>),
}

/// What must be equal in all lanes. `internal` is the port that the packet was sent from.
///
/// # Errors
/// When an external port is not of its class.
pub fn common(policy: &Policy, transport: Transport, internal: u16, outcome: &Outcome) -> anyhow::Result<Common> {
    let Outcome::Forwarded(forwarded) = outcome else { return Ok(Common::Plain(outcome.clone())) };
    let Forwarded { leg, station, source, destination, .. } = &**forwarded;
    let source = match source {
        Endpoint::Changed(IpAddr::V4(address), port) => {
            let pools = pools(policy, *address);
            let ranges: Vec<Option<Ports>> = pools.iter().map(|(_, ports)| *ports).collect();
            anyhow::ensure!(
                is_of_its_class(transport, internal, *port, &ranges),
                "{internal} was translated to {port}, which is of another class"
            );
            if pools.is_empty() {
                CommonSource::Address(IpAddr::V4(*address))
            } else {
                CommonSource::Pool(pools.into_iter().map(|(number, _)| number).collect())
            }
        }
        // Who has the pool's address already may keep its port, too.
        Endpoint::Kept => match forwarded.path.source {
            IpAddr::V4(address) if !pools(policy, address).is_empty() => {
                CommonSource::Pool(pools(policy, address).into_iter().map(|(number, _)| number).collect())
            }
            _ => CommonSource::Plain(Endpoint::Kept),
        },
        other => CommonSource::Plain(other.clone()),
    };
    Ok(Common::Forwarded { to: (*leg, *station, destination.clone()), source })
}

/// The pools that have this address: rule, ports.
fn pools(policy: &Policy, address: Ipv4Addr) -> Vec<(u8, Option<Ports>)> {
    let contains = |range: &str| match range.split_once('-') {
        Some((first, last)) => (parse(first)..=parse(last)).contains(&address),
        None => parse(range) == address,
    };
    let of = |named: &Named<SourceNat>| match &named.rule.translate {
        Translate::Pool { addresses, ports } if addresses.iter().any(|range| contains(range)) => Some((named.number, *ports)),
        _ => None,
    };
    policy.source_nat.iter().filter_map(of).collect()
}

fn parse(text: &str) -> Ipv4Addr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// RFC 4787 REQ-3a: well-known ports stay such, and others others. Echo identifiers have no classes, and a pool with a narrower range of its
/// own means all of its ports.
fn is_of_its_class(transport: Transport, internal: u16, external: u16, pools: &[Option<Ports>]) -> bool {
    let narrow = |ports: &Option<Ports>| ports.filter(|(first, _)| *first > 1024);
    if let Some((first, last)) = pools.iter().find_map(narrow) {
        // Another rule's pool may have the same address with all ports.
        return pools.iter().any(|ports| narrow(ports).is_none()) || (first..=last).contains(&external);
    }
    transport == Transport::Echo || (internal < 1024) == (external < 1024)
}

/// Whether the lane has one external endpoint for each internal one, whatever the remote (RFC 4787 REQ-1), so that two lanes' mappings must
/// be shared by the same conversations.
pub fn maps_by_endpoint(datapath: Datapath) -> bool {
    match datapath {
        Datapath::Tc | Datapath::Xdp => true,
        // The kernel keeps the internal port, so what shares an endpoint shares it as long as no other host has taken the port.
        Datapath::Nftables => false,
    }
}

/// Whether a stranger's packet to an external endpoint means the same in all lanes: **its port is a random one**, and must not be what a
/// port forward listens to in one lane, or what a rule's `ports` match, only because of that. `peers`: the endpoint in each lane.
pub fn may_stray(lanes: &[Datapath], policy: &Policy, transport: Transport, peers: &[(IpAddr, u16)]) -> bool {
    let forwarded = |forward: &Forward| {
        let listens = |(address, port): &(IpAddr, u16)| {
            let here = forward.address.is_none_or(|own| own.parse() == Ok(*address));
            here && (forward.ports.0..=forward.ports.1).contains(port)
        };
        peers.iter().any(listens)
    };
    let by_ports = policy.rules.iter().map(|named| &named.rule.matching).chain(policy.source_nat.iter().map(|named| &named.rule.matching));
    let (_, ports): (Vec<_>, Vec<u16>) = peers.iter().copied().unzip();
    // Nor may another pick from the same pool become the stranger's own source.
    let pooled = |(address, _): &(IpAddr, u16)| matches!(address, IpAddr::V4(v4) if !pools(policy, *v4).is_empty());
    let from_outside = |named: &Named<SourceNat>| !matches!(named.rule.matching.from, Some(Zone::Lan | Zone::Dmz | Zone::Opt));
    // **Endpoint-independent filtering** is nothing that the kernel's NAT can do: who is a stranger stays one.
    if lanes.contains(&Datapath::Nftables) && policy.source_nat.iter().any(|named| named.rule.open_filtering) {
        return false;
    }
    if peers.iter().any(pooled) && policy.source_nat.iter().any(from_outside) {
        return false;
    }
    transport == Transport::Echo
        || ports.windows(2).all(|pair| pair[0] == pair[1])
        || (!policy.forwards.iter().any(|named| forwarded(&named.rule))
            // To the gateway's own address the rules are not asked.
            && (is_own(peers[0].0) || by_ports.into_iter().all(|matching| matching.ports.is_empty())))
}

/// Whether an answer is one that every lane gives. **"No route"** is the kernel's in all of them, and it tells a host so five times at once
/// and once a second then (net/ipv4/route.c, `ip_error`), in which all namespaces share one limit that a namespace cannot set.
pub fn is_told(lanes: &[Datapath], talk: &Talk, answer: Answer) -> bool {
    // Segments of no connection that are the gateway's own get an answer from its stack.
    if talk.first != First::Proper && lanes.contains(&Datapath::Nftables) {
        return false;
    }
    // For the same reason as with [`SHARED_REASONS`], the kernel says more often than our datapath that the hop limit is used up.
    let hop_limit = [Answer::Icmp(11, 0), Answer::Icmp(3, 0)].contains(&answer);
    // **No route for a flow that there is** makes our datapath drop the packet without a word: routes come back. The kernel says so.
    let no_route = answer == Answer::Icmp(1, 0);
    answer != Answer::Icmp(3, 0) && !((hop_limit || no_route) && lanes.contains(&Datapath::Nftables))
}

/// Words that are not said because the lanes would rightly differ. `phase`: which policy is in force.
pub fn is_said(lanes: &[Datapath], phase: usize, talk: &Talk, side: Side, word: Word) -> bool {
    if !lanes.contains(&Datapath::Nftables) {
        return true;
    }
    // **A flow's interfaces** are part of it in our datapath: the answer to who has borrowed another's source goes to that other one, and
    // the flow with it. For conntrack a flow may come from anywhere, and nobody can ask later where it came from: a source validation that
    // the next policy tightens ends what a borrower has begun in our datapath alone.
    if !talk.is_honest() && (side == Side::Far || talk.phase < phase) {
        return false;
    }
    // **From an address to itself** (land) nothing passes our datapath; the kernel routes it.
    let land = |ends: &Ends| ends.far.is_some_and(|(_, path)| path.source == path.destination);
    if side == Side::Far && talk.ends.iter().any(land) {
        return false;
    }
    match talk.reset() {
        // **A reset in place of an answer** makes conntrack forget the connection at once (net/netfilter/nf_conntrack_proto_tcp.c); our
        // datapath keeps it closed for a while. A new SYN begins a new one in both.
        Some((_, false)) => (side, word) == (Side::Near, Word::First),
        // **A SYN after a reset** begins a new connection for our datapath, which the rules are asked about; for conntrack only if the reset
        // was its own side's, and the last that was heard.
        Some((Side::Near, true)) => (side, word) == (Side::Near, Word::First),
        Some((Side::Far, true)) => word != Word::First,
        _ => true,
    }
}

/// **A rate** begins anew with every ruleset of nftables, and goes on in our datapath as long as its rule has the same name. So at a change
/// of the policy every rule with a rate gets another name; and where flows may begin anew (see [`may_begin_anew`]), which counts for the rate
/// in one lane and not in another, it loses its rate.
pub fn begin_rates_anew(policy: &mut Policy, translates: bool) {
    for named in policy.rules.iter_mut().filter(|named| named.rule.rate.is_some()) {
        named.number = named.number.wrapping_add(100);
        named.rule.rate = named.rule.rate.filter(|_| !translates);
    }
}

/// Reasons that nftables counts as our datapath does. Others are the kernel's own, before or behind the ruleset.
///
/// **The hop limit** is looked at before the ruleset by the kernel, so a packet for an interface in no zone may end there.
/// **Segments of no connection**, and echo replies to no request, are nothing that conntrack would translate: to a port forward's or an open
/// mapping's address they are the gateway's own.
const SHARED_REASONS: [&str; 8] = [
    "drop rule-drop",
    "drop rule-reject",
    "drop rule-rate",
    "drop default-drop",
    "drop default-reject",
    "drop icmp-type",
    "drop source-validation",
    "drop source-is-self",
];

/// Counters as two lanes must share them.
pub fn counted(lanes: [Datapath; 2], counters: &Counters) -> Counters {
    let mut counters = counters.clone();
    // **What is not the datapath's** is counted with our markers among it, of which each lane sends as many as it needs.
    counters.reasons.retain(|reason, _| !reason.starts_with("pass "));
    if lanes.contains(&Datapath::Nftables) {
        counters.reasons.retain(|reason, _| SHARED_REASONS.contains(&reason.as_str()));
    }
    counters
}

/// Whether two lanes count the same while flows meet another policy for the first time. **Ending a flow** is counted by our datapath at the
/// flow's next packet, for the rule that refuses it; nftables deletes it before, and judges that packet as anybody's.
pub fn count_endings_alike(lanes: [Datapath; 2]) -> bool {
    !lanes.contains(&Datapath::Nftables)
}

/// Whether lanes may differ in a flow's first word under another policy. **A flow that would be translated otherwise now** loses one packet
/// to our datapath's noticing it; nftables has deleted it, and the packet begins it anew.
pub fn may_begin_anew(lanes: [Datapath; 2], outcomes: [&Outcome; 2]) -> bool {
    lanes.contains(&Datapath::Nftables) && outcomes.contains(&&Outcome::Dropped)
}
