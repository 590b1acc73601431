//! Figures out of measurements on a machine that is never quiet (the method: `cargo xtask bench --help`).

/// One measurement between two of the generator alone, each in CPU nanoseconds per packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The generator alone, just before.
    pub before: f64,
    /// Generator, subject and sink.
    pub during: f64,
    /// The generator alone, just after.
    pub after: f64,
}

/// How far the generator's two runs may lie apart. The machine's slow phases make 75 %, its noise at rest 2 %.
const STEADY: f64 = 0.08;

impl Sample {
    /// Whether the machine kept its speed during the measurement.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        (self.before - self.after).abs() <= STEADY * self.before.min(self.after)
    }

    /// What the subject added, at the speed at which the generator alone takes `fastest` ns per packet.
    #[must_use]
    pub fn added(&self, fastest: f64) -> f64 {
        let generator = (self.before + self.after) / 2.0;
        (self.during - generator) * fastest / generator
    }
}

/// Several rounds' figures in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The distance between the quartiles: half of all rounds lie in it.
    pub spread: f64,
    /// How many rounds.
    pub rounds: usize,
}

impl Summary {
    /// Of these figures; `None` of none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let min = *sorted.first()?;
        let spread = quantile(&sorted, 0.75) - quantile(&sorted, 0.25);
        Some(Self { min, median: quantile(&sorted, 0.5), spread, rounds: sorted.len() })
    }
}

/// Interpolated between neighbours; `sorted` holds at least one.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_phase_does_not_change_what_was_added() {
        let quick = Sample { before: 100.0, during: 300.0, after: 100.0 };
        let slow = Sample { before: 175.0, during: 525.0, after: 175.0 };
        assert_eq!(quick.added(100.0), 200.0);
        assert_eq!(slow.added(100.0), 200.0);
    }

    #[test]
    fn a_change_of_speed_is_noticed() {
        assert!(Sample { before: 100.0, during: 300.0, after: 105.0 }.is_steady());
        assert!(!Sample { before: 100.0, during: 300.0, after: 175.0 }.is_steady());
        assert!(!Sample { before: 175.0, during: 300.0, after: 100.0 }.is_steady());
    }

    #[test]
    fn a_summary_interpolates() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(summary, Summary { min: 1.0, median: 2.5, spread: 1.5, rounds: 4 });
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { min: 7.0, median: 7.0, spread: 0.0, rounds: 1 });
        assert_eq!(Summary::of(&[]), None);
    }
}
