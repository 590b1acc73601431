//! The report as one page, which needs nothing from elsewhere: tables and drawings are in it.

mod plot;

use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use gateway_tests::figures::Summary;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::figure::{Figure, Metric, Results};
use crate::report::{better_than, notes, number, of_metric, standing, times, title, worst_of};
use crate::targets::{self, Outcome};

const STYLE: &str = "\
body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1f; background: #fff }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: .6rem 0 } th, td { padding: .15rem .7rem; text-align: right; border-bottom: 1px solid #e3e3e8 }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left }
.reached { color: #0a6b2d } .missed { color: #b3261e; font-weight: 600 } .unknown, .note { color: #66666e }
svg { max-width: 100%; height: auto }";

/// The page.
///
/// # Errors
/// When a drawing fails.
pub fn page(results: &Results) -> Result<String> {
    let mut sections = Vec::new();
    for metric in Metric::ALL {
        let figures = of_metric(results, metric);
        if !figures.is_empty() {
            sections.push(section(results, metric, &figures)?);
        }
    }
    let when = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(results.date));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Measurements of the gateway" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Measurements of the gateway" }
                p class="note" {
                    "Commit " (results.commit) ", " (results.extent) ", kernel " (results.machine.kernel) ", "
                    (results.machine.processor) ", " (results.machine.cpus) " CPUs, " (when) "."
                }
                h2 { "Targets" }
                (target_table(results))
                @for section in sections { (section) }
                @for note in notes(results) { p class="note" { (note) } }
                (missing(results))
            }
        }
    };
    Ok(page.into_string())
}

fn section(results: &Results, metric: Metric, figures: &[&Figure]) -> Result<Markup> {
    let drawing = if metric == Metric::AddedNs { plot::by_flows(figures)? } else { String::new() };
    if metric.counts_worst() {
        return Ok(html! {
            h2 { (metric.title()) " [" (metric.unit()) "]" }
            table {
                tr { th {} th {} th { "most in a round" } th { "rounds" } th { "void" } }
                @for figure in figures {
                    tr { td { (figure.case) } td { (title(&figure.subject)) } @for cell in worst_of(figure) { td { (cell) } } }
                }
            }
        });
    }
    let bars = plot::bars(metric, figures)?;
    Ok(html! {
        h2 { (metric.title()) " [" (metric.unit()) "]" }
        (PreEscaped(drawing))
        (PreEscaped(bars))
        table {
            tr { th {} th {} th { "median" } th { "min" } th { "spread" } th { (better_than(metric)) } th { "worse than the limit" } th { "rounds" } th { "void" } }
            @for figure in figures { (row(results, figure)) }
        }
    })
}

fn row(results: &Results, figure: &Figure) -> Markup {
    let summary = Summary::of(&figure.valid());
    let show = |value: Option<f64>| value.map_or("–".to_owned(), number);
    let (today, limit) = standing(results, figure);
    html! {
        tr {
            td { (figure.case) }
            td { (title(&figure.subject)) }
            td { (show(summary.map(|s| s.median))) }
            td { (show(summary.map(|s| s.min))) }
            td { (show(summary.map(|s| s.spread))) }
            td { (times(today)) }
            td { (times(limit)) }
            td { (figure.valid().len()) }
            td { (figure.void.len()) }
        }
    }
}

fn target_table(results: &Results) -> Markup {
    html! {
        table {
            tr { th { "target" } th { "bound" } th { "measured (95 %)" } th {} }
            @for target in targets::all(results) {
                @let class = match target.outcome {
                    Outcome::Reached => "reached",
                    Outcome::Missed | Outcome::Void => "missed",
                    Outcome::AtBound | Outcome::Unknown => "unknown",
                };
                tr { td { (target.what) } td { (target.bound) } td { (target.measured) } td class=(class) { (target.outcome.text()) } }
            }
        }
    }
}

fn missing(results: &Results) -> Markup {
    let void: Vec<&Figure> = results.figures.iter().filter(|figure| !figure.void.is_empty()).collect();
    html! {
        @if !results.failed.is_empty() {
            h2 { "Failed" }
            ul { @for failed in &results.failed { li { (failed.what) ": " (failed.why) } } }
        }
        @if !results.missing.is_empty() {
            h2 { "Not measured" }
            ul { @for missing in &results.missing { li { (missing.what) ": " (missing.why) } } }
        }
        @if !void.is_empty() {
            h2 { "Void tries" }
            ul {
                @for figure in void {
                    li { (figure.void.len()) " of " (title(&figure.subject)) ", " (figure.case) ": " (figure.void[0]) }
                }
            }
        }
    }
}
