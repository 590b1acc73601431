//! The packet core on ordinary collections against the loaded programs in a real kernel: the same frames, the same verdicts, the same
//! bytes, and in the end the same tables and counters.
//!
//! Not seen here: what the helpers do after the program (`bpf_redirect`'s delivery, neighbour resolution), checksums that a device has to
//! complete, and segmentation: a test run's frame carries a GSO size, but is never segmented.

mod compare;
mod kernel;
mod network;
mod traffic;

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use gateway_ebpf::abi::{Action, Protocol, Reason, Rule, RuleFlags};
use gateway_ebpf::env::Arrival;
use gateway_tests::frames::hex;
use gateway_tests::site::{self, ANY, DMZ, INSIDE, LAN, POOL, WAN, WAN_ADDRESS};
use gateway_tests::skip;
use gateway_tests::world::{Policy, Sent, World, accept, exempt, forward, masquerade, pooled, refuse, reject};

use kernel::{Kernel, Verdict};
use traffic::{Shot, Traffic};

/// Frames of all rounds together.
const FRAMES: usize = 50_000;
/// The seed that is the same in every run.
const SEED: u64 = 20_260_101;
/// One frame in so many is preceded by a change of policy or routes.
const CHANGE_EVERY: usize = 1500;
/// Ticks of 134 ms that pass for half-open flows at once: three seconds.
const AGE: u32 = 23;

#[test]
fn the_loaded_programs_decide_and_write_as_the_core_does() {
    let test = "parity";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "needs root to load programs and to make a network namespace");
    }
    let namespace = network::build().unwrap_or_else(|error| panic!("{error:#}"));
    let chance = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    // Roomy tables, and tables that fill up, each with the fixed and with a new seed.
    let rounds = [(SEED, 4096, 35), (SEED + 1, 24, 20), (chance, 4096, 35), (chance + 1, 24, 20)];
    for (seed, flows, harm) in rounds {
        let round = format!("seed {seed}, {flows} flows, {harm} % harmed");
        println!("parity: {round}");
        let result = namespace.within(|| run(seed, flows, harm, FRAMES / rounds.len(), &namespace));
        match result {
            Ok(Ok(summary)) => println!("parity: {summary}"),
            Ok(Err(error)) | Err(error) => panic!("{round}: {error:#}"),
        }
    }
}

/// One round; what was seen in it.
fn run(seed: u64, flows: u32, harm: u8, frames: usize, namespace: &gateway_tests::Namespace) -> Result<String> {
    let mut kernel = Kernel::load(flows)?;
    let mut world = World::new(&policies()[0], site::routing(), Kernel::capacities(flows));
    kernel.write(&world.policy, None)?;
    let mut traffic = Traffic::new(seed, harm);
    let (mut sent, mut fast, mut stopped, mut not_run) = (0, 0, 0, 0);
    let mut away = false;
    for n in 0..frames {
        if n % CHANGE_EVERY == CHANGE_EVERY - 1 {
            away = change(&mut traffic, &mut kernel, &mut world, namespace, away)?;
        }
        if n % 200 == 199 {
            kernel.age(AGE);
            age(&mut world);
        }
        let shot = traffic.next();
        let at = || format!("frame {n} on interface {}: {}", shot.arrival.0, hex(&shot.frame));
        if shot.gso_size == 0 && traffic.rng().u8(..4) > 0 {
            match xdp(&mut kernel, &mut world, &shot).with_context(at)? {
                None => {
                    not_run += 1;
                    continue;
                }
                Some(Some((leaves, frame))) => {
                    fast += 1;
                    traffic.forwarded(&shot, &frame, leaves.egress);
                    continue;
                }
                Some(None) => {}
            }
        }
        match tc(&mut kernel, &mut world, &shot).with_context(at)? {
            None => not_run += 1,
            Some(Some((leaves, frame))) => {
                sent += 1;
                traffic.forwarded(&shot, &frame, leaves.egress);
            }
            Some(None) => stopped += 1,
        }
    }
    if away {
        move_default_route(namespace, &mut world, false)?;
    }
    compare::tables(&kernel, &world)?;
    let summary = format!("{sent} by tc, {fast} by XDP, {stopped} stopped, {not_run} not run; {}", reasons(&world));
    ensure!(sent > frames / 20 && fast > frames / 50 && stopped > frames / 20, "too little of a kind: {summary}");
    ensure!(not_run < frames / 50, "the kernel did not take {not_run} frames");
    Ok(summary)
}

/// `None`: not run. `Some(None)`: not forwarded.
type Outcome = Option<Option<(Sent, Vec<u8>)>>;

fn tc(kernel: &mut Kernel, world: &mut World, shot: &Shot) -> Result<Outcome> {
    let Some(theirs) = kernel.tc(&shot.frame, shot.arrival, shot.gso_size)? else { return Ok(None) };
    let arrival = Arrival { ifindex: shot.arrival, now_ns: world.now_ns, gso_size: shot.gso_size, vlan: 0 };
    let mut frame = shot.frame.clone();
    let result = world.tc_arrival(&mut frame, arrival);
    same("tc", &result, &frame, &theirs)?;
    Ok(Some(result.ok().map(|sent| (sent, frame))))
}

fn xdp(kernel: &mut Kernel, world: &mut World, shot: &Shot) -> Result<Outcome> {
    let Some(theirs) = kernel.xdp(&shot.frame, shot.arrival)? else { return Ok(None) };
    let mut frame = shot.frame.clone();
    let result = world.xdp(&mut frame, shot.arrival);
    same("XDP", &result, &frame, &theirs)?;
    Ok(Some(result.ok().map(|sent| (sent, frame))))
}

fn same(hook: &str, result: &Result<Sent, Reason>, frame: &[u8], theirs: &(Verdict, Vec<u8>)) -> Result<()> {
    let verdict = match result {
        Ok(_) => Verdict::Forward,
        Err(Reason::Drop(_)) => Verdict::Drop,
        Err(Reason::Punt(_) | Reason::Pass(_)) => Verdict::Pass,
    };
    ensure!(verdict == theirs.0, "{hook}: the core says {result:?}, the program {:?}", theirs.0);
    ensure!(frame == theirs.1, "{hook}: both say {verdict:?}, but they write\n core    {}\n program {}", hex(frame), hex(&theirs.1));
    Ok(())
}

/// Changes the policy, or the default route.
fn change(traffic: &mut Traffic, kernel: &mut Kernel, world: &mut World, namespace: &gateway_tests::Namespace, away: bool) -> Result<bool> {
    let before = world.policy.clone();
    let policies = policies();
    let choice = traffic.rng().usize(..policies.len() + 1);
    let now_away = match policies.get(choice) {
        Some(policy) => {
            world.install(policy);
            away
        }
        None => {
            move_default_route(namespace, world, !away)?;
            !away
        }
    };
    kernel.write(&world.policy, Some(&before))?;
    Ok(now_away)
}

/// Moves IPv4's default route to the second external leg, or back.
fn move_default_route(namespace: &gateway_tests::Namespace, world: &mut World, away: bool) -> Result<()> {
    let (leg, via) = if away { (site::WAN2_LEG, "198.51.100.254") } else { (site::WAN_LEG, "203.0.113.254") };
    namespace.ip(&format!("route replace default via {via}"))?;
    for route in world.routing.routes.iter_mut().filter(|route| route.to.prefix_len() == 0 && route.to.addr().is_ipv4()) {
        (route.egress, route.via) = (leg, Some(gateway_tests::frames::address(via)));
    }
    world.routes_changed();
    Ok(())
}

fn age(world: &mut World) {
    world.state.v4.half_open.iter_mut().for_each(|(_, flow)| flow.last_seen.0 -= AGE);
    world.state.v6.half_open.iter_mut().for_each(|(_, flow)| flow.last_seen.0 -= AGE);
}

/// The policies between which a run changes.
fn policies() -> Vec<Policy> {
    let server = |port| (Ipv4Addr::new(10, 0, 2, 10), port);
    let forwards = vec![
        forward(20, WAN, Protocol::TCP, WAN_ADDRESS, 8443, server(443)),
        forward(21, WAN, Protocol::UDP, WAN_ADDRESS, 53, server(5353)),
        forward(22, LAN, Protocol::TCP, WAN_ADDRESS, 8443, server(443)),
    ];
    // Nothing ends a host's flows here: the quota counts all that it ever opened.
    let base = Policy { destination_nat: forwards, flows_per_host: 100_000, ..site::policy() };
    let mut open = masquerade(11, LAN, WAN);
    open.flags = RuleFlags(RuleFlags::OPEN_FILTERING);
    let mut per_flow = pooled(12, LAN, WAN, POOL.len() as u16);
    per_flow.flags = RuleFlags(RuleFlags::MAPPING_PER_FLOW);
    let no_ssh =
        Rule { protocol: 6, flags: RuleFlags(RuleFlags::PORTS | RuleFlags::LOG), port_first: 22, port_last: 22, ..refuse(4, ANY, ANY) };
    let no_ping = Rule { protocol: 1, flags: RuleFlags(RuleFlags::ICMP_TYPE), icmp_type: 8, source: INSIDE, ..reject(5, LAN, ANY) };
    let rated = Rule { flags: RuleFlags(RuleFlags::RATE), rate_burst: 40, rate_interval_us: 1_000_000, ..accept(6, LAN, ANY) };
    vec![
        base.clone(),
        Policy { source_nat: vec![open], firewall: vec![no_ssh, accept(1, LAN, ANY), accept(3, WAN, DMZ)], ..base.clone() },
        Policy { source_nat: vec![exempt(9, DMZ, ANY), pooled(12, LAN, WAN, POOL.len() as u16)], flows_per_host: 300, ..base.clone() },
        Policy {
            source_nat: vec![per_flow, masquerade(13, LAN, DMZ)],
            firewall: vec![no_ping, accept(7, DMZ, WAN), rated],
            ..base.clone()
        },
        Policy { source_nat: vec![], default: Action::ACCEPT, firewall: vec![refuse(8, WAN, DMZ)], ..base },
    ]
}

fn reasons(world: &World) -> String {
    use gateway_ebpf::abi::{DropReason, PassReason, PuntReason};
    let drops = DropReason::ALL.iter().map(|reason| (reason.label(), world.counted(Reason::Drop(*reason))));
    let punts = PuntReason::ALL.iter().map(|reason| (reason.label(), world.counted(Reason::Punt(*reason))));
    let passes = PassReason::ALL.iter().map(|reason| (reason.label(), world.counted(Reason::Pass(*reason))));
    let seen: Vec<String> = drops.chain(punts).chain(passes).filter(|(_, n)| *n > 0).map(|(label, n)| format!("{label} {n}")).collect();
    seen.join(", ")
}
