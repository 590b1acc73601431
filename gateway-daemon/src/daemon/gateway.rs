//! The daemon's state, and how it comes to life.

use std::collections::BTreeSet;
use std::time::Instant;

use gateway_ebpf::abi::Tick;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::policy_file::PolicyFile;
use super::record::Record;
use super::{DaemonError, Options};
use crate::control::{ControlRequest, ControlServer};
use crate::datapath::{Capacity, Datapath, Swept, TcHook};
use crate::instance::InstanceName;
use crate::inventory::IfIndex;
use crate::model::Model;
use crate::netlink::Observer;
use crate::netlink::apply::NextHop;
use crate::plan::{Numbers, Plan};

/// Everything that the loop owns.
pub struct Gateway {
    /// What was asked for.
    pub options: Options,
    /// The policy in force.
    pub policy: PolicyFile,
    /// Counts the policies that took effect. The datapath's own generation is another number: it moves whenever flows must be decided anew,
    /// and stays when a policy changes only what the guard does.
    pub generation: u32,
    /// What was wrong with the last reload, one line each; the policy in force is the one before it.
    pub reload_errors: Vec<String>,
    /// What went wrong at the last reconciliation, one line each.
    pub problems: Vec<String>,
    /// Numbers of rules and zones.
    pub numbers: Numbers,
    /// The network.
    pub observer: Observer,
    /// The programs.
    pub datapath: Datapath,
    /// The last plan that was applied.
    pub plan: Plan,
    /// What is to be put back.
    pub record: Record,
    /// The policy that the guard table was made from.
    pub guarded: Option<Model>,
    /// Interfaces that have been told to forward.
    pub forwarding: BTreeSet<IfIndex>,
    /// Interfaces on which the kernel cannot answer for IPv6 packets (before Linux 6.17).
    pub without_ipv6_errors: BTreeSet<IfIndex>,
    /// Gateways of the routes, and the state of the routes they were read in.
    pub gateways: (Option<u64>, BTreeSet<NextHop>),
    /// The last sweep.
    pub swept: Swept,
    /// Flows, packets and bytes of everything that has ended.
    pub ended: Ended,
    /// The control socket.
    pub control: Option<Control>,
    /// When the daemon started.
    pub started: Instant,
    /// The datapath is in place.
    pub ready: bool,
}

/// The control socket's task, and what comes from it.
pub struct Control {
    task: JoinHandle<()>,
    /// Requests of the live commands.
    pub requests: mpsc::Receiver<ControlRequest>,
}

impl Control {
    fn open(instance: &InstanceName) -> Result<Self, DaemonError> {
        let server = ControlServer::bind(&instance.control_socket())?;
        // One request waits while another is answered; more wait in their connections.
        let (sender, requests) = mpsc::channel(1);
        Ok(Self { task: tokio::spawn(server.serve(sender)), requests })
    }

    /// Closes the socket and removes it.
    pub async fn close(self) {
        self.task.abort();
        // Cancelled, as asked for.
        let _ = self.task.await;
    }
}

/// What ended flows carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Gateway {
    /// Puts everything in place. On an error, what has been changed so far is put back.
    ///
    /// # Errors
    /// Why the gateway cannot run here.
    pub async fn start(options: Options, policy: PolicyFile) -> Result<Self, DaemonError> {
        let observer = Observer::start().await?;
        let datapath = Datapath::new(Capacity { flows: policy.model.flows }, secret()?, TcHook::of_this_kernel())?;
        let mut numbers = Numbers::default();
        numbers.update(&policy.model);
        let record = Record::open(&options.instance);
        let mut gateway = Self {
            options,
            policy,
            generation: 1,
            reload_errors: Vec::new(),
            problems: Vec::new(),
            numbers,
            observer,
            datapath,
            plan: Plan::default(),
            record,
            guarded: None,
            forwarding: BTreeSet::new(),
            without_ipv6_errors: BTreeSet::new(),
            gateways: (None, BTreeSet::new()),
            swept: Swept::default(),
            ended: Ended::default(),
            control: None,
            started: Instant::now(),
            ready: false,
        };
        match gateway.come_up().await {
            Ok(()) => Ok(gateway),
            Err(error) => {
                gateway.put_back().await;
                Err(error)
            }
        }
    }

    async fn come_up(&mut self) -> Result<(), DaemonError> {
        self.settle().await?;
        self.control = Some(Control::open(&self.options.instance)?);
        self.ready = true;
        for (index, planned) in &self.plan.interfaces {
            let hook = if self.datapath.attachment(*index).is_some_and(crate::datapath::Attachment::has_xdp) { "xdp and tc" } else { "tc" };
            tracing::info!("{} ({}) forwards by {hook}: {}", planned.name.0, planned.zone.0, planned.reason);
        }
        for waiting in &self.plan.waiting {
            tracing::warn!("{} ({}): {}", waiting.name.0, waiting.zone.0, waiting.reason);
        }
        tracing::info!("ready: policy {} as instance {}", self.policy.path.display(), self.options.instance);
        Ok(())
    }
}

/// The key of the port hash.
fn secret() -> Result<[u64; 2], DaemonError> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| DaemonError::Runtime { source: errno.into() })?;
    let (low, high) = bytes.split_at(8);
    let word = |half: &[u8]| half.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    Ok([word(low), word(high)])
}

/// The datapath's clock.
pub fn now() -> Tick {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    Tick::from_ns(u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}
