//! This run against an older one, with a verdict that knows the noise.
//!
//! The machine's speed of another day says nothing about the program. So timed figures are first divided, round by round, by a
//! yardstick that both runs have and that no change of ours can touch: kernel routing, or else the bare redirect; of structures, the
//! kernel's hash. What remains is compared by the bootstrap interval of the ratio of medians.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::figure::{Figure, Metric, Results};
use crate::report::{number, title};
use crate::statistics::{Interval, between, median, ratios};
use crate::structure::Structure;
use crate::subject::Subject;

/// Below this a difference is of no use to anybody, however sure it is.
const MATTERS: f64 = 0.02;
/// An interval that lies within this much of 1 on both sides says that nothing has changed.
const SAME: f64 = 0.05;

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better, beyond the noise.
    Better,
    /// Worse, beyond the noise.
    Worse,
    /// The same, as far as it matters, and that for sure.
    Same,
    /// The noise is larger than the difference, and than what matters.
    Unclear,
    /// Too few rounds.
    TooFew,
}

impl Verdict {
    /// In words, of a timed figure or of another.
    #[must_use]
    pub fn text(self, timed: bool) -> &'static str {
        match (self, timed) {
            (Self::Better, true) => "faster",
            (Self::Better, false) => "better",
            (Self::Worse, true) => "SLOWER",
            (Self::Worse, false) => "WORSE",
            (Self::Same, _) => "same",
            (Self::Unclear, _) => "not distinguishable",
            (Self::TooFew, _) => "too few rounds",
        }
    }
}

/// One line.
pub struct Line {
    figure: Figure,
    /// What timed figures were divided by.
    yardstick: Option<&'static str>,
    /// New over old.
    change: Option<Interval>,
    verdict: Verdict,
}

impl Line {
    /// What can be said.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// Everything that both runs have.
#[must_use]
pub fn lines(old: &Results, new: &Results) -> Vec<Line> {
    let mut lines = Vec::new();
    for figure in &new.figures {
        let same = |other: &&Figure| (other.metric, &other.case, &other.subject) == (figure.metric, &figure.case, &figure.subject);
        let Some(before) = old.figures.iter().find(same) else { continue };
        let (yardstick, before, after) = measured_by(old, new, before, figure);
        let change = between(&before, &after);
        let verdict = match change {
            Some(change) => judge(change, figure.metric.more_is_better()),
            // Bytes do not vary: one figure on each side is enough.
            None if !figure.metric.is_timed() => exact(median(&before), median(&after), figure.metric.more_is_better()),
            None => Verdict::TooFew,
        };
        lines.push(Line { figure: figure.clone(), yardstick, change, verdict });
    }
    lines
}

/// Both series, divided by a yardstick where there is one in both.
fn measured_by(old: &Results, new: &Results, before: &Figure, after: &Figure) -> (Option<&'static str>, Vec<f64>, Vec<f64>) {
    if after.metric.is_timed() {
        let yardsticks = [Subject::Routing.name(), Subject::Devmap.name(), Subject::Nftables.name(), Structure::Hash16.name()];
        for yardstick in yardsticks.into_iter().filter(|name| *name != after.subject) {
            let beside = |results: &Results, figure: &Figure| {
                let other = results.figure_of(figure.metric, figure.case.name(), yardstick)?;
                let ratios = ratios(&figure.samples, &other.samples);
                (ratios.len() >= 3).then_some(ratios)
            };
            if let (Some(before), Some(after)) = (beside(old, before), beside(new, after)) {
                return (Some(yardstick), before, after);
            }
        }
    }
    (None, before.valid(), after.valid())
}

fn judge(change: Interval, more_is_better: bool) -> Verdict {
    let grown = change.low > 1.0 && change.value > 1.0 + MATTERS;
    let shrunk = change.high < 1.0 && change.value < 1.0 - MATTERS;
    match (grown, shrunk) {
        (true, _) if more_is_better => Verdict::Better,
        (true, _) => Verdict::Worse,
        (_, true) if more_is_better => Verdict::Worse,
        (_, true) => Verdict::Better,
        _ if change.low > 1.0 - SAME && change.high < 1.0 + SAME => Verdict::Same,
        _ => Verdict::Unclear,
    }
}

fn exact(before: f64, after: f64, more_is_better: bool) -> Verdict {
    let ratio = if before == after { 1.0 } else { after / before };
    judge(Interval { value: ratio, low: ratio, high: ratio }, more_is_better)
}

/// The tables for the terminal, one per metric.
#[must_use]
pub fn text(old: &Results, new: &Results) -> String {
    let lines = lines(old, new);
    let Results { commit, extent, machine, .. } = old;
    let mut text = format!("Compared with the run of commit {commit} ({extent}, kernel {})\n", machine.kernel);
    for metric in Metric::ALL {
        let of_metric: Vec<&Line> = lines.iter().filter(|line| line.figure.metric == metric).collect();
        if !of_metric.is_empty() {
            text += &format!("\n{}\n{}\n", metric.title(), table(&of_metric));
        }
    }
    let count = |verdict| lines.iter().filter(|line| line.verdict() == verdict).count();
    let counts = [Verdict::Better, Verdict::Worse, Verdict::Same, Verdict::Unclear, Verdict::TooFew].map(count);
    let [better, worse, same, unclear, few] = counts;
    text += &format!("\n{better} better, {worse} worse, {same} the same, {unclear} not distinguishable, {few} with too few rounds\n");
    if machine.kernel != new.machine.kernel || machine.processor != new.machine.processor {
        text += "The machines differ, so ratios to a yardstick may differ for their sake.\n";
    }
    text
}

fn table(lines: &[&Line]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["", "", "new ÷ old", "95 %", "measured by", ""]);
    for line in lines {
        let (value, interval) = match line.change {
            Some(of) => (number(of.value), format!("{}–{}", number(of.low), number(of.high))),
            None => (String::new(), String::new()),
        };
        table.add_row([
            line.figure.case.to_string(),
            title(&line.figure.subject).to_owned(),
            value,
            interval,
            line.yardstick.unwrap_or_default().to_owned(),
            line.verdict.text(line.figure.metric.is_timed()).to_owned(),
        ]);
    }
    table
}
