//! Notices that somebody set the clock, which tells of a move to another host or of a pause.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::sync::mpsc;

use super::AnnounceError;

/// A timer on the real-time clock that never fires, but is cancelled when the clock is set (timerfd_create(2), `TFD_TIMER_CANCEL_ON_SET`).
/// A clock that is only slewed does not count.
///
/// A thread of its own waits for it: tokio registers foreign descriptors only through `unsafe`, which this crate keeps to one file.
#[derive(Debug)]
pub struct ClockWatch {
    set: mpsc::Receiver<()>,
}

impl ClockWatch {
    /// Starts to watch, for the rest of the process.
    ///
    /// # Errors
    /// [`AnnounceError::Clock`]: the kernel has no such timer, or no descriptor or thread is left.
    pub fn start() -> Result<Self, AnnounceError> {
        let failed = |source| AnnounceError::Clock { source };
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        arm(&timer).map_err(failed)?;
        // One place: however often the clock is set while the loop is busy, once is enough.
        let (sender, set) = mpsc::channel(1);
        let wait = move || {
            while wait(&timer).is_ok() && !matches!(sender.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {}
        };
        std::thread::Builder::new().name("clock".to_owned()).spawn(wait).map_err(failed)?;
        Ok(Self { set })
    }

    /// Waits until the clock is set; forever where that cannot be noticed any more. Cancel-safe.
    pub async fn set(&mut self) {
        if self.set.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn wait(timer: &OwnedFd) -> io::Result<()> {
    loop {
        match rustix::io::read(timer, &mut [0; 8]) {
            Err(Errno::CANCELED) => return arm(timer),
            // It fired after all.
            Ok(_) => arm(timer)?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn arm(timer: &OwnedFd) -> io::Result<()> {
    let never = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        // February 2106.
        it_value: Timespec { tv_sec: i64::from(u32::MAX), tv_nsec: 0 },
    };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &never)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // That it wakes up cannot be tried without setting the machine's clock.
    #[test]
    fn a_clock_that_nobody_sets_is_quiet() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = ClockWatch::start().unwrap();
            assert!(tokio::time::timeout(std::time::Duration::from_millis(50), watch.set()).await.is_err());
        });
    }
}
