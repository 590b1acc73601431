//! A datapath in the lab's gateway namespace, lent to a test.

use anyhow::{Context, Result};
use gateway_daemon::datapath::{Capacity, Datapath, TcHook};
use gateway_daemon::netlink::Observer;
use gateway_daemon::plan::{Numbers, plan};
use gateway_daemon::policy;
use gateway_tests::lab::{GATEWAY_OVERLAY, Lab};

/// The users' own policy.
pub const SEED: &str = include_str!("../policies/seed.toml");

/// Runs `action` while the seed policy forwards in the lab, by `hook`. What the daemon does besides, forwarding and the address of the
/// overlay, is done by hand.
pub fn with_datapath<T: Send>(lab: &Lab, hook: TcHook, action: impl FnOnce(&mut Datapath) -> Result<T> + Send) -> Result<T> {
    lab.gateway.ip(&format!("addr replace {GATEWAY_OVERLAY}/21 dev eth1"))?;
    for leg in ["eth0", "eth1"] {
        lab.gateway.sysctl(&format!("net/ipv4/conf/{leg}/forwarding"), "1")?;
    }
    lab.gateway.within(|| action(&mut attached(hook)?))?
}

/// Leaves behind what a datapath that was killed leaves behind.
pub fn kill_datapath(lab: &Lab, hook: TcHook) -> Result<()> {
    lab.gateway.within(|| {
        std::mem::forget(attached(hook)?);
        Ok(())
    })?
}

/// The seed policy, in force in the namespace of the calling thread.
fn attached(hook: TcHook) -> Result<Datapath> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let inventory = runtime.block_on(async { anyhow::Ok(Observer::start().await?.inventory().clone()) })?;
    let model = policy::load("seed.toml", SEED).map_err(|report| anyhow::anyhow!("{report}"))?.model;
    let mut numbers = Numbers::default();
    numbers.update(&model);
    let mut datapath = Datapath::new(Capacity { flows: 1024 }, [1, 2], hook)?;
    datapath.apply(&plan(&model, &inventory, &numbers)).context("the plan cannot be applied")?;
    Ok(datapath)
}
