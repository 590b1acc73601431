//! How sure a figure is: intervals by bootstrap, which assumes no shape of the noise.

use gateway_tests::figures::Summary;

/// Draws per interval; the third digit of its ends is then steady.
const DRAWS: usize = 4000;
/// The chance that an interval does not hold the truth.
const RISK: f64 = 0.05;
/// The same data gives the same answer.
const SEED: u64 = 9693;

/// A value and where it may lie, with a confidence of 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The value.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The median of `base / subject`, round by round, with its interval; `None` with fewer than three rounds that have both.
///
/// Within a round the machine's state is nearly the same for both, so its drift cancels.
#[must_use]
pub fn paired(base: &[Option<f64>], subject: &[Option<f64>]) -> Option<Interval> {
    let ratios = ratios(base, subject);
    interval(&[&ratios], |drawn| median(&drawn[0]))
}

/// How the median of one series relates to that of another one which was measured at another time.
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
    if series.iter().any(|series| series.len() < 3) {
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
    Some(Interval { value: statistic(&whole), low: at(RISK / 2.0), high: at(1.0 - RISK / 2.0) })
}
