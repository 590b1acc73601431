//! systemd is told that the daemon lives (sd_watchdog_enabled(3)), also while it works on one thing for long.

use std::panic::resume_unwind;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// When to tell; never where no watchdog waits.
pub struct Watchdog(Option<Interval>);

impl Watchdog {
    /// As the unit has it. Half the time that systemd grants, as the manual advises. Needs a tokio runtime.
    pub fn of_the_unit() -> Self {
        Self(sd_notify::watchdog_enabled().map(|limit| {
            let mut timer = interval(limit / 2);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        }))
    }

    /// Waits until it is time, and tells.
    pub async fn tell(&mut self) {
        match &mut self.0 {
            Some(timer) => {
                timer.tick().await;
                let _ = sd_notify::notify(&[NotifyState::Watchdog]);
            }
            None => std::future::pending().await,
        }
    }
}

/// Does work that blocks, on a thread of its own, and tells meanwhile. Packets are forwarded by the kernel all the time.
pub async fn alive_during<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let mut watchdog = Watchdog::of_the_unit();
    let mut work = tokio::task::spawn_blocking(work);
    loop {
        tokio::select! {
            done = &mut work => match done {
                Ok(done) => return done,
                // Nobody cancels it, so it has panicked.
                Err(failed) => resume_unwind(failed.into_panic()),
            },
            () = watchdog.tell() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_loop_goes_on_while_the_work_blocks() {
        let (ready, wait) = std::sync::mpsc::channel();
        // The work ends only when something else on this thread has run meanwhile.
        let work = alive_during(move || wait.recv_timeout(std::time::Duration::from_secs(20)));
        let other = async move { ready.send("meanwhile") };
        let (done, _) = tokio::join!(work, other);
        assert_eq!(done, Ok("meanwhile"));
    }

    #[tokio::test]
    #[should_panic(expected = "as it was")]
    async fn a_panic_is_not_lost() {
        alive_during(|| panic!("as it was")).await;
    }
}
