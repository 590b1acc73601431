//! How large packets may be, held against the interfaces' MTU.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::mtu::Path;
use crate::doctor::scene::Scene;
use crate::model::DatapathMode;

/// The least that IPv6 wants of a link (RFC 8200 section 5): below it, Linux takes IPv6 off the interface.
const IPV6_LEAST: u32 = 1280;

/// One path that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// To whom.
    pub peer: IpAddr,
    /// The user named him.
    pub named: bool,
    /// The interface that it leaves by, and its MTU in bytes; `None`: there is no way to him.
    pub through: Option<(String, u32)>,
    /// What came of it.
    pub path: Result<Path, String>,
}

/// Judges the paths. Those that say by themselves what they carry are [`narrow`]'s.
#[must_use]
pub fn path(measured: &[Measured]) -> Outcome {
    let mut outcome = Outcome::of(Check::PathMtu);
    // One hole is mostly met on every path through it.
    let mut holes: BTreeMap<(&String, u32), Vec<(IpAddr, u32)>> = BTreeMap::new();
    for one in measured {
        let peer = one.peer;
        let (Some((interface, mtu)), Ok(path)) = (&one.through, &one.path) else {
            let why = one.path.as_ref().err().map_or("there is no route", String::as_str);
            outcome.skip(format!("{peer}: {why}"));
            continue;
        };
        match *path {
            Path::Full => outcome.good(format!("{peer}: answers packets of {mtu} bytes, all that {interface} sends")),
            Path::Silent if one.named => outcome.findings.push(silent(peer, interface)),
            Path::Silent => outcome.skip(format!("{peer} answers no ping")),
            Path::Announced { .. } => {}
            Path::BlackHole { largest } => holes.entry((interface, *mtu)).or_default().push((peer, largest)),
        }
    }
    outcome.findings.extend(holes.into_iter().map(|((interface, mtu), peers)| black_hole(interface, mtu, &peers)));
    if measured.iter().all(|one| !one.named) {
        outcome.skip("paths beyond the neighbours: within one node large packets pass even where they do not between nodes; name a peer on another node with --peer");
    }
    outcome
}

/// Judges the paths that say what they carry: to the gateway they do, but do those behind it hear of it?
#[must_use]
pub fn narrow(scene: &Scene, measured: &[Measured]) -> Outcome {
    let mut outcome = Outcome::of(Check::PathMtu);
    for one in measured {
        if let (Some((interface, mtu)), Ok(Path::Announced { largest, by })) = (&one.through, &one.path) {
            outcome.findings.push(announced(one.peer, interface, *mtu, *largest, *by, passes_errors_on(scene)));
        }
    }
    outcome
}

/// The kernel's connection tracking knows whose packets an ICMP error is about; the eBPF programs drop errors that are to be forwarded
/// (gateway-ebpf/src/pipeline.rs, `untracked`).
fn passes_errors_on(scene: &Scene) -> bool {
    scene.model.as_ref().is_some_and(|model| model.mode == DatapathMode::Nftables)
}

/// What makes the gateway itself tell those behind it, before the packet leaves.
fn lower(interface: &str, largest: u32) -> Remedy {
    if largest >= IPV6_LEAST {
        return Remedy::Policy { text: format!("[interfaces.{interface}]\nmtu = {largest}\n") };
    }
    Remedy::Advice {
        text: format!(
            "Widen the path, as {largest} bytes are less than IPv6 needs ({IPV6_LEAST}). Where there is IPv4 only: `mtu = {largest}` under \
             [interfaces.{interface}] in the policy."
        ),
    }
}

/// `peers` with the largest packet that each answers.
fn black_hole(interface: &str, mtu: u32, peers: &[(IpAddr, u32)]) -> Finding {
    let largest = peers.iter().map(|(_, largest)| *largest).min().unwrap_or(mtu);
    let seen = |(peer, largest): &(IpAddr, u32)| {
        let first = largest + 1;
        format!("{peer} answers pings of up to {largest} bytes that must not be fragmented, and none of {first} to {mtu}")
    };
    let evidence = peers.iter().map(seen);
    Finding {
        id: Id::MtuBlackHole,
        severity: Severity::Fault,
        interface: Some(interface.to_owned()),
        title: format!("packets of more than {largest} bytes through {interface} disappear without a word"),
        evidence: evidence.chain([format!("nobody said \"fragmentation needed\", and {interface} sends up to {mtu} bytes")]).collect(),
        consequence:
            "Connections open and then hang as soon as much is sent: pages that load half, copies that stall, remote desktops that stay \
                      black. (It may also be that the peer itself refuses large pings: compare another one.)"
                .to_owned(),
        remedies: vec![
            lower(interface, largest),
            Remedy::Yaml {
                object: "ClusterUserDefinedNetwork, if the path is an overlay's (make it anew, and give the VMs the same MTU)",
                text: format!("spec:\n  network:\n    topology: Layer2\n    layer2:\n      mtu: {largest}\n"),
            },
        ],
    }
}

fn announced(peer: IpAddr, interface: &str, mtu: u32, largest: u32, by: (IpAddr, u32), passed_on: bool) -> Finding {
    let (severity, consequence) = if passed_on {
        (Severity::Note, "The kernel passes these errors on to the hosts behind the gateway, and path MTU discovery works for them.")
    } else {
        (
            Severity::Warning,
            "The gateway hears it, the hosts behind it do not: the eBPF datapath drops ICMP errors that are to be forwarded (`gateway drops`: \
             icmp-type). Their connections open and hang as soon as much is sent. With the MTU below, for all that leaves there, the gateway \
             itself tells them what fits.",
        )
    };
    Finding {
        id: Id::PathMtu,
        severity,
        interface: Some(interface.to_owned()),
        title: format!("the path to {peer} carries {largest} bytes of the {mtu} that {interface} sends, and says so"),
        evidence: vec![format!("{} said that only {} bytes fit", by.0, by.1)],
        consequence: consequence.to_owned(),
        remedies: vec![lower(interface, largest)],
    }
}

fn silent(peer: IpAddr, interface: &str) -> Finding {
    Finding {
        id: Id::PeerSilent,
        severity: Severity::Warning,
        interface: Some(interface.to_owned()),
        title: format!("{peer}, named with --peer, does not answer a small ping"),
        evidence: vec![format!("three pings of 100 bytes were sent through {interface}")],
        consequence: "Either it is not reachable from here, or a firewall drops pings; the path to it could not be measured.".to_owned(),
        remedies: vec![Remedy::Command { lines: vec![format!("ip route get {peer}"), format!("ping -c3 {peer}")] }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(path: Path) -> Measured {
        Measured { peer: "10.0.0.9".parse().unwrap(), named: true, through: Some(("eth1".to_owned(), 1500)), path: Ok(path) }
    }

    #[test]
    fn a_silent_black_hole_is_a_fault() {
        let black = path(&[measured(Path::BlackHole { largest: 1442 })]);
        assert_eq!((black.findings[0].id, black.findings[0].severity), (Id::MtuBlackHole, Severity::Fault));
        assert!(black.findings[0].remedies.contains(&Remedy::Policy { text: "[interfaces.eth1]\nmtu = 1442\n".to_owned() }));
        assert!(path(&[measured(Path::Full)]).findings.is_empty());
        // Such a policy is refused beside an IPv6 address.
        let tiny = path(&[measured(Path::BlackHole { largest: 1000 })]);
        assert!(matches!(&tiny.findings[0].remedies[0], Remedy::Advice { text } if text.contains("`mtu = 1000`")), "{tiny:?}");
    }

    #[test]
    fn an_honest_narrow_path_is_in_order_only_where_its_errors_are_passed_on() {
        let honest = [measured(Path::Announced { largest: 1442, by: ("10.0.0.1".parse().unwrap(), 1442) })];
        assert!(path(&honest).findings.is_empty());
        let judged = |mode| {
            let policy = format!("version = 1\n[datapath]\nmode = \"{mode}\"\n");
            let scene = Scene { model: Some(crate::policy::load("test", &policy).unwrap().model), ..Scene::default() };
            narrow(&scene, &honest).findings.remove(0)
        };
        assert_eq!(judged("nftables").severity, Severity::Note);
        for mode in ["auto", "tc", "xdp"] {
            let found = judged(mode);
            assert_eq!((found.id, found.severity), (Id::PathMtu, Severity::Warning), "{mode}");
            assert_eq!(found.remedies, [Remedy::Policy { text: "[interfaces.eth1]\nmtu = 1442\n".to_owned() }]);
        }
    }

    #[test]
    fn a_peer_that_does_not_answer_is_a_finding_only_where_somebody_counts_on_him() {
        let named = path(&[measured(Path::Silent)]);
        assert_eq!((named.findings[0].id, named.findings[0].severity), (Id::PeerSilent, Severity::Warning));
        let met = path(&[Measured { named: false, ..measured(Path::Silent) }]);
        assert!(met.findings.is_empty() && met.skipped[0].contains("answers no ping"), "{met:?}");
    }
}
