//! The table in the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gateway_tests::figures::Summary;

use crate::figure::{Figure, Metric, Missing, Results};
use crate::statistics::{Interval, paired};
use crate::structure::Structure;
use crate::subject::Subject;
use crate::targets;
use crate::workload::Workload;

/// The yardstick's figure beside this one.
fn beside<'a>(results: &'a Results, figure: &Figure, yardstick: &str) -> Option<&'a Figure> {
    results.figure_of(figure.metric, figure.case.name(), yardstick).filter(|other| other.subject != figure.subject)
}

/// How many times better than what users have today the subject is, and how many times worse than the limit, where the run has those.
#[must_use]
pub fn standing(results: &Results, figure: &Figure) -> (Option<Interval>, Option<Interval>) {
    let ratio = |over: &Figure, under: &Figure| paired(&over.samples, &under.samples);
    let (today, limit) = (beside(results, figure, figure.metric.today().0), beside(results, figure, figure.metric.limit().name()));
    if !figure.metric.is_timed() {
        return (None, None);
    }
    if figure.metric.more_is_better() {
        (today.and_then(|today| ratio(figure, today)), limit.and_then(|limit| ratio(limit, figure)))
    } else {
        (today.and_then(|today| ratio(today, figure)), limit.and_then(|limit| ratio(figure, limit)))
    }
}

/// The heading of the ratios to what users have today.
#[must_use]
pub fn better_than(metric: Metric) -> String {
    format!("better than {}", metric.today().1)
}

/// The figures of one metric; those of one case together, in the order in which cases were measured.
pub fn of_metric(results: &Results, metric: Metric) -> Vec<&Figure> {
    let mut figures: Vec<&Figure> = results.figures.iter().filter(|figure| figure.metric == metric).collect();
    let cases: Vec<_> = figures.iter().map(|figure| &figure.case).collect();
    let place = |figure: &&Figure| cases.iter().position(|case| **case == figure.case);
    figures.sort_by_key(place);
    figures
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

/// A subject's or a structure's title, if it is one of today's.
#[must_use]
pub fn title(subject: &str) -> &str {
    let structure = || Structure::named(subject).map(Structure::title);
    Subject::named(subject).map(Subject::title).or_else(structure).unwrap_or(subject)
}

/// A ratio and its interval; nothing where there is none.
#[must_use]
pub fn times(interval: Option<Interval>) -> String {
    match interval {
        None => String::new(),
        Some(Interval { value, rounds: 1, .. }) => number(value),
        Some(of) => format!("{} ({}–{})", number(of.value), number(of.low), number(of.high)),
    }
}

/// The most in any round, the rounds and the void tries, of a metric whose worst round counts.
#[must_use]
pub fn worst_of(figure: &Figure) -> [String; 3] {
    let most = figure.most().map_or("–".to_owned(), |most| format!("{most:.0}"));
    [most, figure.valid().len().to_string(), figure.void.len().to_string()]
}

/// All of it.
#[must_use]
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for metric in Metric::ALL {
        let figures = of_metric(results, metric);
        if !figures.is_empty() {
            text += &format!("\n{} [{}]\n{}\n", metric.title(), metric.unit(), table(results, &figures));
        }
    }
    text += "\n";
    for note in notes(results) {
        text += &format!("{note}\n");
    }
    text += "\n";
    text += &target_table(results);
    for failed in &results.failed {
        text += &format!("FAILED: {}: {}\n", failed.what, failed.why);
    }
    for missing in &results.missing {
        text += &format!("Not measured: {}: {}\n", missing.what, missing.why);
    }
    for figure in results.figures.iter().filter(|figure| !figure.void.is_empty()) {
        let first = figure.void.first().map_or("", String::as_str);
        text += &format!("Void tries: {} of {} in {}: {first}\n", figure.void.len(), figure.subject, figure.case);
    }
    text
}

/// What of the matrix `--full` leaves out, and why; nothing where workloads were named, or the form is the quick one.
#[must_use]
pub fn left_out(measured: &[Workload]) -> Option<Missing> {
    if !Workload::all().filter(Workload::is_full).eq(measured.iter().copied()) {
        return None;
    }
    let names: Vec<String> = Workload::all().filter(|workload| !workload.is_full()).map(|workload| workload.to_string()).collect();
    let why = "large frames cost more by the byte, whatever the number of flows, so 1k will do; what one flow and a million show of the \
               caches, source NAT shows for all, and a million of IPv6's larger entries are measured; --only measures each of these";
    (!names.is_empty()).then(|| Missing { what: format!("of the whole matrix {}", names.join(", ")), why: why.to_owned() })
}

/// What the figures mean: of what was measured, and of nothing else.
#[must_use]
pub fn notes(results: &Results) -> Vec<&'static str> {
    use Metric::{AddedNs, Connections, CpuPerConnection, CpuPerGb, EstablishmentNs, EstablishmentRate, Instructions, LookUpNs};
    use Metric::{NewFlowNs, ProgramNs, ReloadLost, RoundTripP50, RoundTripP99, Throughput};
    let any = |metrics: &[Metric]| results.figures.iter().any(|figure| metrics.contains(&figure.metric));
    let ratios = results.figures.iter().map(|figure| standing(results, figure)).any(|(today, limit)| today.or(limit).is_some());
    let notes = [
        (!results.figures.is_empty(), "Median over the rounds; spread: the distance of the quartiles."),
        (
            ratios,
            "Times better or worse: the median of the rounds' own ratios, with the interval that holds it at 95 %; of fewer than six rounds,
with the smallest and the largest of them.",
        ),
        (any(&[AddedNs]), "Packets: CPU time over the generator's own, at the machine's fastest speed."),
        (
            any(&[AddedNs, EstablishmentNs, EstablishmentRate, NewFlowNs]),
            "Packets and new flows: in each run that counts every packet was received, with right checksums and headers; void runs, where one
was not, are left out.",
        ),
        (
            any(&[CpuPerGb, Throughput, RoundTripP50, RoundTripP99, CpuPerConnection, Connections]),
            "TCP: by real programs over the kernel's TCP, which sends again what is lost; packets are not counted or verified one by one.",
        ),
        (any(&[ReloadLost]), "Packets lost meanwhile: the most in any round, since a median would hide a single one."),
        (any(&[ProgramNs, LookUpNs]), "Programs and look-ups: over the same run with nothing in their place."),
        (any(&[Instructions]), "The packet core: instructions, which do not vary."),
    ];
    notes.into_iter().filter_map(|(measured, note)| measured.then_some(note)).collect()
}

fn table(results: &Results, figures: &[&Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let better = better_than(figures[0].metric);
    let mut header = vec!["", "", "median", "min", "spread"];
    let (timed, worst) = (figures[0].metric.is_timed(), figures[0].metric.counts_worst());
    if worst {
        header = vec!["", "", "most in a round", "rounds", "void"];
    } else if timed {
        header.extend([better.as_str(), "worse than the limit", "rounds", "void", "unsteady"]);
    }
    table.set_header(&header);
    let mut case = "";
    for figure in figures {
        let name = if figure.case.name() == case { "" } else { figure.case.name() };
        case = figure.case.name();
        let summary = Summary::of(&figure.valid());
        let show = |value: Option<f64>| value.map_or("–".to_owned(), number);
        let mut row = vec![name.to_owned(), title(&figure.subject).to_owned()];
        if worst {
            row.extend(worst_of(figure));
        } else {
            row.extend([summary.map(|s| s.median), summary.map(|s| s.min), summary.map(|s| s.spread)].map(show));
        }
        if timed {
            let (today, limit) = standing(results, figure);
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
    table.set_header(["target", "bound", "measured (95 %)", ""]);
    for target in targets::all(results) {
        table.add_row([target.what, &target.bound, &target.measured, target.outcome.text()]);
    }
    format!("Targets\n{table}\n\n")
}
