//! How sure a figure is: intervals by bootstrap, which assumes no shape of the noise.

use gateway_tests::figures::Summary;

/// With fewer rounds nothing is said of the noise: their smallest and largest hold the median too seldom (of five in 94 %, of three in 75 %).
pub const ENOUGH: usize = 6;
/// Draws per interval; the third digit of its ends is then steady.
const DRAWS: usize = 4000;
/// The chance that an interval does not hold the truth.
const RISK: f64 = 0.05;
/// The same data gives the same answer.
const SEED: u64 = 9693;

/// A value and where it may lie, with a confidence of 95 %; of fewer than [`ENOUGH`] rounds, between their smallest and their largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How many rounds it is made of.
    pub rounds: usize,
}

/// The median of a series; `None` of none.
#[must_use]
pub fn middle(samples: &[f64]) -> Option<Interval> {
    let [low, high] = [f64::min, f64::max].map(|end| samples.iter().copied().reduce(end));
    let (low, high, rounds) = (low?, high?, samples.len());
    let drawn = interval(&[samples], |drawn| median(&drawn[0]));
    Some(drawn.unwrap_or(Interval { value: median(samples), low, high, rounds }))
}

/// The median of `base / subject`, round by round; `None` when no round has both.
///
/// Within a round the machine's state is nearly the same for both, so its drift cancels.
#[must_use]
pub fn paired(base: &[Option<f64>], subject: &[Option<f64>]) -> Option<Interval> {
    middle(&ratios(base, subject))
}

/// How the median of one series relates to that of another one which was measured at another time; `None` when one has too few rounds.
#[must_use]
pub fn between(old: &[f64], new: &[f64]) -> Option<Interval> {
    interval(&[old, new], |drawn| median(&drawn[1]) / median(&drawn[0]))
}

/// `base / subject`, round by round.
#[must_use]
pub fn ratios(base: &[Option<f64>], subject: &[Option<f64>]) -> Vec<f64> {
    base.iter().zip(subject).filter_map(|pair| Some((*pair.0)? / (*pair.1)?)).filter(|ratio| ratio.is_finite()).collect()
}

/// The middle one; 0 of none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    Summary::of(figures).map_or(0.0, |summary| summary.median)
}

fn interval(series: &[&[f64]], statistic: impl Fn(&[Vec<f64>]) -> f64) -> Option<Interval> {
    if series.iter().any(|series| series.len() < ENOUGH) {
        return None;
    }
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut values: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn: Vec<Vec<f64>> =
                series.iter().map(|series| (0..series.len()).map(|_| series[chance.usize(..series.len())]).collect()).collect();
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() - 1) as f64 * part) as usize];
    let whole: Vec<Vec<f64>> = series.iter().map(|series| series.to_vec()).collect();
    let rounds = series.iter().map(|series| series.len()).min().unwrap_or(0);
    Some(Interval { value: statistic(&whole), low: at(RISK / 2.0), high: at(1.0 - RISK / 2.0), rounds })
}
