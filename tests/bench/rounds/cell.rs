//! What one subject gives in one workload: samples, and everything that was tried in vain.

use std::time::Instant;

use anyhow::{Context, Result};
use gateway_tests::figures::Sample;

use crate::figure::{Case, Figure, Metric};
use crate::subject::Subject;

/// How often a measurement is repeated: when packets were lost, or the machine changed its speed meanwhile.
pub const TRIES: usize = 6;

/// After so many rounds that stayed void from the beginning, the rest counts as void.
const GIVE_UP: usize = 2;

/// Collects a figure.
#[derive(Default)]
pub struct Cell {
    samples: Vec<Option<Sample>>,
    /// Why tries were void, one for each: whoever judges the run counts them.
    voids: Vec<String>,
    unsteady: u32,
    /// When its flows were last answered.
    pub answered: Option<Instant>,
}

impl Cell {
    /// One round: the generator alone, everything, the generator alone; repeated while it is void or unsteady. The last valid one counts
    /// even when unsteady: it is scaled, and the median bears with it.
    ///
    /// # Errors
    /// When the generator itself does not work.
    pub fn measure(
        &mut self,
        mut generator: impl FnMut() -> Result<f64>,
        mut through: impl FnMut() -> Result<f64>,
    ) -> Result<Option<Sample>> {
        let sample = self.attempt(&mut generator, &mut through)?;
        self.samples.push(sample);
        Ok(sample)
    }

    fn attempt(
        &mut self,
        generator: &mut impl FnMut() -> Result<f64>,
        through: &mut impl FnMut() -> Result<f64>,
    ) -> Result<Option<Sample>> {
        // What was void twice over will not become valid by trying on, and takes the time of everybody else.
        if self.samples.len() >= GIVE_UP && self.samples.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut valid = None;
        for _ in 0..TRIES {
            let before = alone(generator, &mut self.voids)?;
            let during = match through() {
                Ok(during) => during,
                Err(error) => {
                    self.voids.push(format!("{error:#}"));
                    continue;
                }
            };
            let after = alone(generator, &mut self.voids)?;
            let sample = Sample { before, during, after };
            valid = Some(sample);
            if sample.is_steady() {
                break;
            }
            self.unsteady += 1;
        }
        Ok(valid)
    }

    /// What a round gave, for people: the raw added nanoseconds, and how many tries have been void so far.
    #[must_use]
    pub fn show(&self, sample: Option<Sample>) -> String {
        let added = sample.map_or("void".to_owned(), |s| format!("{:.0}", s.during - (s.before + s.after) / 2.0));
        match self.voids.len() {
            0 => added,
            1 => format!("{added} (1 void try)"),
            tries => format!("{added} ({tries} void tries)"),
        }
    }

    /// The least that the generator alone took.
    #[must_use]
    pub fn fastest(&self) -> f64 {
        self.samples.iter().flatten().map(|s| (s.before + s.after) / 2.0).fold(f64::INFINITY, f64::min)
    }

    /// All of it, at the speed at which the generator alone takes `fastest` ns per packet.
    #[must_use]
    pub fn into_figure(self, case: Case, subject: Subject, fastest: f64) -> Figure {
        Figure {
            samples: self.samples.iter().map(|sample| sample.map(|sample| sample.added(fastest))).collect(),
            raw: self.samples.iter().map(|sample| sample.map(|s| [s.before, s.during, s.after])).collect(),
            void: self.voids,
            unsteady: self.unsteady,
            ..Figure::new(Metric::AddedNs, case, subject)
        }
    }
}

/// The generator alone. Its own void tries are as bad a sign as a subject's.
///
/// # Errors
/// When it does not work.
fn alone(generator: &mut impl FnMut() -> Result<f64>, voids: &mut Vec<String>) -> Result<f64> {
    let mut last = None;
    for _ in 0..TRIES {
        match generator() {
            Ok(cost) => return Ok(cost),
            Err(error) => {
                voids.push(format!("the generator by itself: {error:#}"));
                last = Some(error);
            }
        }
    }
    Err(last.context("no tries")?).context("the generator by itself does not work")
}
