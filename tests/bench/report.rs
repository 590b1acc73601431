//! What came out: a table for people, JSON for programs.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use gateway_tests::figures::{Summary, paired_ratio};
use serde_json::{Value, json};

use crate::rounds::Cell;
use crate::subject::Subject;

/// What users have today, and what no datapath can be better than: the yardsticks of the ratios.
const TODAY: Subject = Subject::Nftables;
const LIMIT: Subject = Subject::Redirect;

/// What the table's figures mean.
const NOTES: &str = "

Added ns: CPU time per 60-byte UDP packet over the generator's own, at the machine's fastest speed. Spread: distance of the quartiles.
Ratios are medians of the rounds' own. In each try that counts, every packet was received, with right checksums and headers;
void tries, where one was not, are left out.
";

/// A subject that was not measured, and why.
pub type Missing = (Subject, String);

/// The generator's fastest run with this many flows, in CPU ns per packet.
fn fastest(cells: &[Cell], flows: u32) -> f64 {
    let samples = cells.iter().filter(|cell| cell.flows == flows).flat_map(|cell| cell.samples.iter().flatten());
    samples.map(|sample| (sample.before + sample.after) / 2.0).fold(f64::INFINITY, f64::min)
}

/// What the cell's subject added in each round.
fn added(cell: &Cell, fastest: f64) -> Vec<Option<f64>> {
    cell.samples.iter().map(|sample| sample.map(|sample| sample.added(fastest))).collect()
}

/// How many times as much the subject `of` added as the cell's, by the median of the rounds' ratios.
fn ratio(cells: &[Cell], of: Subject, cell: &Cell, fastest: f64) -> Option<f64> {
    let base = cells.iter().find(|other| other.subject == of && other.flows == cell.flows)?;
    paired_ratio(&added(base, fastest), &added(cell, fastest))
}

fn summary(cell: &Cell, fastest: f64) -> Option<Summary> {
    Summary::of(&added(cell, fastest).into_iter().flatten().collect::<Vec<_>>())
}

/// The table for the terminal.
pub fn table(cells: &[Cell], missing: &[Missing]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["flows", "", "added ns: median", "min", "spread", "nftables ÷ it", "it ÷ limit", "rounds", "void", "unsteady"]);
    for cell in cells {
        let fastest = fastest(cells, cell.flows);
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
        let times = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        let summary = summary(cell, fastest);
        table.add_row([
            cell.flows.to_string(),
            cell.subject.title().to_owned(),
            figure(summary.map(|s| s.median)),
            figure(summary.map(|s| s.min)),
            figure(summary.map(|s| s.spread)),
            times(ratio(cells, TODAY, cell, fastest)),
            times(ratio(cells, LIMIT, cell, fastest).map(f64::recip)),
            summary.map_or(0, |s| s.rounds).to_string(),
            cell.voids.len().to_string(),
            cell.unsteady.to_string(),
        ]);
    }
    for column in table.column_iter_mut().enumerate().filter(|(number, _)| *number != 1) {
        column.1.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    text += NOTES;
    for (subject, why) in missing {
        text += &format!("Not measured: {} ({}): {why}\n", subject.name(), subject.title());
    }
    for cell in cells.iter().filter(|cell| !cell.voids.is_empty()) {
        text += &format!("Void: {} with {} flows: {}\n", cell.subject, cell.flows, cell.voids[0]);
    }
    text
}

/// The same and every sample, for programs.
pub fn json(cells: &[Cell], missing: &[Missing], machine: &Value) -> Value {
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            let fastest = fastest(cells, cell.flows);
            let summary = summary(cell, fastest);
            let samples: Vec<Value> = cell
                .samples
                .iter()
                .map(|sample| sample.map_or(Value::Null, |s| json!({ "before": s.before, "during": s.during, "after": s.after })))
                .collect();
            json!({
                "subject": cell.subject.name(),
                "flows": cell.flows,
                "added_ns_median": summary.map(|s| s.median),
                "added_ns_min": summary.map(|s| s.min),
                "added_ns_spread": summary.map(|s| s.spread),
                "nftables_over_this": ratio(cells, TODAY, cell, fastest),
                "this_over_limit": ratio(cells, LIMIT, cell, fastest).map(f64::recip),
                "generator_ns_fastest": fastest,
                "samples_ns": samples,
                "void": cell.voids,
                "unsteady": cell.unsteady,
            })
        })
        .collect();
    let missing: Vec<Value> = missing.iter().map(|(subject, why)| json!({ "subject": subject.name(), "why": why })).collect();
    json!({ "format": 1, "machine": machine, "small_packets": cells, "not_measured": missing })
}
