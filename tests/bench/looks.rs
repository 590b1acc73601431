//! The comparison of structures notices a wrong answer.

use gateway_daemon::datapath::bench_object;
use gateway_tests::skip::may_use_namespaces;

use crate::filled::{Filled, Filling};
use crate::structure::{Sought, Structure};

/// More than a CPU's own part of the LRU hash, and few enough that a hash without preallocation has them at hand.
const ENTRIES: u32 = 500;
/// Each key is asked for three times.
const RUNS: u32 = 3 * ENTRIES;

fn filled(spoilt: Option<u32>) -> Filled {
    let (filled, fillings) = Filled::new(bench_object(), ENTRIES, spoilt).unwrap();
    for (structure, filling) in fillings {
        assert!(matches!(filling, Filling::Whole { .. }), "{structure}: {filling:?}");
    }
    filled
}

#[test]
fn what_is_there_is_found_and_nothing_else() {
    if !may_use_namespaces("bench::looks::what_is_there_is_found_and_nothing_else") {
        return;
    }
    let mut filled = filled(None);
    for structure in Structure::ALL {
        for sought in [Sought::Present, Sought::Absent] {
            filled.walk(structure.program(sought), sought, 0, RUNS).unwrap();
            filled.walk(structure.nothing(), sought, 0, RUNS).unwrap();
        }
        // An entry takes its key and value at least.
        assert!(filled.bytes_per_entry(structure) > 64.0, "{structure}");
    }
}

#[test]
fn a_wrong_value_is_noticed() {
    if !may_use_namespaces("bench::looks::a_wrong_value_is_noticed") {
        return;
    }
    let mut filled = filled(Some(77));
    for structure in Structure::ALL {
        let error = filled.walk(structure.program(Sought::Present), Sought::Present, 0, RUNS).unwrap_err().to_string();
        assert!(error.contains("of 1500 answers 1497 were right, 3 wrong"), "{structure}: {error}");
    }
}

#[test]
fn a_key_that_is_not_there_is_noticed_and_so_is_one_that_is() {
    if !may_use_namespaces("bench::looks::a_key_that_is_not_there_is_noticed_and_so_is_one_that_is") {
        return;
    }
    let mut filled = filled(None);
    for structure in Structure::ALL {
        for (sought, expected) in [(Sought::Present, Sought::Absent), (Sought::Absent, Sought::Present)] {
            // The programs of one question are told that the other one's answer is right.
            let error = filled.ask(structure.program(sought), sought, expected, 0, RUNS).unwrap_err().to_string();
            assert!(error.contains("0 were right, 1500 wrong"), "{structure}: {error}");
        }
    }
}
