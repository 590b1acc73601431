//! What flows could be kept in: nanoseconds of one look-up, and memory by entry.
//!
//! The kernel's hash maps beside our own table, with the same keys, in turn within each round. A program that does all but the look-up is
//! subtracted, as it was measured in the same round. Why the table is as it is, and what this gave: `gateway-ebpf/src/table/mod.rs`.

mod filled;

use anyhow::Result;

use crate::figure::{Case, Figure, Metric};
use crate::run::Run;
use crate::structure::{Sought, Structure};

use filled::{Filled, Filling};

/// Entries, and how they are called.
const SIZES: [(u32, &str); 3] = [(1000, "1k"), (100_000, "100k"), (1_000_000, "1m")];
/// Look-ups in a sample.
const RUNS: u32 = 200_000;
/// Samples.
const ROUNDS: u32 = 9;

/// Measures every structure at every size.
///
/// # Errors
/// When the kernel refuses something that it should not, or an answer is wrong.
pub fn run(run: &Run<'_>) -> Result<()> {
    run.cpu.pin()?;
    for (entries, size) in SIZES {
        run.go_on()?;
        run.doing(format!("micro: filling structures with {size} entries"));
        let (mut filled, fillings) = Filled::new(run.tools.object, entries, None)?;
        let whole: Vec<Structure> =
            fillings.iter().filter(|filling| is_whole(run, entries, **filling)).map(|(structure, _)| *structure).collect();
        measure(run, &mut filled, &whole, size)?;
        let memory = |structure: &Structure| {
            Figure::of_structure(Metric::EntryBytes, Case::of(size), *structure, vec![Some(filled.bytes_per_entry(*structure))])
        };
        run.record(whole.iter().map(memory));
    }
    run.say("micro: structures measured");
    Ok(())
}

fn is_whole(run: &Run<'_>, entries: u32, (structure, filling): (Structure, Filling)) -> bool {
    match filling {
        Filling::Whole { refused: 0 } => true,
        Filling::Whole { refused } => {
            run.say(&format!("{structure}: {refused} insertions were refused before all {entries} were in"));
            true
        }
        Filling::Refused { entries: held, refusals, error } => {
            let error = std::io::Error::from_raw_os_error(error);
            run.miss(
                format!("{structure}, {entries} entries"),
                format!("{refusals} insertions were refused, and {held} entries are in: {error}"),
            );
            false
        }
    }
}

fn measure(run: &Run<'_>, filled: &mut Filled, structures: &[Structure], size: &str) -> Result<()> {
    let both = [(Sought::Present, "there"), (Sought::Absent, "not there")];
    let questions = || both.into_iter().flat_map(|(sought, name)| structures.iter().map(move |structure| (*structure, sought, name)));
    let mut figures: Vec<Figure> = questions()
        .map(|(structure, _, name)| Figure::of_structure(Metric::LookUpNs, Case::of(format!("{size}, {name}")), structure, Vec::new()))
        .collect();
    for round in 0..ROUNDS {
        // Each round goes on where the one before has ended, all structures alike.
        let begin = (u64::from(round) * u64::from(RUNS) * u64::from(gateway_ebpf::bench::STRIDE) % u64::from(SIZES[2].0)) as u32;
        for ((structure, sought, _), figure) in questions().zip(&mut figures) {
            run.go_on()?;
            run.doing(format!("micro: {structure}, {size}, sample {} of {ROUNDS}", round + 1));
            let base = filled.walk(structure.nothing(), sought, begin, RUNS / 2)?;
            let whole = filled.walk(structure.program(sought), sought, begin, RUNS)?;
            figure.samples.push(Some(whole - base));
        }
        run.say(&format!("micro: structures, {size} entries: sample {} of {ROUNDS}", round + 1));
    }
    run.record(figures);
    Ok(())
}
