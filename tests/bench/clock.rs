//! CPU time on one CPU: the calling thread's, and that of the kernel thread that takes over its softirqs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Counts the CPU time of what runs on one CPU on our behalf.
pub struct CpuClock {
    cpu: usize,
    /// `/proc/<pid of ksoftirqd of this CPU>/schedstat`, whose first number is its CPU time in nanoseconds.
    softirq_thread: Option<PathBuf>,
}

impl CpuClock {
    /// For this CPU.
    #[must_use]
    pub fn of(cpu: usize) -> Self {
        let name = format!("ksoftirqd/{cpu}");
        let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let softirq_thread = processes
            .map(|entry| entry.path())
            .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name))
            .map(|path| path.join("schedstat"));
        Self { cpu, softirq_thread }
    }

    /// The CPU.
    #[must_use]
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    /// Pins the calling thread to the CPU, runs `action`, and gives the nanoseconds it took there. Softirqs that ksoftirqd took over
    /// count too, with whatever else it did meanwhile: that makes a figure worse, never better.
    ///
    /// # Errors
    /// When the thread cannot be pinned, or `action` fails.
    pub fn spent<T, E: std::error::Error + Send + Sync + 'static>(&self, action: impl FnOnce() -> Result<T, E>) -> Result<u64> {
        self.pin()?;
        let before = self.now();
        action()?;
        Ok(self.now() - before)
    }

    /// Pins the calling thread to the CPU.
    ///
    /// # Errors
    /// When it cannot be pinned.
    pub fn pin(&self) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(self.cpu);
        sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPU {}", self.cpu))
    }

    fn now(&self) -> u64 {
        thread_time() + self.softirqs()
    }

    /// The CPU time so far, in nanoseconds, of the kernel thread that takes over this CPU's softirqs.
    #[must_use]
    pub fn softirqs(&self) -> u64 {
        let softirqs = self.softirq_thread.as_ref().and_then(|path| fs::read_to_string(path).ok());
        softirqs.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

/// The calling thread's CPU time so far, in nanoseconds.
#[must_use]
pub fn thread_time() -> u64 {
    let own = clock_gettime(ClockId::ThreadCPUTime);
    own.tv_sec.unsigned_abs() * 1_000_000_000 + own.tv_nsec.unsigned_abs()
}
