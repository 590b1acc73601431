//! This run against an older one, with a verdict that knows the noise.
//!
//! The machine's speed of another day says nothing about the program. So timed figures are first divided, round by round, by a
//! yardstick that both runs have and that no change of ours can touch: kernel routing, or else the bare redirect; of structures, the
//! kernel's hash. What remains is compared by the bootstrap interval of the ratio of medians.
//!
//! That interval knows the noise within a run. What differs between two runs of one program (where its memory lies, who else is on the
//! machine) is seen in the controls: what is measured too, and is not ours. Only a change of ours that is for sure larger than any of
//! theirs is one.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::figure::{Figure, Metric, Results};
use crate::report::{number, title};
use crate::statistics::{ENOUGH, Interval, between, median, ratios};
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
    /// What no change of ours can touch is another: that much the runs differ by themselves.
    Moved,
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
            (Self::Moved, _) => "control: moved",
            (Self::TooFew, _) => "too few rounds",
        }
    }
}

/// One line.
pub struct Line {
    before: Figure,
    figure: Figure,
    /// What timed figures were divided by.
    yardstick: Option<&'static str>,
    /// New over old.
    change: Option<Interval>,
    /// The same of the medians themselves, without a yardstick.
    raw: Option<f64>,
    verdict: Verdict,
}

impl Line {
    /// What can be said.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn is_control(&self) -> bool {
        let subject = &self.figure.subject;
        !Subject::named(subject).is_some_and(Subject::is_ours) && !Structure::named(subject).is_some_and(Structure::is_ours)
    }
}

/// Everything that both runs have.
#[must_use]
pub fn lines(old: &Results, new: &Results) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for figure in &new.figures {
        let Some(before) = same_in(old, figure) else { continue };
        let enough = |figure: &Figure| figure.valid().len() >= ENOUGH;
        let medians = median(&before.valid()).abs().min(median(&figure.valid()).abs());
        let raw = (enough(before) && enough(figure) && medians > 0.0).then(|| median(&figure.valid()) / median(&before.valid()));
        let (yardstick, divided, after) = measured_by(old, new, before, figure);
        let change = if figure.metric.counts_worst() { None } else { between(&divided, &after) };
        lines.push(Line { before: before.clone(), figure: figure.clone(), yardstick, change, raw, verdict: Verdict::TooFew });
    }
    let verdicts: Vec<Verdict> = lines.iter().map(|line| verdict(line, &lines)).collect();
    for (line, verdict) in lines.iter_mut().zip(verdicts) {
        line.verdict = verdict;
    }
    lines
}

/// What only the older run has.
#[must_use]
pub fn gone<'a>(old: &'a Results, new: &Results) -> Vec<&'a Figure> {
    old.figures.iter().filter(|figure| same_in(new, figure).is_none()).collect()
}

fn same_in<'a>(results: &'a Results, figure: &Figure) -> Option<&'a Figure> {
    results.figure_of(figure.metric, figure.case.name(), &figure.subject)
}

fn verdict(line: &Line, all: &[Line]) -> Verdict {
    let metric = line.figure.metric;
    let more_is_better = metric.more_is_better();
    let verdict = match line.change {
        _ if metric.counts_worst() => worst(&line.before, &line.figure),
        Some(change) if metric.is_timed() && !line.is_control() => judge_beyond(change, noise(line, all), more_is_better),
        Some(change) => judge(change, more_is_better),
        // Bytes do not vary: one figure on each side is enough.
        None if !metric.is_timed() => exact(median(&line.before.valid()), median(&line.figure.valid()), more_is_better),
        None => Verdict::TooFew,
    };
    match verdict {
        Verdict::Better | Verdict::Worse if line.is_control() => Verdict::Moved,
        verdict => verdict,
    }
}

/// By how much controls moved, as the logarithm of the ratio: those of the same metric that were measured in the same way, by a yardstick
/// or without. Where there are none, the yardstick itself will do; where not even that, everything timed that is not ours.
fn noise(line: &Line, all: &[Line]) -> Option<f64> {
    let largest = |moves: &mut dyn Iterator<Item = f64>| moves.map(|ratio| ratio.ln().abs()).filter(|by| by.is_finite()).reduce(f64::max);
    let controls = || all.iter().filter(|other| other.is_control() && other.figure.metric.is_timed());
    let of_metric = || controls().filter(|other| other.figure.metric == line.figure.metric);
    let alike = of_metric().filter(|other| other.yardstick.is_some() == line.yardstick.is_some());
    let by_yardstick = largest(&mut alike.filter_map(|other| Some(other.change?.value)));
    let raw = || largest(&mut of_metric().filter_map(|other| other.raw));
    by_yardstick.or_else(raw).or_else(|| largest(&mut controls().filter_map(|other| other.raw)))
}

/// Both series, divided by a yardstick where there is one in both.
fn measured_by(old: &Results, new: &Results, before: &Figure, after: &Figure) -> (Option<&'static str>, Vec<f64>, Vec<f64>) {
    if after.metric.is_timed() {
        let subjects = [Subject::Routing, Subject::Devmap, Subject::Nftables].map(Subject::name);
        let structures = [Structure::Hash16, Structure::Hash12].map(Structure::name);
        for yardstick in subjects.into_iter().chain(structures).filter(|name| *name != after.subject) {
            let beside = |results: &Results, figure: &Figure| {
                let other = results.figure_of(figure.metric, figure.case.name(), yardstick)?;
                let ratios = ratios(&figure.samples, &other.samples);
                (ratios.len() >= ENOUGH).then_some(ratios)
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

/// A change counts where even the nearer end of its interval lies beyond what the controls did by themselves. Without controls nobody
/// knows what that is.
fn judge_beyond(change: Interval, noise: Option<f64>, more_is_better: bool) -> Verdict {
    let verdict = judge(change, more_is_better);
    let nearer = change.low.ln().max(-change.high.ln());
    match verdict {
        Verdict::Better | Verdict::Worse if noise.is_none_or(|noise| nearer <= noise) => Verdict::Unclear,
        Verdict::Same if noise.is_none() => Verdict::Unclear,
        verdict => verdict,
    }
}

fn exact(before: f64, after: f64, more_is_better: bool) -> Verdict {
    let ratio = if before == after { 1.0 } else { after / before };
    judge(Interval { value: ratio, low: ratio, high: ratio, rounds: 1 }, more_is_better)
}

/// One lost packet more is worse, in however few rounds; that there are none any more, only many rounds say.
fn worst(before: &Figure, after: &Figure) -> Verdict {
    let few = before.valid().len().min(after.valid().len()) < ENOUGH;
    match before.most().zip(after.most()) {
        Some((before, after)) if after > before => Verdict::Worse,
        Some((before, after)) if after < before && !few => Verdict::Better,
        Some(_) if !few => Verdict::Same,
        _ => Verdict::TooFew,
    }
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
            text += &format!("\n{}{}\n{}\n", metric.title(), controls(&of_metric, &lines), table(&of_metric));
        }
    }
    text += &gone_text(&gone(old, new), new);
    let count = |verdict| lines.iter().filter(|line| line.verdict() == verdict).count();
    let counts = [Verdict::Better, Verdict::Worse, Verdict::Same, Verdict::Unclear, Verdict::TooFew, Verdict::Moved].map(count);
    let [better, worse, same, unclear, few, moved] = counts;
    text += &format!("\n{better} better, {worse} worse, {same} the same, {unclear} not distinguishable, {few} with too few rounds\n");
    text += &format!("{moved} controls moved, {} figures gone\n", gone(old, new).len());
    if machine.kernel != new.machine.kernel || machine.processor != new.machine.processor {
        text += "The machines differ, so ratios to a yardstick may differ for their sake.\n";
    }
    text
}

/// What a change of ours had to exceed.
fn controls(of_metric: &[&Line], all: &[Line]) -> String {
    if !of_metric[0].figure.metric.is_timed() {
        return String::new();
    }
    let line = of_metric.iter().find(|line| !line.is_control()).unwrap_or(&of_metric[0]);
    match noise(line, all) {
        Some(noise) => format!("; controls moved by up to {:.1} %", noise.exp_m1() * 100.0),
        None => "; no controls, so nothing is known of the noise between runs".to_owned(),
    }
}

fn table(lines: &[&Line]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["", "", "new ÷ old", "95 %", "measured by", ""]);
    for line in lines {
        let (value, interval) = match (line.change, line.before.most().zip(line.figure.most())) {
            (Some(of), _) => (number(of.value), format!("{}–{}", number(of.low), number(of.high))),
            (None, Some((before, after))) if line.figure.metric.counts_worst() => (format!("{before:.0} → {after:.0}"), String::new()),
            (None, _) => (String::new(), String::new()),
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

/// A line per metric: what `--only` has left out would fill pages.
fn gone_text(gone: &[&Figure], new: &Results) -> String {
    let mut text = String::new();
    for metric in Metric::ALL {
        let of_metric: Vec<&&Figure> = gone.iter().filter(|figure| figure.metric == metric).collect();
        if of_metric.is_empty() {
            continue;
        }
        let names: Vec<String> = of_metric.iter().map(|figure| format!("{} in {}", figure.subject, figure.case)).collect();
        let all = !new.figures.iter().any(|figure| figure.metric == metric);
        let names = if all { format!("all {}", names.len()) } else { names.join(", ") };
        text += &format!("\ngone: {}: {names}", metric.title());
    }
    if text.is_empty() { text } else { text + "\n" }
}
