//! How often the loop does what others can ask for at any rate.

use std::time::Duration;

use tokio::time::Instant;

/// The first at once, then one per interval: all that is asked for within it is done once, at its end.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Pace {
    /// Nothing done yet.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, last: None, due: None }
    }

    /// True: do it now. Otherwise at [`Pace::due`].
    pub fn ask(&mut self, now: Instant) -> bool {
        let next = self.last.map(|last| last + self.interval).filter(|next| now < *next);
        self.due = self.due.or(next);
        self.due.is_none()
    }

    /// When to do what could not be done at once.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It has been done, for all that asked.
    pub fn done(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_answered_at_once_and_then_once_per_interval() {
        let interval = Duration::from_millis(125);
        let mut pace = Pace::new(interval);
        let begin = Instant::now();
        let mut done = Vec::new();
        for millisecond in 0..1000 {
            let now = begin + Duration::from_millis(millisecond);
            if pace.ask(now) || pace.due().is_some_and(|due| due <= now) {
                pace.done(now);
                done.push(millisecond);
            }
        }
        assert_eq!(done, [0, 125, 250, 375, 500, 625, 750, 875]);
        assert_eq!(pace.due(), Some(begin + Duration::from_secs(1)), "the last ones are not forgotten");
    }
}
