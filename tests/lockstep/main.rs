//! Lock-step: the same policies and the same traffic through every datapath, packet by packet. Verdicts are equal, translations equivalent,
//! counters equal; where they differ by design, [`differences`] says so and why.

mod answers;
mod case;
mod cases;
mod change;
mod counters;
mod differences;
mod generate;
mod lane;
mod network;
mod outcome;
mod payload;
mod policy;
mod run;
mod talk;
mod traffic;
mod under_way;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use gateway_tests::skip::may_use_namespaces;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use case::{Case, Seen};
use lane::{Datapath, Lane};
use network::Network;
use policy::{Action, Named, Policy, Protocol, Rule, Zone};
use run::Lanes;

/// Cases of an ordinary run, the same in every run; ten times as many with `GATEWAY_TEST_FULL`, half of them new.
const CASES: u32 = 200;
/// Packets of a case, about: some steps make none, some two.
const STEPS: usize = 260;
/// Cases between two starts of the daemons: their numbers of rules, and the ports of ours, are used up some time.
const CASES_PER_START: u32 = 100;
/// The first of the seeds that are the same in every run.
const SEED: u64 = 20_260_301;

/// Runs `body` with fresh lanes.
fn with_lanes<T>(datapaths: &[Datapath], body: impl FnOnce(&mut Lanes<'_>) -> T) -> Result<T> {
    let networks = datapaths.iter().map(|datapath| Network::build(datapath.mode())).collect::<Result<Vec<_>>>()?;
    let start = |(datapath, network)| Lane::start(datapath, network, &Policy::open().text(datapath.mode(), "start"));
    let lanes = datapaths.iter().copied().zip(&networks).map(start).collect::<Result<Vec<_>>>()?;
    on_one_cpu(|| body(&mut Lanes::new(lanes)))
}

/// Runs `body` with this thread kept on one CPU (see [`lane`]), another one in each thread as far as they go. The daemons, which would
/// inherit that, are there before.
fn on_one_cpu<T>(body: impl FnOnce() -> T) -> Result<T> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let allowed = sched_getaffinity(None).context("which CPUs may we use?")?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let mut one = CpuSet::new();
    one.set(*cpus.get(NEXT.fetch_add(1, Ordering::Relaxed) % cpus.len().max(1)).context("we may use no CPU")?);
    sched_setaffinity(None, &one).context("cannot stay on one CPU")?;
    let result = body();
    sched_setaffinity(None, &allowed).context("cannot leave the one CPU")?;
    Ok(result)
}

#[test]
fn named_cases_are_in_step() {
    if !may_use_namespaces("lockstep::named_cases_are_in_step") {
        return;
    }
    with_lanes(Datapath::ALL, |lanes| {
        for case in cases::all() {
            let seen = lanes.run(&case.case).unwrap_or_else(|error| panic!("{}: {error:#}", case.about));
            println!("lockstep: {}: {seen:?}", case.about);
        }
    })
    .unwrap();
}

#[test]
fn generated_policies_and_traffic_are_in_step() {
    if may_use_namespaces("lockstep::generated_policies_and_traffic_are_in_step") {
        many(Datapath::ALL, CASES);
    }
}

/// With traffic that all three rightly treat differently.
#[test]
fn our_own_datapaths_are_in_step_in_what_nftables_does_otherwise() {
    if may_use_namespaces("lockstep::our_own_datapaths_are_in_step_in_what_nftables_does_otherwise") {
        many(Datapath::OURS, CASES);
    }
}

/// So many cases, ten times as many in a full run.
fn many(datapaths: &[Datapath], cases: u32) {
    let full = std::env::var_os("GATEWAY_TEST_FULL").is_some();
    let rounds = if full { 10 * cases } else { cases } / CASES_PER_START;
    let wanted: Option<u64> = std::env::var("GATEWAY_LOCKSTEP_SEED").ok().and_then(|seed| seed.parse().ok());
    let chance = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs());
    let mut all = Seen::default();
    for round in 0..rounds {
        // Other cases in every run are for the long one: in a change's own run a new find would be bad luck.
        let is_new = full && round % 2 == 1;
        let seed = wanted.unwrap_or(if is_new { chance + u64::from(round) } else { SEED + u64::from(round) });
        println!("lockstep: {datapaths:?}, seed {seed}");
        let begun = Instant::now();
        let result = with_lanes(datapaths, |lanes| generated(lanes, seed)).unwrap();
        let seen = result.unwrap_or_else(|error| panic!("GATEWAY_LOCKSTEP_SEED={seed}: {error}"));
        println!("lockstep: {seen:?} in {:.1} s", begun.elapsed().as_secs_f32());
        all += seen;
    }
    // What would prove nothing: traffic that never gets anywhere, or always does.
    assert!(all.forwarded * 5 > all.packets && all.dropped * 5 > all.packets, "{all:?}");
    assert!(all.source_nat.min(all.destination_nat).min(all.restored).min(all.cut).min(all.answered) > u64::from(rounds) * 20, "{all:?}");
}

/// So many cases of this seed; the smallest failing one, as text.
fn generated(lanes: &mut Lanes<'_>, seed: u64) -> Result<Seen, String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: CASES_PER_START, failure_persistence: None, max_shrink_iters: 600, max_shrink_time: 45_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let state = RefCell::new((lanes, Seen::default(), None));
    let result = runner.run(&generate::case(STEPS), |case| {
        let (lanes, all, first) = &mut *state.borrow_mut();
        match lanes.run(&case) {
            Ok(seen) => *all += seen,
            Err(error) => {
                // A smaller case that fails otherwise is not this one's.
                let what = error.root_cause().to_string();
                let kind: String = what.chars().take_while(|c| !c.is_ascii_digit()).collect();
                let (first, _) = first.get_or_insert((kind.clone(), what));
                if *first == kind {
                    return Err(TestCaseError::fail(format!("{error:#}")));
                }
            }
        }
        Ok(())
    });
    let (_, all, first) = state.into_inner();
    match result {
        Ok(()) => Ok(all),
        Err(TestError::Fail(reason, case)) => {
            let first = first.map(|(_, what)| what).unwrap_or_default();
            Err(format!("{reason}\nthe smallest case found:\n{case}\nthe first was: {first}"))
        }
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

#[test]
fn a_lane_that_goes_its_own_way_is_found_out() {
    if !may_use_namespaces("lockstep::a_lane_that_goes_its_own_way_is_found_out") {
        return;
    }
    let case = cases::taken_away();
    let right = &case.policy;
    let allowed = &right.rules[0];
    let refused = cases::rule(9, Zone::Lan, Zone::Wan, Some(Protocol::Udp), Action::Drop);
    let rejected = cases::rule(9, Zone::Lan, Zone::Wan, Some(Protocol::Udp), Action::Reject);
    let with_rules = |rules: &[&Named<Rule>]| Policy { rules: rules.iter().map(|rule| (*rule).clone()).collect(), ..right.clone() };
    let refusing = with_rules(&[&refused, allowed]);
    let renamed = Named { number: 5, ..allowed.clone() };
    let pairs = [
        ("a missing rule", right, with_rules(&[]), "the lanes differ"),
        ("a missing translation", right, Policy { source_nat: Vec::new(), ..right.clone() }, "the lanes differ"),
        ("two rules in the wrong order", &refusing, with_rules(&[allowed, &refused]), "the lanes differ"),
        ("a hit counted for another rule", right, with_rules(&[&renamed]), "counters differ"),
        ("a refusal that is answered", &refusing, with_rules(&[&rejected, allowed]), "differ"),
    ];
    with_lanes(Datapath::ALL, |lanes| {
        lanes.run(&case).unwrap_or_else(|error| panic!("{error:#}"));
        for (what, right, wrong, how) in pairs {
            let mut policies = vec![right.clone(); Datapath::ALL.len()];
            policies[Datapath::ALL.len() - 1] = wrong;
            let found = lanes.run_apart(&Case { policy: right.clone(), ..case.clone() }, &policies);
            let error = found.expect_err(what);
            assert!(format!("{error:#}").contains(how), "{what}: {error:#}");
        }
    })
    .unwrap();
}
