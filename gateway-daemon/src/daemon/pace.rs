//! How often the loop does what others can ask for at any rate.

use std::time::Duration;

use tokio::time::Instant;

/// A burst at once, as a change made by hand comes with its consequences; beyond it one per interval, and all that is asked for within it is
/// done once, at its end.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    burst: u32,
    left: u32,
    refilled: Option<Instant>,
    due: Option<Instant>,
}

impl Pace {
    /// Nothing done yet.
    pub const fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, left: burst, refilled: None, due: None }
    }

    /// True: do it now. Otherwise at [`Pace::due`].
    pub fn ask(&mut self, now: Instant) -> bool {
        if self.due.is_some() {
            return false;
        }
        self.refill(now);
        if self.left > 0 {
            return true;
        }
        self.due = self.refilled.map(|refilled| refilled + self.interval);
        false
    }

    /// When to do what could not be done at once.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It has been done, for all that asked.
    pub fn done(&mut self, now: Instant) {
        self.refill(now);
        self.left = self.left.saturating_sub(1);
        self.due = None;
    }

    fn refill(&mut self, now: Instant) {
        let refilled = *self.refilled.get_or_insert(now);
        let earned = u32::try_from((now - refilled).as_nanos() / self.interval.as_nanos()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(self.burst);
        // A full bucket earns nothing: its time begins when something is taken.
        self.refilled = Some(if self.left == self.burst { now } else { refilled + self.interval * earned });
    }
}

/// Lines per second; what goes beyond is counted and told of at the second's end.
#[derive(Debug)]
pub struct Lines {
    per_second: u32,
    begun: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Lines {
    /// Nothing written yet.
    pub const fn new(per_second: u32) -> Self {
        Self { per_second, begun: None, written: 0, suppressed: 0 }
    }

    /// True: write it. Otherwise it is counted.
    pub fn ask(&mut self, now: Instant) -> bool {
        // With some suppressed the second lasts until they are told of.
        if self.suppressed == 0 && self.begun.is_none_or(|begun| now >= begun + Duration::from_secs(1)) {
            self.begun = Some(now);
            self.written = 0;
        }
        if self.written < self.per_second {
            self.written += 1;
            return true;
        }
        self.suppressed += 1;
        false
    }

    /// When to tell how many were suppressed.
    pub fn due(&self) -> Option<Instant> {
        self.begun.filter(|_| self.suppressed > 0).map(|begun| begun + Duration::from_secs(1))
    }

    /// How many were suppressed; the next second begins with the next line.
    pub fn take_suppressed(&mut self) -> u64 {
        self.begun = None;
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_at_once_and_a_storm_once_per_interval() {
        let interval = Duration::from_millis(125);
        let mut pace = Pace::new(interval, 4);
        let begin = Instant::now();
        let mut done = Vec::new();
        for millisecond in 0..1000 {
            let now = begin + Duration::from_millis(millisecond);
            if pace.ask(now) || pace.due().is_some_and(|due| due <= now) {
                pace.done(now);
                done.push(millisecond);
            }
        }
        assert_eq!(done, [0, 1, 2, 3, 125, 250, 375, 500, 625, 750, 875]);
        assert_eq!(pace.due(), Some(begin + Duration::from_secs(1)), "the last ones are not forgotten");
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_told_of() {
        let mut lines = Lines::new(100);
        let begin = Instant::now();
        assert_eq!((0..1000).filter(|_| lines.ask(begin)).count(), 100);
        let due = lines.due().unwrap();
        assert_eq!(due, begin + Duration::from_secs(1));
        assert!(!lines.ask(due), "not before the others were told of");
        assert_eq!(lines.take_suppressed(), 901);
        assert!(lines.due().is_none() && lines.ask(due));
        assert!(lines.ask(due + Duration::from_secs(2)), "quiet seconds need no telling");
    }
}
