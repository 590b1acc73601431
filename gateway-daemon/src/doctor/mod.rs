//! `gateway doctor`: finds out where the gateway stands, and says what to change.
//!
//! Three steps: [`scene`] looks, [`probe`] tries what can only be known by trying, [`check`] judges both. Only the second sends packets, and
//! nothing that anybody keeps is changed by them.

pub mod check;
mod error;
pub mod finding;
pub mod probe;
pub mod scene;
pub mod topology;

use std::net::IpAddr;
use std::thread;

use serde::Serialize;

pub use error::DoctorError;
pub use finding::{Check, Finding, Id, Outcome, Remedy, Severity};
pub use topology::Topology;

use crate::model::Model;
use crate::nftables::survey;
use check::Measured;
use probe::{Passes, Probed, Security, mtu};
use scene::{Leg, Scene};

/// Peers of each leg whose path is measured, besides those that the user named.
const PATHS: usize = 2;

/// What to examine.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The policy that is meant for this machine.
    pub model: Option<Model>,
    /// Peers to probe with.
    pub peers: Vec<IpAddr>,
}

/// One leg, as far as it is of interest to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LegView {
    /// Its name.
    pub interface: String,
    /// Its zone, where a policy gives it one.
    pub zone: Option<String>,
    /// "virtio", "pci", "veth".
    pub device: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// How it is bound to a pod's network.
    pub binding: topology::Binding,
    /// What its port lets through.
    pub port: PortView,
}

/// What a port lets through that is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortView {
    /// Everything.
    Open,
    /// Every address, from its own MAC.
    MacOnly,
    /// Its own address only, of either family.
    MacAndAddress,
    /// It could not be tried.
    Unknown,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing needs to be done; notes there may be.
    pub healthy: bool,
    /// Where the gateway stands.
    pub topology: Topology,
    /// On what.
    pub legs: Vec<LegView>,
    /// By examination.
    pub checks: Vec<Outcome>,
}

impl Report {
    /// Every finding, the worst first.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.checks.iter().flat_map(|outcome| &outcome.findings).collect();
        findings.sort_by_key(|finding| finding.severity);
        findings
    }
}

/// Examines the calling thread's network namespace. Takes ten to thirty seconds, most of it waiting for answers; `progress` is told what is being
/// done. Blocks.
///
/// # Errors
/// The machine cannot be observed, or not probed.
pub fn examine(subject: Subject, progress: &(dyn Fn(&str) + Sync)) -> Result<Report, DoctorError> {
    progress("looks at the machine");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| DoctorError::Runtime { source })?;
    let scene = runtime.block_on(Scene::observe(subject.model, subject.peers))?;
    drop(runtime);
    let legs = scene.legs();

    // All legs at once: most of it is waiting. A thread is in the namespace of its parent.
    let probed: Result<Vec<Probed>, DoctorError> = thread::scope(|scope| {
        let threads: Vec<_> = legs
            .iter()
            .map(|leg| {
                let scene = &scene;
                scope.spawn(move || probe_leg(scene, leg, progress))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let examined: Vec<(Leg, Probed)> = legs.iter().cloned().zip(probed?).collect();
    let measured = paths(&scene, &examined, progress);

    progress("asks the kernel what it can");
    let chains = survey::base_chains();
    let running = chains.as_deref().is_ok_and(check::is_running);
    let topology = topology::topology(&scene, &examined);
    let checks = vec![
        check::links(&scene, &legs),
        check::pod(&scene, &examined, &topology),
        check::duplicate(&scene, &examined),
        check::port_security(&scene, &examined),
        path_mtu(&scene, &measured),
        check::queues(&scene, &legs),
        check::offloads(&scene, &legs),
        check::sysctls(&scene, &legs, running),
        check::leftovers(&chains),
        check::kernel(&scene, &legs),
        check::clock(),
    ];
    let healthy = checks.iter().flat_map(|outcome| &outcome.findings).all(|finding| finding.severity == Severity::Note);
    Ok(Report { healthy, topology, legs: examined.iter().map(|(leg, probed)| view(leg, probed)).collect(), checks })
}

fn path_mtu(scene: &Scene, measured: &[Measured]) -> Outcome {
    let mut outcome = check::path(measured);
    outcome.add(check::narrow(scene, measured));
    outcome
}

/// A leg that fails by itself, as one that goes down meanwhile, does not keep the others from being examined.
fn probe_leg(scene: &Scene, leg: &Leg, progress: &(dyn Fn(&str) + Sync)) -> Result<Probed, DoctorError> {
    match probe::leg(scene, leg, &|step| progress(&format!("{}: {step}", leg.name()))) {
        Err(DoctorError::Probe { source, .. }) if source.kind() != std::io::ErrorKind::PermissionDenied => {
            Ok(Probed::untried(&format!("it could not be probed: {source}")))
        }
        other => other,
    }
}

/// Measures the paths to the named peers, and to the first neighbours of each leg that answered.
fn paths(scene: &Scene, legs: &[(Leg, Probed)], progress: &(dyn Fn(&str) + Sync)) -> Vec<Measured> {
    let mut peers: Vec<IpAddr> = scene.peers.clone();
    for (leg, probed) in legs {
        let answered = |peer: &IpAddr| peer.is_ipv4() && probed.stations.contains_key(peer);
        for peer in scene.peers_of(leg).into_iter().filter(answered).take(PATHS) {
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
    }
    thread::scope(|scope| {
        let threads: Vec<_> = peers
            .iter()
            .map(|peer| {
                let named = scene.peers.contains(peer);
                scope.spawn(move || {
                    progress(&format!("measures the path to {peer}"));
                    measure(scene, *peer, named)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

fn measure(scene: &Scene, peer: IpAddr, named: bool) -> Measured {
    let none = |why: String| Measured { peer, named, through: None, path: Err(why) };
    let source = match mtu::source(peer) {
        Ok(source) => source,
        Err(error) => return none(format!("there is no route: {error}")),
    };
    let mut links = scene.inventory.links.values();
    let Some(link) = links.find(|link| link.addresses.iter().any(|net| net.addr() == source)) else {
        return none(format!("the interface that has {source} was not found"));
    };
    // What the policy will set counts already, as far as the link goes with it now.
    let configured = scene.model.as_ref().and_then(|model| model.interfaces.get(&link.name)).and_then(|interface| interface.mtu);
    let mtu = configured.map_or(link.mtu, |configured| configured.min(link.mtu));
    let path = mtu::path(peer, mtu).map_err(|error| format!("it could not be probed: {error}"));
    Measured { peer, named, through: Some((link.name.0.clone(), mtu)), path }
}

fn view(leg: &Leg, probed: &Probed) -> LegView {
    let device = leg.hardware.bus.as_deref().or(leg.link.kind.as_deref()).unwrap_or("-");
    let any = |wanted: &dyn Fn(&Security) -> bool| probed.tried().any(wanted);
    let port = if any(&|tried| tried.source == Passes::No || tried.destination == Passes::No) {
        PortView::MacAndAddress
    } else if any(&|tried| tried.source == Passes::Yes) && any(&|tried| tried.mac == Passes::No) {
        PortView::MacOnly
    } else if any(&|tried| tried.source == Passes::Yes) && any(&|tried| tried.mac == Passes::Yes) {
        PortView::Open
    } else {
        PortView::Unknown
    };
    LegView {
        interface: leg.name().to_owned(),
        zone: leg.zone.as_ref().map(|zone| zone.0.clone()),
        device: device.to_owned(),
        mtu: leg.link.mtu,
        addresses: leg.addresses().map(ToString::to_string).collect(),
        binding: topology::binding(leg, &probed.stations),
        port,
    }
}
