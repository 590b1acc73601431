//! The loop: signals, netlink, the policy file, requests, logged packets, refused packets, timers.

use std::future::pending;
use std::time::Duration;

use gateway_ebpf::abi::{Event, EventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::engine::Told;
use super::gateway::Gateway;
use super::pace::{Lines, Pace};
use super::watch::PolicyWatch;
use super::watchdog::Watchdog;
use super::{DaemonError, error, reload};
use crate::announce::ClockWatch;
use crate::datapath::inspect;

/// After a failure of netlink: long enough not to spin, short enough not to miss much.
const BACK_OFF: Duration = Duration::from_secs(1);
/// Lines per second about logged packets.
const LOGGED_LINES: u32 = 100;
/// Between two reconciliations while the network changes all the time.
const RECONCILE: Duration = Duration::from_millis(125);
/// Reconciliations at once before that: more than a link with its addresses, routes and neighbours brings.
const RECONCILE_BURST: u32 = 32;

/// Serves until SIGTERM or SIGINT, then stops.
///
/// # Errors
/// The loop cannot be set up; everything has been put back.
pub async fn serve(mut gateway: Gateway) -> Result<(), DaemonError> {
    let prepared = Sources::prepare(&gateway);
    match prepared {
        Ok(sources) => run(&mut gateway, sources).await,
        Err(failed) => {
            gateway.stop().await;
            return Err(failed);
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    gateway.stop().await;
    Ok(())
}

/// What the loop waits for, besides the gateway's own parts.
struct Sources {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    watch: PolicyWatch,
    clock: Option<ClockWatch>,
}

impl Sources {
    fn prepare(gateway: &Gateway) -> Result<Self, DaemonError> {
        let runtime = |source| DaemonError::Runtime { source };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(runtime)?,
            interrupt: signal(SignalKind::interrupt()).map_err(runtime)?,
            hangup: signal(SignalKind::hangup()).map_err(runtime)?,
            watch: PolicyWatch::start(&gateway.policy.path)?,
            // The gateway works without.
            clock: ClockWatch::start().inspect_err(|failed| tracing::warn!("{}", error::chain(failed))).ok(),
        })
    }
}

async fn run(gateway: &mut Gateway, mut sources: Sources) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut sweep_at = Instant::now();
    let mut back_off = None;
    let mut pace = Pace::new(RECONCILE, RECONCILE_BURST);
    let mut lines = Lines::new(LOGGED_LINES);
    let mut watchdog = Watchdog::of_the_unit();
    loop {
        tokio::select! {
            _ = sources.terminate.recv() => return,
            _ = sources.interrupt.recv() => return,
            _ = sources.hangup.recv() => reload::reload(gateway).await,
            () = sources.watch.changed() => reload::reload(gateway).await,
            changed = gateway.observer.changed(), if back_off.is_none() => {
                if let Err(failed) = changed {
                    tracing::warn!("{}", error::chain(&failed));
                    back_off = Some(Instant::now() + BACK_OFF);
                }
                if pace.ask(Instant::now()) {
                    reconcile(gateway, &mut pace).await;
                }
            }
            () = maybe_sleep(pace.due()) => reconcile(gateway, &mut pace).await,
            () = maybe_sleep(back_off) => back_off = None,
            () = maybe_sleep(gateway.announcer.due().map(Instant::from_std)) => {
                for failed in gateway.announcer.send(std::time::Instant::now()) {
                    tracing::warn!("{}", error::chain(&failed));
                }
            }
            () = clock_set(&mut sources.clock) => gateway.announcer.moved(std::time::Instant::now()),
            request = next_request(&mut gateway.control) => super::views::answer(gateway, request).await,
            told = gateway.engine.told() => match told {
                Told::Logged(logged) => {
                    let now = Instant::now();
                    logged.iter().filter(|_| lines.ask(now)).for_each(|event| log(event, gateway));
                }
                Told::Rulesets => {
                    let (engine, scene) = gateway.scene();
                    engine.verify(scene).await;
                    if gateway.engine.protected().is_none() && pace.ask(Instant::now()) {
                        reconcile(gateway, &mut pace).await;
                    }
                }
                Told::Refused => {
                    let (engine, scene) = gateway.scene();
                    engine.answer(scene);
                }
            },
            () = maybe_sleep(lines.due()) => {
                let suppressed = lines.take_suppressed();
                tracing::info!(suppressed, "{suppressed} more suppressed: logged packets get {LOGGED_LINES} lines per second");
            }
            () = sleep_until(sweep_at) => {
                sweep_at = Instant::now() + gateway.sweep().await;
                // A guard table that was refused is tried again until it stands.
                if gateway.engine.protected() != Some(&gateway.policy.model) && pace.ask(Instant::now()) {
                    reconcile(gateway, &mut pace).await;
                }
            }
            () = watchdog.tell() => {}
        }
    }
}

async fn reconcile(gateway: &mut Gateway, pace: &mut Pace) {
    if let Err(failed) = gateway.reconcile().await {
        let text = error::chain(&failed);
        tracing::error!("{text}");
        gateway.problems.push(text);
    }
    pace.done(Instant::now());
}

async fn next_request(control: &mut Option<super::gateway::Control>) -> crate::control::ControlRequest {
    match control {
        Some(control) => match control.requests.recv().await {
            Some(request) => request,
            None => pending().await,
        },
        None => pending().await,
    }
}

fn log(event: &Event, gateway: &Gateway) {
    let rule = gateway.numbers.rule_name(event.rule).map_or("?", |name| name.0.as_str());
    let action = if event.kind == EventKind::ACCEPTED { "accepted" } else { "refused" };
    let interface = gateway.plan.interfaces.get(&crate::inventory::IfIndex(event.ifindex)).map_or("?", |planned| planned.name.0.as_str());
    let (source, destination) = inspect::endpoints(event);
    let protocol = crate::control::view::Protocol::from_abi(gateway_ebpf::abi::Protocol(event.protocol));
    let protocol = protocol.map_or_else(|| event.protocol.to_string(), |protocol| protocol.to_string());
    tracing::info!(rule, action, interface, %protocol, %source, %destination, "rule \"{rule}\" {action} {protocol} {source} -> {destination}");
}

async fn clock_set(clock: &mut Option<ClockWatch>) {
    match clock {
        Some(clock) => clock.set().await,
        None => pending().await,
    }
}

async fn maybe_sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}
