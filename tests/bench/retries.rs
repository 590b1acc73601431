//! Void tries are repeated, and never forgotten.

use anyhow::{Result, bail};

use crate::cell::{Cell, TRIES};
use crate::figure::{Case, Figure};
use crate::subject::Subject;

/// Rounds whose tries give these one after the other; the generator alone always takes 100 ns.
fn figure(rounds: usize, tries: &[Result<f64, &str>]) -> Figure {
    let mut tries = tries.iter();
    let mut cell = Cell::default();
    for _ in 0..rounds {
        cell.measure(
            || Ok(100.0),
            || match tries.next() {
                Some(Ok(cost)) => Ok(*cost),
                Some(Err(why)) => bail!("{why}"),
                None => bail!("more tries than expected"),
            },
        )
        .unwrap();
    }
    assert!(tries.next().is_none(), "fewer tries than expected");
    let fastest = cell.fastest();
    cell.into_figure(Case::of("v4-snat-64-1k"), Subject::Xdp, fastest)
}

#[test]
fn a_void_try_is_repeated_and_stays_on_record() {
    let figure = figure(2, &[Ok(300.0), Err("9999 of 10000 packets arrived"), Ok(310.0)]);
    assert_eq!(figure.samples, [Some(200.0), Some(210.0)]);
    assert_eq!(figure.void, ["9999 of 10000 packets arrived"]);
    assert_eq!(figure.unsteady, 0);
}

#[test]
fn a_round_whose_tries_are_all_void_is_void() {
    let mut tries = vec![Err("wrong packets: 1 by checksum"); TRIES];
    tries.push(Ok(300.0));
    let figure = figure(2, &tries);
    assert_eq!(figure.samples, [None, Some(200.0)]);
    assert_eq!(figure.void.len(), TRIES);
}

#[test]
fn who_is_void_from_the_beginning_is_given_up() {
    let figure = figure(8, &[Err("nothing arrives"); 2 * TRIES]);
    assert_eq!(figure.samples, [None; 8]);
    assert_eq!(figure.void.len(), 2 * TRIES);
}

#[test]
fn a_change_of_speed_is_repeated_and_is_not_void() {
    let mut costs = [100.0, 175.0, 175.0, 175.0].into_iter();
    let mut cell = Cell::default();
    let sample = cell.measure(|| Ok(costs.next().unwrap()), || Ok(525.0)).unwrap().unwrap();
    assert_eq!([sample.before, sample.after], [175.0; 2]);
    assert_eq!(cell.show(Some(sample)), "350");
    let figure = cell.into_figure(Case::of("v4-snat-64-1k"), Subject::Xdp, 175.0);
    assert_eq!((figure.unsteady, figure.void.len()), (1, 0));
}

#[test]
fn a_generator_that_loses_packets_is_on_record_too() {
    let mut first = true;
    let mut cell = Cell::default();
    let mut generator = || if std::mem::take(&mut first) { bail!("9 of 10 packets arrived") } else { Ok(100.0) };
    let sample = cell.measure(&mut generator, || Ok(300.0)).unwrap();
    assert_eq!(cell.show(sample), "200 (1 void try)");
    let error = cell.measure(|| bail!("nothing arrives"), || Ok(300.0)).unwrap_err();
    assert!(format!("{error:#}").contains("the generator by itself does not work: nothing arrives"), "{error:#}");
}
