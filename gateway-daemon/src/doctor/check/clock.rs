//! Is the clock right, does somebody keep it right, and is it cheap to read?

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, DynamicClockId, clock_gettime, clock_gettime_dynamic};

use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};

/// Nobody runs this before: the first of January 2025.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// How far the hypervisor's clock may be away.
const TOLERANCE: Duration = Duration::from_secs(2);
/// systemd-timesyncd's mark that it has synchronised (systemd-timesyncd.service(8)).
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// chrony's and ntpd's marks that they run.
const DAEMONS: [(&str, &str); 3] =
    [("/run/chrony/chronyd.pid", "chrony"), ("/var/run/ntpd.pid", "ntpd"), ("/run/ntpd-rs/observe", "ntpd-rs")];
const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// Each reading of these leaves the processor.
const SLOW: [&str; 4] = ["acpi_pm", "hpet", "jiffies", "refined-jiffies"];

/// Examines the clocks.
#[must_use]
pub fn clock() -> Outcome {
    let mut outcome = Outcome::of(Check::Clock);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now < EARLIEST {
        outcome.findings.push(finding(
            Severity::Warning,
            "the clock is years behind",
            vec![format!("it shows {} seconds after 1970", now.as_secs())],
            "Certificates look as if they were not valid yet, and logs cannot be compared with anybody else's.",
        ));
    } else {
        match hypervisor() {
            Some(offset) if offset > TOLERANCE => outcome.findings.push(finding(
                Severity::Warning,
                "the clock differs from the hypervisor's",
                vec![format!("by {:.1} seconds (KVM's PTP clock)", offset.as_secs_f64())],
                "Logs cannot be compared with anybody else's.",
            )),
            Some(_) => outcome.good("the clock agrees with the hypervisor's"),
            None => keeper(&mut outcome),
        }
    }
    if let Ok(source) = fs::read_to_string(SOURCE) {
        let source = source.trim();
        if SLOW.contains(&source) {
            outcome.findings.push(slow(source));
        } else {
            outcome.good(format!("clock source {source}"));
        }
    }
    outcome
}

fn keeper(outcome: &mut Outcome) {
    if Path::new(TIMESYNCD).exists() {
        outcome.good("the clock is synchronised by systemd-timesyncd");
    } else if let Some((_, name)) = DAEMONS.iter().find(|(path, _)| Path::new(path).exists()) {
        outcome.good(format!("{name} keeps the clock"));
    } else {
        // Forwarding goes by the monotonic clock.
        outcome.findings.push(finding(
            Severity::Note,
            "nobody is seen to keep the clock right",
            vec!["neither systemd-timesyncd, chrony, ntpd nor KVM's PTP clock was found".to_owned()],
            "Forwarding does not depend on it; log lines and certificates do.",
        ));
    }
}

/// How far the hypervisor's clock is away, where it shows it to the guest (`ptp_kvm`).
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

fn finding(severity: Severity, title: &str, evidence: Vec<String>, consequence: &str) -> Finding {
    Finding {
        id: Id::Clock,
        severity,
        interface: None,
        title: title.to_owned(),
        evidence,
        consequence: consequence.to_owned(),
        remedies: vec![
            Remedy::Command { lines: vec!["timedatectl set-ntp true".to_owned()] },
            Remedy::Command {
                lines: vec!["modprobe ptp_kvm    # and \"refclock PHC /dev/ptp0 poll 2\" in chrony.conf, without any network".to_owned()],
            },
        ],
    }
}

fn slow(source: &str) -> Finding {
    Finding {
        id: Id::ClockSource,
        severity: Severity::Warning,
        interface: None,
        title: format!("reading the clock is slow ({source})"),
        evidence: vec![format!("{SOURCE}: {source}")],
        consequence: "Every packet's time is read from it; a microsecond each time halves what a CPU can forward.".to_owned(),
        remedies: vec![Remedy::Command { lines: vec!["echo kvm-clock > ".to_owned() + SOURCE + "    # or tsc, on hardware"] }],
    }
}
