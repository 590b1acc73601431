//! The drawings.

use std::str::FromStr;

use anyhow::{Result, anyhow};
use gateway_tests::figures::Summary;
use plotters::prelude::*;

use crate::figure::{Figure, Metric};
use crate::structure::Structure;
use crate::subject::Subject;
use crate::workload::{Size, Workload};

const WIDTH: u32 = 960;
/// Height of a bar with its gap.
const BAR: u32 = 22;
/// Room for the names at the left.
const NAMES: i32 = 430;
/// Ours, and the others.
const OURS: RGBColor = RGBColor(27, 94, 160);
const OTHERS: RGBColor = RGBColor(150, 156, 166);

/// The colour of a subject's line.
fn colour(subject: &str) -> RGBColor {
    let palette =
        [(214, 39, 40), (140, 86, 75), (148, 103, 189), (188, 189, 34), (23, 190, 207), (127, 127, 127), (255, 127, 14), (227, 119, 194)];
    match Subject::named(subject) {
        Some(Subject::Xdp) => OURS,
        Some(Subject::Tc) => RGBColor(90, 160, 220),
        _ => {
            let at = Subject::ALL.iter().position(|other| other.name() == subject).unwrap_or(0);
            let (r, g, b) = palette[at % palette.len()];
            RGBColor(r, g, b)
        }
    }
}

fn median(figure: &Figure) -> Option<f64> {
    Summary::of(&figure.valid()).map(|summary| summary.median)
}

/// Small packets with source NAT against the number of flows: one line per subject. Empty with fewer than two numbers.
pub fn by_flows(figures: &[&Figure]) -> Result<String> {
    let points: Vec<(&str, f64, f64)> = figures
        .iter()
        .filter_map(|figure| {
            let workload = Workload::from_str(figure.case.name()).ok()?;
            let drawn = workload.size == Size::Small && figure.case.name().starts_with("v4-snat");
            drawn.then_some((figure.subject.as_str(), f64::from(workload.flows), median(figure)?))
        })
        .collect();
    let mut flows: Vec<f64> = points.iter().map(|(_, flows, _)| *flows).collect();
    flows.sort_by(f64::total_cmp);
    flows.dedup();
    if flows.len() < 2 {
        return Ok(String::new());
    }
    let highest = points.iter().map(|(_, _, added)| *added).fold(1.0, f64::max) * 1.1;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, 420)).into_drawing_area();
        let range = (flows[0] / 1.5..flows[flows.len() - 1] * 1.5).log_scale();
        let mut chart = ChartBuilder::on(&area)
            .caption("small packets, source NAT: added ns by number of flows", ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(range, 0.0..highest)
            .map_err(failed)?;
        chart.configure_mesh().disable_x_mesh().max_light_lines(1).x_desc("flows").y_desc("ns per packet").draw().map_err(failed)?;
        for subject in Subject::ALL {
            let mut line: Vec<(f64, f64)> =
                points.iter().filter(|(name, _, _)| *name == subject.name()).map(|(_, x, y)| (*x, *y)).collect();
            if line.is_empty() {
                continue;
            }
            line.sort_by(|a, b| a.0.total_cmp(&b.0));
            let colour = colour(subject.name());
            chart
                .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)).point_size(3))
                .map_err(failed)?
                .label(subject.name())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .draw()
            .map_err(failed)?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn is_ours(name: &str) -> bool {
    Subject::named(name).is_some_and(Subject::is_ours) || Structure::named(name).is_some_and(Structure::is_ours)
}

/// One bar per figure: the median, and a line over the quartiles' distance.
pub fn bars(metric: Metric, figures: &[&Figure]) -> Result<String> {
    let shown: Vec<(&&Figure, Summary)> = figures.iter().filter_map(|figure| Some((figure, Summary::of(&figure.valid())?))).collect();
    let longest = shown.iter().map(|(_, summary)| summary.median + summary.spread / 2.0).fold(0.0, f64::max);
    if shown.is_empty() || longest <= 0.0 {
        return Ok(String::new());
    }
    let height = BAR * shown.len() as u32 + 16;
    let room = f64::from(WIDTH) - f64::from(NAMES) - 110.0;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let style = ("sans-serif", 13).into_font();
        for (place, (figure, summary)) in shown.iter().enumerate() {
            let top = 8 + place as i32 * BAR as i32;
            let at = |value: f64| NAMES + (value.max(0.0) / longest * room) as i32;
            let ours = is_ours(&figure.subject);
            let colour = if ours { OURS } else { OTHERS };
            let bar = Rectangle::new([(NAMES, top + 3), (at(summary.median).max(NAMES + 1), top + 17)], colour.filled());
            area.draw(&bar).map_err(failed)?;
            let (low, high) = (at(summary.median - summary.spread / 2.0), at(summary.median + summary.spread / 2.0));
            area.draw(&PathElement::new([(low, top + 10), (high, top + 10)], BLACK.stroke_width(2))).map_err(failed)?;
            let name = format!("{} · {}", figure.case, figure.subject);
            area.draw(&Text::new(name, (4, top + 4), style.clone())).map_err(failed)?;
            let value = format!("{} {}", crate::report::number(summary.median), metric.unit());
            area.draw(&Text::new(value, (high.max(at(summary.median)) + 8, top + 4), style.clone())).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
