//! What the bench says of figures: verdicts, targets, the page.

use crate::compare::{Verdict, lines};
use crate::figure::{Case, Figure, Machine, Metric, Missing, Results};
use crate::subject::Subject;
use crate::targets::Outcome;
use crate::{compare, html, report, targets};

const ROUNDS: usize = 12;
const CASE: &str = "v4-snat-64-1k";

/// A series around `median`, with noise of so many parts in a hundred on both sides, and shifted by `seed`.
fn series(median: f64, noise: f64, seed: u64) -> Vec<Option<f64>> {
    let mut chance = fastrand::Rng::with_seed(seed);
    (0..ROUNDS).map(|_| Some(median * (1.0 + (chance.f64() - 0.5) * noise / 50.0))).collect()
}

/// A run in which kernel routing takes 300 and our XDP 80 times `machine`, ours `change` times that.
fn run(machine: f64, change: f64, noise: f64, seed: u64) -> Results {
    let figure = |subject, median, seed| Figure::with(Metric::AddedNs, Case::of(CASE), subject, series(median, noise, seed));
    let figures = vec![
        figure(Subject::Devmap, 40.0 * machine, seed),
        figure(Subject::Routing, 300.0 * machine, seed + 1),
        figure(Subject::Nftables, 600.0 * machine, seed + 2),
        figure(Subject::Xdp, 80.0 * machine * change, seed + 3),
    ];
    Results {
        format: Results::FORMAT,
        date: 0,
        commit: "c0ffee".into(),
        extent: "quick".into(),
        machine: Machine::default(),
        figures,
        missing: vec![Missing { what: "einat".into(), why: "einat is not on PATH".into() }],
    }
}

/// What is said of our XDP.
fn verdict(old: &Results, new: &Results) -> Verdict {
    let all = lines(old, new);
    assert_eq!(all.len(), old.figures.len());
    all[3].verdict()
}

#[test]
fn a_change_beyond_the_noise_is_seen() {
    let old = run(1.0, 1.0, 3.0, 1);
    assert_eq!(verdict(&old, &run(1.0, 1.15, 3.0, 50)), Verdict::Worse);
    assert_eq!(verdict(&old, &run(1.0, 0.85, 3.0, 50)), Verdict::Better);
    assert_eq!(verdict(&old, &run(1.0, 1.0, 3.0, 50)), Verdict::Same);
}

#[test]
fn a_slower_machine_is_no_slower_program() {
    let old = run(1.0, 1.0, 3.0, 1);
    assert_eq!(verdict(&old, &run(1.75, 1.0, 3.0, 50)), Verdict::Same);
    assert_eq!(verdict(&old, &run(0.5, 1.2, 3.0, 50)), Verdict::Worse);
}

#[test]
fn a_change_within_the_noise_is_not_claimed() {
    assert_eq!(verdict(&run(1.0, 1.0, 40.0, 1), &run(1.0, 1.04, 40.0, 50)), Verdict::Unclear);
}

#[test]
fn two_rounds_say_nothing() {
    let mut few = run(1.0, 1.0, 3.0, 1);
    for figure in &mut few.figures {
        figure.samples.truncate(2);
    }
    assert_eq!(verdict(&few, &run(1.0, 2.0, 3.0, 50)), Verdict::TooFew);
}

#[test]
fn bytes_are_compared_as_they_are() {
    let with = |bytes: f64| {
        let figure = Figure::with(Metric::MemoryPerFlow, Case::of("1000000 flows"), Subject::Tc, vec![Some(bytes)]);
        Results { figures: vec![figure], ..run(1.0, 1.0, 3.0, 1) }
    };
    let of = |old: f64, new: f64| lines(&with(old), &with(new))[0].verdict();
    assert_eq!([of(508.0, 508.0), of(508.0, 300.0), of(300.0, 508.0)], [Verdict::Same, Verdict::Better, Verdict::Worse]);
}

#[test]
fn targets_are_judged_by_the_rounds_ratios() {
    let outcome = |results: &Results, what: &str| targets::all(results).into_iter().find(|t| t.what.contains(what)).unwrap().outcome;
    let results = run(1.0, 1.0, 0.0, 1);
    assert_eq!(outcome(&results, "against nftables, 1k flows"), Outcome::Reached(7.5));
    assert_eq!(outcome(&results, "against bare devmap"), Outcome::Reached(2.0));
    assert_eq!(outcome(&run(1.0, 1.5, 0.0, 1), "against bare devmap"), Outcome::Missed(3.0));
    assert_eq!(outcome(&results, "memory per flow"), Outcome::Unknown);
}

#[test]
fn one_lost_packet_misses_the_target() {
    let samples = vec![Some(0.0), Some(0.0), Some(1.0), Some(0.0)];
    let lost = Figure::with(Metric::ReloadLost, Case::of("10000 rules"), Subject::Tc, samples);
    let results = Results { figures: vec![lost], ..run(1.0, 1.0, 0.0, 1) };
    let target = targets::all(&results).into_iter().find(|target| target.what.contains("lost")).unwrap();
    assert_eq!(target.outcome, Outcome::Missed(1.0));
}

#[test]
fn results_survive_their_file() {
    let mut results = run(1.0, 1.0, 0.0, 1);
    results.figures[3].samples[2] = None;
    results.figures[3].void.push("9999 of 10000 packets arrived".into());
    let text = serde_json::to_string(&results).unwrap();
    let read: Results = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(report::text(&read), report::text(&results));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let mut results = run(1.0, 1.0, 3.0, 1);
    let many = Figure { case: Case::of("v4-snat-64-100k"), ..results.figures[3].clone() };
    results.figures.push(many);
    results.figures[0].void.push("9 of 10 <packets> arrived".into());
    let page = html::page(&results).unwrap();
    assert!(page.matches("<svg").count() >= 2, "drawings are in the page");
    for outside in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let addresses = page.match_indices("http").filter(|(at, _)| !page[*at..].starts_with("http://www.w3.org/2000/svg"));
    assert_eq!(addresses.count(), 0);
    assert!(page.contains("9 of 10 &lt;packets&gt; arrived"));
}

#[test]
fn the_table_shows_what_is_void_and_what_is_missing() {
    let mut results = run(1.0, 1.0, 3.0, 1);
    results.figures[3].samples[0] = None;
    results.figures[3].void.push("9999 of 10000 packets arrived".into());
    let text = report::text(&results);
    assert!(text.contains("Void tries: 1 of gateway-xdp in v4-snat-64-1k: 9999 of 10000 packets arrived"), "{text}");
    assert!(text.contains("Not measured: einat: einat is not on PATH"));
    assert!(text.contains("against bare devmap redirect"));
    let compared = compare::text(&run(1.0, 1.0, 3.0, 1), &run(1.0, 1.3, 3.0, 50));
    assert!(compared.contains("SLOWER") && compared.contains("1 worse"), "{compared}");
}

#[test]
fn numbers_have_the_digits_that_say_something() {
    assert_eq!([0.456, 12.34, 456.7, 9999.4, 1_234_567.0].map(report::number), ["0.46", "12.3", "457", "9999", "1,234,567"]);
}
