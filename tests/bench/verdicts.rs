//! What the bench says of figures: verdicts, targets, the page.

use anyhow::{bail, ensure};

use crate::compare::{Verdict, lines};
use crate::figure::{Case, Figure, Machine, Metric, Missing, Results};
use crate::structure::Structure;
use crate::subject::Subject;
use crate::targets::{Outcome, Target};
use crate::workload::Workload;
use crate::{compare, files, html, parts, report, targets};

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
        failed: Vec::new(),
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
fn five_rounds_say_nothing() {
    let (old, new) = (run(1.0, 1.0, 3.0, 1), run(1.0, 2.0, 3.0, 50));
    let cut = |results: &Results, rounds| {
        let mut few = results.clone();
        few.figures.iter_mut().for_each(|figure| figure.samples.truncate(rounds));
        few
    };
    assert_eq!(verdict(&cut(&old, 5), &new), Verdict::TooFew);
    assert_eq!(verdict(&old, &cut(&new, 5)), Verdict::TooFew);
    assert_eq!(verdict(&cut(&old, 6), &cut(&new, 6)), Verdict::Worse);
}

#[test]
fn what_controls_do_by_themselves_is_no_change_of_ours() {
    let old = run(1.0, 1.0, 3.0, 1);
    let with = |change| {
        let mut new = run(1.0, change, 3.0, 50);
        new.figures[0].samples = series(40.0 * 1.2, 3.0, 50);
        new
    };
    assert_eq!(verdict(&old, &with(1.15)), Verdict::Unclear);
    assert_eq!(verdict(&old, &with(1.4)), Verdict::Worse);
    assert_eq!(lines(&old, &with(1.4))[0].verdict(), Verdict::Moved);
    let text = compare::text(&old, &with(1.4));
    assert!(text.contains("control: moved") && text.contains("0 better, 1 worse"), "{text}");
    let heading = text.lines().find(|line| line.contains(Metric::AddedNs.title())).unwrap();
    assert!(heading.contains("controls moved by up to 2") && heading.ends_with(" %"), "{heading}");
}

/// A run in which a program takes 50, and two structures of the kernel 100, each times what is given.
fn micro(program: f64, structures: Option<f64>, seed: u64) -> Results {
    let mut figures =
        vec![Figure::with(Metric::ProgramNs, Case::of("v4-tc-established-1k"), Subject::Tc, series(50.0 * program, 2.0, seed))];
    figures.extend(structures.into_iter().flat_map(|by| {
        let series = move |seed| series(100.0 * by, 2.0, seed);
        let of = |structure, seed| Figure::of_structure(Metric::LookUpNs, Case::of("1k, there"), structure, series(seed));
        [of(Structure::Hash16, seed + 1), of(Structure::Lru, seed + 2)]
    }));
    Results { figures, ..run(1.0, 1.0, 3.0, 1) }
}

#[test]
fn time_without_a_yardstick_is_held_against_the_machine() {
    let of = |old: &Results, new: &Results| lines(old, new)[0].verdict();
    assert_eq!(of(&micro(1.0, Some(1.0), 1), &micro(1.3, Some(1.0), 50)), Verdict::Worse);
    assert_eq!(of(&micro(1.0, Some(1.0), 1), &micro(1.3, Some(1.35), 50)), Verdict::Unclear);
    let (old, new) = (micro(1.0, None, 1), micro(1.3, None, 50));
    assert_eq!(of(&old, &new), Verdict::Unclear);
    assert!(compare::text(&old, &new).contains("no controls"));
}

/// A run in which so many packets were lost in each reload.
fn losses(rules: &str, lost: [u32; 10]) -> Results {
    let samples = lost.map(|lost| Some(f64::from(lost))).to_vec();
    Results { figures: vec![Figure::with(Metric::ReloadLost, Case::of(rules), Subject::Tc, samples)], ..run(1.0, 1.0, 3.0, 1) }
}

const WHOLE: [u32; 10] = [0; 10];
const ONE_LOST: [u32; 10] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];

#[test]
fn one_lost_packet_more_is_worse() {
    let of = |old, new| lines(&losses("10 rules", old), &losses("10 rules", new))[0].verdict();
    assert_eq!([of(WHOLE, WHOLE), of(WHOLE, ONE_LOST), of(ONE_LOST, WHOLE)], [Verdict::Same, Verdict::Worse, Verdict::Better]);
    let text = compare::text(&losses("10 rules", WHOLE), &losses("10 rules", ONE_LOST));
    assert!(text.contains("0 → 1") && text.contains("WORSE"), "{text}");
    let mut few = losses("10 rules", WHOLE);
    few.figures[0].samples.truncate(3);
    assert_eq!(lines(&losses("10 rules", ONE_LOST), &few)[0].verdict(), Verdict::TooFew);
}

#[test]
fn what_only_the_older_run_has_is_listed() {
    let (old, mut new) = (run(1.0, 1.0, 3.0, 1), run(1.0, 1.0, 3.0, 50));
    new.figures.pop();
    let text = compare::text(&old, &new);
    assert!(text.contains("gateway-xdp in v4-snat-64-1k") && text.contains("1 figures gone"), "{text}");
    assert!(compare::text(&old, &old).contains("0 figures gone"));
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

fn target(results: &Results, what: &str) -> Target {
    targets::all(results).into_iter().find(|target| target.what.contains(what)).unwrap()
}

fn outcome(results: &Results, what: &str) -> Outcome {
    target(results, what).outcome
}

const DEVMAP: &str = "against bare devmap";

#[test]
fn targets_are_judged_by_the_rounds_ratios() {
    let results = run(1.0, 1.0, 0.0, 1);
    assert_eq!(outcome(&results, "against nftables, 1k flows"), Outcome::Reached);
    assert_eq!(target(&results, "against nftables, 1k flows").measured, "7.50 (7.50–7.50)");
    assert_eq!(outcome(&results, DEVMAP), Outcome::Reached);
    assert_eq!(outcome(&run(1.0, 1.5, 0.0, 1), DEVMAP), Outcome::Missed);
    assert_eq!(outcome(&results, "memory per flow"), Outcome::Unknown);
}

#[test]
fn a_target_within_the_noise_is_neither_reached_nor_missed() {
    // 2.5 times the limit is the bound.
    for change in [1.24, 1.25, 1.26] {
        let target = target(&run(1.0, change, 10.0, 1), DEVMAP);
        assert_eq!(target.outcome, Outcome::AtBound, "{}", target.measured);
    }
    assert_eq!(outcome(&run(1.0, 1.1, 10.0, 1), DEVMAP), Outcome::Reached);
    assert_eq!(outcome(&run(1.0, 1.4, 10.0, 1), DEVMAP), Outcome::Missed);
    let text = report::text(&run(1.0, 1.25, 10.0, 1));
    let line = text.lines().find(|line| line.contains(DEVMAP)).unwrap();
    assert!(line.contains("at the bound") && line.contains("–2."), "{line}");
}

#[test]
fn few_samples_say_how_many_they_are() {
    let rest = |samples: &[f64]| {
        let samples = samples.iter().copied().map(Some).collect();
        let figure = Figure::with(Metric::Resident, Case::of("no flows"), Subject::Tc, samples);
        target(&Results { figures: vec![figure], ..run(1.0, 1.0, 3.0, 1) }, "resident")
    };
    let one = rest(&[39.0]);
    assert_eq!((one.outcome, &*one.measured), (Outcome::Reached, "39.0 (one sample)"));
    let three = rest(&[38.0, 41.0, 39.0]);
    assert_eq!((three.outcome, &*three.measured), (Outcome::AtBound, "39.0 (38.0–41.0), 3 rounds"));
}

#[test]
fn a_lost_packet_misses_the_target_whatever_the_number_of_rules() {
    for rules in ["10 rules", "1000 rules", "10000 rules"] {
        let lost = target(&losses(rules, ONE_LOST), "lost");
        assert_eq!((lost.outcome, &*lost.measured), (Outcome::Missed, "1.00 (the most in 10 reloads)"), "{rules}");
        assert_eq!(outcome(&losses(rules, WHOLE), "lost"), Outcome::Reached);
    }
    let text = report::text(&losses("10 rules", ONE_LOST));
    let row: Vec<&str> = text.lines().find(|line| line.starts_with(" 10 rules")).unwrap().split_whitespace().rev().collect();
    assert_eq!(row[..3], ["0", "10", "1"], "{text}");
    assert!(html::page(&losses("10 rules", ONE_LOST)).unwrap().contains("<td>1</td><td>10</td><td>0</td>"));
}

#[test]
fn who_had_void_tries_reaches_no_target() {
    let mut results = run(1.0, 1.0, 0.0, 1);
    assert!(parts::reservations(&results).is_empty());
    results.figures[2].void.push("9999 of 10000 packets arrived".into());
    assert_eq!(outcome(&results, DEVMAP), Outcome::Reached, "nftables' packets are nftables' business");
    assert_eq!(parts::reservations(&results).len(), 1);
    // In another part than the target's.
    let mut other = Figure::with(Metric::NewFlowNs, Case::of("10 rules"), Subject::Xdp, series(1.0, 0.0, 1));
    other.void.push("19999 of 20000 packets arrived".into());
    results.figures.push(other);
    assert_eq!(outcome(&results, DEVMAP), Outcome::Void);
    assert!(report::text(&results).contains("VOID tries"));
    let said = parts::reservations(&results);
    assert!(said[1].contains("NewFlowNs of gateway-xdp in 10 rules: 1 tries void, and 0 of 12 rounds"), "{said:?}");
    // A round that stays void need not say why.
    let mut results = run(1.0, 1.0, 0.0, 1);
    results.figures[3].samples[1] = None;
    assert_eq!((outcome(&results, DEVMAP), parts::reservations(&results).len()), (Outcome::Void, 1));
    results.figures[3].samples = series(120.0, 0.0, 1);
    results.figures[3].void.push("9999 of 10000 packets arrived".into());
    assert_eq!(outcome(&results, DEVMAP), Outcome::Missed);
}

#[test]
fn a_part_that_fails_takes_nothing_from_the_others() {
    let done = std::cell::RefCell::new(Vec::new());
    let measure = |part: &i32| {
        ensure!(*part != 2, "wrong packets: 1 by checksum");
        done.borrow_mut().push(*part);
        Ok(())
    };
    let failed = parts::perform(&[1, 2, 3], |_| (), measure);
    assert_eq!(done.into_inner(), [1, 3]);
    let results = Results { failed, ..run(1.0, 1.0, 3.0, 1) };
    assert_eq!(parts::reservations(&results), ["failed: 2: wrong packets: 1 by checksum"]);
    assert!(report::text(&results).contains("FAILED: 2: wrong packets: 1 by checksum"));
    assert!(html::page(&results).unwrap().contains("<h2>Failed</h2><ul><li>2: wrong packets"));
    let nothing = Results { failed: parts::perform(&[1], |_| (), |_| bail!("interrupted")), figures: Vec::new(), ..results };
    assert_eq!(parts::reservations(&nothing), ["failed: 1: interrupted", "nothing was measured"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_once() {
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name);
    files::ensure_writable(&at("new.json")).unwrap();
    assert!(!at("new.json").exists());
    std::fs::write(at("old.json"), "old").unwrap();
    files::ensure_writable(&at("old.json")).unwrap();
    assert_eq!(std::fs::read_to_string(at("old.json")).unwrap(), "old");
    for unwritable in [at("no such directory/new.json"), room.path().to_owned()] {
        let error = files::ensure_writable(&unwritable).unwrap_err().to_string();
        assert!(error.contains("nothing was measured"), "{error}");
    }
}

#[test]
fn older_results_are_read_and_foreign_ones_refused() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("run.json");
    let mut value = serde_json::to_value(run(1.0, 1.0, 0.0, 1)).unwrap();
    value.as_object_mut().unwrap().remove("failed");
    for (format, known) in [(1, false), (2, true), (3, true), (4, false)] {
        value["format"] = format.into();
        std::fs::write(&file, value.to_string()).unwrap();
        assert_eq!(files::read(&file).is_ok(), known, "{format}");
    }
}

#[test]
fn notes_speak_of_what_was_measured() {
    let only = |figure| report::text(&Results { figures: vec![figure], ..run(1.0, 1.0, 3.0, 1) });
    let packets = report::text(&run(1.0, 1.0, 3.0, 1));
    let tcp = only(Figure::with(Metric::CpuPerGb, Case::of("tcp"), Subject::Tc, series(1.0, 3.0, 1)));
    let programs = only(Figure::with(Metric::ProgramNs, Case::of("v4"), Subject::Tc, series(1.0, 3.0, 1)));
    let verified = "every packet was received, with right checksums";
    assert!(packets.contains(verified) && packets.contains("Times better or worse") && !packets.contains("TCP: by real programs"));
    assert!(!tcp.contains(verified) && !tcp.contains("Times better or worse") && tcp.contains("TCP: by real programs"), "{tcp}");
    assert!(!programs.contains(verified) && !programs.contains("TCP: by") && programs.contains("nothing in their place"), "{programs}");
}

#[test]
fn what_full_leaves_out_of_the_matrix_is_said() {
    let full: Vec<Workload> = Workload::all().filter(Workload::is_full).collect();
    let left = report::left_out(&full).unwrap();
    for workload in Workload::all() {
        let named = left.what.split([' ', ',']).any(|word| word == workload.to_string());
        assert_ne!(named, workload.is_full(), "{workload}");
    }
    assert!(left.why.contains("--only"));
    assert_eq!(report::left_out(&full[..1]), None);
    assert_eq!(report::left_out(&Workload::all().filter(Workload::is_quick).collect::<Vec<_>>()), None);
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
