//! The table in the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gateway_tests::figures::Summary;

use crate::figure::{Figure, Metric, Results};
use crate::statistics::{Interval, paired};
use crate::subject::Subject;
use crate::targets::{self, Outcome};

/// What users have today.
pub const TODAY: Subject = Subject::Nftables;
/// What no datapath of this set-up can be better than.
pub const LIMIT: Subject = Subject::Devmap;

/// What the figures mean.
const NOTES: &str = "\
Median over the rounds; spread: the distance of the quartiles; ratios: the median of the rounds' own, with the interval that holds it at
95 %. Packets: CPU time over the generator's own, at the machine's fastest speed. In each run that counts every packet was received, with
right checksums and headers; void runs, where one was not, are left out.
";

/// The yardstick's figure beside this one.
#[must_use]
pub fn beside<'a>(results: &'a Results, figure: &Figure, yardstick: Subject) -> Option<&'a Figure> {
    results.figure(figure.metric, figure.case.name(), yardstick).filter(|other| other.subject != figure.subject)
}

/// The figures of one metric, and their cases, in the order in which they were measured.
pub fn of_metric(results: &Results, metric: Metric) -> impl Iterator<Item = &Figure> {
    results.figures.iter().filter(move |figure| figure.metric == metric)
}

/// A number with as many digits as say something.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 10_000.0 => {
            let digits = format!("{value:.0}");
            let places = digits.len();
            let grouped = digits.chars().enumerate().flat_map(|(at, digit)| {
                let comma = at > 0 && (places - at).is_multiple_of(3) && digit.is_ascii_digit();
                comma.then_some(',').into_iter().chain([digit])
            });
            grouped.collect()
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A subject's title, if it is one of today's.
#[must_use]
pub fn title(subject: &str) -> &str {
    Subject::named(subject).map_or(subject, |subject| subject.title())
}

fn times(interval: Option<Interval>) -> String {
    interval.map_or(String::new(), |of| format!("{} ({}–{})", number(of.value), number(of.low), number(of.high)))
}

/// All of it.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for metric in Metric::ALL {
        let figures: Vec<&Figure> = of_metric(results, metric).collect();
        if !figures.is_empty() {
            text += &format!("\n{} [{}]\n{}\n", metric.title(), metric.unit(), table(results, &figures));
        }
    }
    text += &format!("\n{NOTES}\n");
    text += &target_table(results);
    for missing in &results.missing {
        text += &format!("Not measured: {}: {}\n", missing.what, missing.why);
    }
    for figure in results.figures.iter().filter(|figure| !figure.void.is_empty()) {
        let first = figure.void.first().map_or("", String::as_str);
        text += &format!("Void tries: {} of {} in {}: {first}\n", figure.void.len(), figure.subject, figure.case);
    }
    text
}

fn table(results: &Results, figures: &[&Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let mut header = vec!["", "", "median", "min", "spread"];
    let timed = figures[0].metric.is_timed();
    if timed {
        header.extend(["nftables ÷ it", "it ÷ limit", "rounds", "void", "unsteady"]);
    }
    table.set_header(&header);
    let mut case = "";
    for figure in figures {
        let name = if figure.case.name() == case { "" } else { figure.case.name() };
        case = figure.case.name();
        let summary = Summary::of(&figure.valid());
        let show = |value: Option<f64>| value.map_or("–".to_owned(), number);
        let mut row = vec![
            name.to_owned(),
            title(&figure.subject).to_owned(),
            show(summary.map(|s| s.median)),
            show(summary.map(|s| s.min)),
            show(summary.map(|s| s.spread)),
        ];
        if timed {
            let today = beside(results, figure, TODAY).and_then(|today| paired(&today.samples, &figure.samples));
            let limit = beside(results, figure, LIMIT).and_then(|limit| paired(&figure.samples, &limit.samples));
            row.extend([times(today), times(limit)]);
            let rounds = [figure.valid().len(), figure.void.len(), figure.unsteady as usize];
            row.extend(rounds.map(|count| count.to_string()));
        }
        table.add_row(row);
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        if number > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn target_table(results: &Results) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["target", "at least", "measured", ""]);
    for target in targets::all(results) {
        let (measured, verdict) = match target.outcome {
            Outcome::Reached(value) => (number(value), "reached"),
            Outcome::Missed(value) => (number(value), "MISSED"),
            Outcome::Unknown => ("–".to_owned(), "not measured"),
        };
        table.add_row([target.what, &target.bound, &measured, verdict]);
    }
    format!("Targets\n{table}\n\n")
}
