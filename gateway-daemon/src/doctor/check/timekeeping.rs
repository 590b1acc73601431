//! Who keeps the clock: what the kernel says of it, and which services run.

use std::fmt;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

use super::adjtimex;

/// systemd-timesyncd's mark that it has synchronised since the boot (systemd-timesyncd.service(8)). It stays when the clock is set by others.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// Where Debian and others have its unit.
const TIMESYNCD_UNIT: &str = "/usr/lib/systemd/system/systemd-timesyncd.service";
/// What only the appliance's image has.
const APPLIANCE: &str = "/usr/lib/systemd/system/gateway-provision.service";

/// A program that keeps the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Timesyncd,
    Chrony,
    /// NTPsec's, the reference implementation's, OpenNTPD's.
    Ntpd,
    NtpdRs,
}

impl Service {
    pub(super) const ALL: [Self; 4] = [Self::Timesyncd, Self::Chrony, Self::Ntpd, Self::NtpdRs];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Timesyncd => "systemd-timesyncd",
            Self::Chrony => "chronyd",
            Self::Ntpd => "ntpd",
            Self::NtpdRs => "ntpd-rs",
        }
    }

    /// By the name of the process, of which the kernel keeps 15 bytes (`TASK_COMM_LEN`).
    fn of_process(comm: &str) -> Option<Self> {
        Some(match comm {
            "systemd-timesyn" => Self::Timesyncd,
            "chronyd" => Self::Chrony,
            "ntpd" | "ntpsec" => Self::Ntpd,
            "ntp-daemon" => Self::NtpdRs,
            _ => return None,
        })
    }
}

/// A service that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keeper {
    pub(super) service: Service,
    pub(super) process: u32,
    /// The systemd unit that it runs in.
    pub(super) unit: Option<String>,
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs (process {}", self.service.name(), self.process)?;
        if let Some(unit) = &self.unit {
            write!(f, ", {unit}")?;
        }
        f.write_str(")")
    }
}

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// `STA_UNSYNC` is not set: somebody disciplines it, and not too long ago.
    pub(super) synchronised: bool,
    /// At most, while that is so.
    pub(super) error: Duration,
}

/// All that tells of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timekeeping {
    /// What it shows, since 1970.
    pub(super) now: Duration,
    /// `None`: the kernel does not say, as under a strict seccomp filter.
    pub(super) kernel: Option<Kernel>,
    /// Those that run, the lowest process first.
    pub(super) keepers: Vec<Keeper>,
    pub(super) timesyncd_was_right: bool,
    pub(super) timesyncd_installed: bool,
    /// How far the hypervisor's clock is away, where it shows it to the guest.
    pub(super) hypervisor: Option<Duration>,
    /// This is the project's own image.
    pub(super) appliance: bool,
}

impl Timekeeping {
    pub(super) fn observe() -> Self {
        Self {
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            kernel: kernel(),
            keepers: keepers(Path::new("/proc")),
            timesyncd_was_right: Path::new(TIMESYNCD).exists(),
            timesyncd_installed: Path::new(TIMESYNCD_UNIT).exists(),
            hypervisor: hypervisor(),
            appliance: Path::new(APPLIANCE).exists(),
        }
    }
}

fn kernel() -> Option<Kernel> {
    let clock = adjtimex::ask()?;
    Some(Kernel {
        synchronised: clock.status & libc::STA_UNSYNC == 0,
        error: Duration::from_micros(u64::try_from(clock.maxerror).unwrap_or_default()),
    })
}

/// The services among the processes below `proc`.
fn keepers(proc: &Path) -> Vec<Keeper> {
    let keeper = |process: u32| {
        let of = |file: &str| fs::read_to_string(proc.join(process.to_string()).join(file)).ok();
        let service = Service::of_process(of("comm")?.trim_end())?;
        // proc_pid_stat(5): behind the name stands the state. One that has ended keeps its name until its parent asks how.
        let ended = of("stat").is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, behind)| behind.starts_with(['Z', 'X'])));
        if ended {
            return None;
        }
        Some(Keeper { service, process, unit: of("cgroup").and_then(|text| unit(&text)) })
    };
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let mut processes: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    processes.sort_unstable();
    let mut found: Vec<Keeper> = Vec::new();
    for keeper in processes.into_iter().filter_map(keeper) {
        // chronyd has a helper of the same name.
        if found.iter().all(|other| other.service != keeper.service) {
            found.push(keeper);
        }
    }
    found
}

/// The unit in a process's cgroup: "0::/system.slice/chrony.service".
fn unit(cgroup: &str) -> Option<String> {
    let last = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?.rsplit('/').next()?;
    last.ends_with(".service").then(|| last.to_owned())
}

/// By KVM's PTP clock (`ptp_kvm`).
fn hypervisor() -> Option<Duration> {
    let clocks = fs::read_dir("/sys/class/ptp").ok()?;
    let kvm = clocks
        .flatten()
        .find(|clock| fs::read_to_string(clock.path().join("clock_name")).is_ok_and(|name| name.trim() == "KVM virtual PTP"))?;
    let device = fs::File::open(Path::new("/dev").join(kvm.file_name())).ok()?;
    let theirs = clock_gettime_dynamic(DynamicClockId::Dynamic(device.as_fd())).ok()?;
    let ours = clock_gettime(ClockId::Realtime);
    let nanoseconds = |time: rustix::time::Timespec| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    let offset = (nanoseconds(theirs) - nanoseconds(ours)).unsigned_abs();
    Some(Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_among_the_processes_with_their_units() {
        let proc = tempfile::tempdir().unwrap();
        for (process, comm, cgroup) in [
            ("1", "systemd\n", "0::/init.scope\n"),
            ("90", "ntp-daemon\n", "0::/user.slice/session-1.scope\n"),
            ("9", "systemd-timesyn\n", "0::/system.slice/systemd-timesyncd.service\n"),
            ("10", "systemd-timesyn\n", "0::/system.slice/systemd-timesyncd.service\n"),
            ("net", "chronyd\n", ""),
        ] {
            let directory = proc.path().join(process);
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("comm"), comm).unwrap();
            fs::write(directory.join("cgroup"), cgroup).unwrap();
        }
        let unit = Some("systemd-timesyncd.service".to_owned());
        assert_eq!(
            keepers(proc.path()),
            [Keeper { service: Service::Timesyncd, process: 9, unit }, Keeper { service: Service::NtpdRs, process: 90, unit: None }]
        );
    }

    #[test]
    fn the_kernel_is_asked_and_nothing_is_set() {
        let before = kernel().expect("adjtimex");
        assert_eq!(kernel().map(|clock| clock.synchronised), Some(before.synchronised));
    }
}
