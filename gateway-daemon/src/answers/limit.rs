//! How many answers are sent: a flood of refused packets must not become a flood of answers (RFC 1812 section 4.3.2.8, RFC 4443
//! section 2.4 (f)).

use std::time::{Duration, Instant};

/// Answers per second: the kernel's own default for ICMP (`net.ipv4.icmp_msgs_per_sec`).
pub const PER_SECOND: u32 = 1000;
/// Answers at once, after a quiet time: the kernel's own default (`net.ipv4.icmp_msgs_burst`).
pub const BURST: u32 = 50;

/// Between two answers in the long run.
const INTERVAL: Duration = Duration::from_micros(1_000_000 / PER_SECOND as u64);
/// How far ahead of its time an answer may be sent.
const TOLERANCE: Duration = Duration::from_micros(1_000_000 / PER_SECOND as u64 * (BURST as u64 - 1));

/// A token bucket, kept as the time at which the next answer would be due (the generic cell rate algorithm, ITU-T I.371).
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    due: Option<Instant>,
}

impl Limit {
    /// When [`Limit::take`] will next succeed; `None` when it would at `now`.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        let ready = self.due?.checked_sub(TOLERANCE)?;
        (ready > now).then_some(ready)
    }

    /// Takes one token; false when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.ready_at(now).is_some() {
            return false;
        }
        self.due = Some(self.due.map_or(now, |due| due.max(now)) + INTERVAL);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_at_the_rate_and_no_faster() {
        let start = Instant::now();
        let mut limit = Limit::default();
        // Ten packets per millisecond, for one second.
        let answered = (0..10_000u32).filter(|n| limit.take(start + Duration::from_micros(100) * *n)).count();
        assert!((PER_SECOND as usize..=(PER_SECOND + BURST) as usize).contains(&answered), "{answered}");
    }

    #[test]
    fn a_burst_is_answered_at_once_and_the_rest_when_it_says() {
        let start = Instant::now();
        let mut limit = Limit::default();
        assert_eq!((0..BURST * 2).filter(|_| limit.take(start)).count(), BURST as usize);
        let ready = limit.ready_at(start).unwrap();
        assert!(!limit.take(ready - Duration::from_nanos(1)));
        assert!(limit.take(ready));
        assert_eq!(limit.ready_at(start + Duration::from_secs(1)), None);
    }
}
