//! The kernel's verifier accepts every program, within a budget.

use gateway_daemon::datapath::{Capacity, Loaded, TC, XDP};
use gateway_ebpf::table::Seed;
use gateway_tests::skip;

/// What the verifier walks at most before it gives up (include/linux/bpf.h, `BPF_COMPLEXITY_LIMIT_INSNS`).
const LIMIT: u32 = 1_000_000;

/// What any kernel may take of it: Linux 6.1 prunes less than later ones, and walks five times as much of the longest program.
const ANYWHERE: u32 = LIMIT / 2;

/// The first version whose verifier prunes as today's do.
const PRUNES: (u32, u32) = (6, 12);

/// Instructions that the verifier may walk per program on such a kernel, about 1.4 times what it takes today. A start consists of this walk,
/// and a change that doubles it must be noticed here and not on somebody's older kernel.
const BUDGETS: [(&str, u32); 6] = [
    ("gateway_tc", 50_000),
    ("gateway_hit_v4", 115_000),
    ("gateway_open_v4", 100_000),
    ("gateway_hit_v6", 100_000),
    ("gateway_open_v6", 55_000),
    ("gateway_xdp", 25_000),
];

#[test]
fn every_program_loads_within_its_budget() {
    if !rustix::process::geteuid().is_root() {
        return skip("verifier", "needs root to load programs");
    }
    let mut loaded = Loaded::new(Capacity { flows: 1024 }, Seed::default(), 0).unwrap_or_else(|error| panic!("{error:?}"));
    for name in TC.into_iter().chain([XDP]) {
        let info = if name == XDP { loaded.xdp().unwrap().info() } else { loaded.classifier(name).unwrap().info() };
        let info = info.unwrap();
        let walked = info.verified_instruction_count().expect("kernels since 5.16 tell");
        let budget = BUDGETS.iter().find(|(of, _)| *of == name).map(|(_, budget)| *budget).expect("every program has a budget");
        let budget = if kernel() < PRUNES { ANYWHERE } else { budget };
        println!("{name}: {walked} instructions verified of a budget of {budget}, {:?} bytes loaded", info.size_translated());
        assert!(
            walked <= budget,
            "{name}: the verifier walks {walked} instructions, the budget is {budget} and the kernel's limit {LIMIT}"
        );
    }
}

/// Major and minor version of the kernel that runs.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let mut numbers = name.release().to_str().unwrap().split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[test]
fn every_budget_is_within_the_kernels_limit() {
    for (name, budget) in BUDGETS {
        assert!(budget < ANYWHERE, "{name}");
    }
}
