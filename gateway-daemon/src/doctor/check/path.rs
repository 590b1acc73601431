//! How large packets may be, held against the interfaces' MTU.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::probe::mtu::Path;

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

/// Judges the paths.
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
            Path::Announced { largest, by } => outcome.findings.push(announced(peer, interface, *mtu, largest, by)),
            Path::BlackHole { largest } => holes.entry((interface, *mtu)).or_default().push((peer, largest)),
        }
    }
    outcome.findings.extend(holes.into_iter().map(|((interface, mtu), peers)| black_hole(interface, mtu, &peers)));
    if measured.iter().all(|one| !one.named) {
        outcome.skip("paths beyond the neighbours: within one node large packets pass even where they do not between nodes; name a peer on another node with --peer");
    }
    outcome
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
            Remedy::Policy { text: format!("[interfaces.{interface}]\nmtu = {largest}\n") },
            Remedy::Yaml {
                object: "ClusterUserDefinedNetwork, if the path is an overlay's (make it anew, and give the VMs the same MTU)",
                text: format!("spec:\n  network:\n    topology: Layer2\n    layer2:\n      mtu: {largest}\n"),
            },
        ],
    }
}

fn announced(peer: IpAddr, interface: &str, mtu: u32, largest: u32, by: (IpAddr, u32)) -> Finding {
    Finding {
        id: Id::PathMtu,
        severity: Severity::Note,
        interface: Some(interface.to_owned()),
        title: format!("the path to {peer} carries {largest} bytes of the {mtu} that {interface} sends, and says so"),
        evidence: vec![format!("{} said that only {} bytes fit", by.0, by.1)],
        consequence: "Path MTU discovery works here; hosts behind the gateway need its errors to reach them.".to_owned(),
        remedies: vec![Remedy::Policy { text: format!("[interfaces.{interface}]\nmtu = {largest}\n") }],
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
    fn a_silent_black_hole_is_a_fault_and_an_honest_narrow_path_is_not() {
        let black = path(&[measured(Path::BlackHole { largest: 1442 })]);
        assert_eq!((black.findings[0].id, black.findings[0].severity), (Id::MtuBlackHole, Severity::Fault));
        assert!(black.findings[0].remedies.contains(&Remedy::Policy { text: "[interfaces.eth1]\nmtu = 1442\n".to_owned() }));
        let honest = path(&[measured(Path::Announced { largest: 1442, by: ("10.0.0.1".parse().unwrap(), 1442) })]);
        assert_eq!(honest.findings[0].severity, Severity::Note);
        assert!(path(&[measured(Path::Full)]).findings.is_empty());
    }
}
