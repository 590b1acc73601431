//! The daemon's state, and how it comes to life.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::engine::{Engine, Handling, Scene, Why};
use super::policy_file::PolicyFile;
use super::record::Record;
use super::{DaemonError, Options};
use crate::announce::Announcer;
use crate::control::{ControlRequest, ControlServer};
use crate::instance::InstanceName;
use crate::inventory::IfIndex;
use crate::model::DatapathMode;
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
    /// What makes the kernel forward.
    pub engine: Engine,
    /// The last plan that was applied.
    pub plan: Plan,
    /// What is to be put back.
    pub record: Record,
    /// Interfaces that have been told to forward.
    pub forwarding: BTreeSet<IfIndex>,
    /// Interfaces on which the kernel cannot answer for IPv6 packets (before Linux 6.17).
    pub without_ipv6_errors: BTreeSet<IfIndex>,
    /// Gateways of the routes, and the state of the routes they were read in.
    pub gateways: (Option<u64>, BTreeSet<NextHop>),
    /// Tells the neighbours.
    pub announcer: Announcer,
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

impl Gateway {
    /// Puts everything in place. On an error, what has been changed so far is put back.
    ///
    /// # Errors
    /// Why the gateway cannot run here.
    pub async fn start(options: Options, policy: PolicyFile) -> Result<Self, DaemonError> {
        let observer = Observer::start().await?;
        let mut numbers = Numbers::default();
        numbers.update(&policy.model);
        let record = Record::open(&options.instance);
        let engine = Engine::start(&policy.model, &record.changes.sysctls).await?;
        let mut gateway = Self {
            options,
            policy,
            generation: 1,
            reload_errors: Vec::new(),
            problems: Vec::new(),
            numbers,
            observer,
            engine,
            plan: Plan::default(),
            record,
            forwarding: BTreeSet::new(),
            without_ipv6_errors: BTreeSet::new(),
            gateways: (None, BTreeSet::new()),
            announcer: Announcer::default(),
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

    /// The engine, and what it works from.
    pub fn scene(&mut self) -> (&mut Engine, Scene<'_>) {
        let Self { options, policy, numbers, observer, engine, plan, .. } = self;
        let scene = Scene { instance: &options.instance, model: &policy.model, inventory: observer.inventory(), numbers, plan };
        (engine, scene)
    }

    async fn come_up(&mut self) -> Result<(), DaemonError> {
        self.take_kept_flows();
        match self.settle().await {
            // Loaded, but not attached: as good as refused.
            Err(refused @ DaemonError::Datapath(_)) if self.policy.model.mode == DatapathMode::Auto => {
                self.switch_to_nftables(Why::refused(&refused)).await?;
                self.settle().await?;
            }
            other => other?,
        }
        self.control = Some(Control::open(&self.options.instance)?);
        self.ready = true;
        for (index, planned) in &self.plan.interfaces {
            let Handling { attach, reason, .. } = self.engine.handling(*index, planned);
            tracing::info!("{} ({}) forwards by {attach}: {reason}", planned.name.0, planned.zone.0);
        }
        for waiting in &self.plan.waiting {
            tracing::warn!("{} ({}): {}", waiting.name.0, waiting.zone.0, waiting.reason);
        }
        tracing::info!("ready: policy {} as instance {}", self.policy.path.display(), self.options.instance);
        Ok(())
    }
}
