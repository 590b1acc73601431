//! Is the clock right, does somebody keep it right, and is it cheap to read?

use std::fs;
use std::time::Duration;

use super::timekeeping::{Keeper, Kernel, Service, Timekeeping};
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};

/// Nobody runs this before: the first of January 2025.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// How far the hypervisor's clock may be away.
const TOLERANCE: Duration = Duration::from_secs(2);
const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// Best first.
const SOURCES: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
/// Each reading of these leaves the processor.
const SLOW: [&str; 4] = ["acpi_pm", "hpet", "jiffies", "refined-jiffies"];
/// Forwarding goes by the monotonic clock.
const HARMLESS: &str = "Forwarding does not depend on it. Log lines may not match those of other machines, and certificates may look expired or \
                        not valid yet.";

/// Examines the clocks.
#[must_use]
pub fn clock() -> Outcome {
    let mut outcome = judge(&Timekeeping::observe());
    if let Ok(current) = fs::read_to_string(SOURCE) {
        outcome.add(source(current.trim(), &fs::read_to_string(SOURCES).unwrap_or_default()));
    }
    outcome
}

/// Judges what the time is read from, and what else it could be.
fn source(current: &str, available: &str) -> Outcome {
    let mut outcome = Outcome::of(Check::Clock);
    if SLOW.contains(&current) {
        let quick = available.split_whitespace().find(|other| !SLOW.contains(other));
        outcome.findings.push(slow(current, quick));
    } else {
        outcome.good(format!("clock source {current}"));
    }
    outcome
}

/// Judges who keeps the clock.
fn judge(seen: &Timekeeping) -> Outcome {
    let mut outcome = Outcome::of(Check::Clock);
    if seen.now < EARLIEST {
        let evidence = [format!("it shows {} seconds after 1970", seen.now.as_secs())].into_iter().chain(evidence(seen)).collect();
        let consequence = "Certificates look as if they were not valid yet, and logs cannot be compared with anybody else's.";
        outcome.findings.push(finding(seen, Severity::Warning, "the clock is years behind".to_owned(), evidence, consequence));
        return outcome;
    }
    match seen.hypervisor {
        Some(offset) if offset > TOLERANCE => {
            let evidence = [format!("it is {:.1} seconds away from KVM's PTP clock", offset.as_secs_f64())]
                .into_iter()
                .chain(evidence(seen))
                .collect();
            let title = "the clock differs from the hypervisor's".to_owned();
            outcome.findings.push(finding(seen, Severity::Warning, title, evidence, "Logs cannot be compared with anybody else's."));
            return outcome;
        }
        Some(_) => outcome.good("the clock agrees with the hypervisor's"),
        None => {}
    }
    match (&seen.kernel, seen.keepers.first()) {
        (Some(Kernel { synchronised: true, error }), _) => outcome.good(format!(
            "the kernel says that the clock is synchronised, to within {} ms{}",
            error.as_millis(),
            seen.keepers.iter().map(|keeper| format!("; {keeper}")).collect::<String>()
        )),
        // It is right, whoever keeps it so.
        _ if seen.hypervisor.is_some() => {}
        (None, Some(keeper)) => outcome.skip(format!("whether the clock is synchronised, as the kernel does not say it here; {keeper}")),
        (None, None) => outcome.skip("whether the clock is synchronised, as the kernel does not say it here; no time service is seen"),
        (Some(_), Some(keeper)) => {
            let title = format!("{} runs, but has not synchronised the clock yet", keeper.service.name());
            outcome.findings.push(finding(seen, Severity::Note, title, evidence(seen), HARMLESS));
        }
        (Some(_), None) => {
            let title = "no time service runs: nobody keeps the clock right".to_owned();
            outcome.findings.push(finding(seen, Severity::Note, title, evidence(seen), HARMLESS));
        }
    }
    outcome
}

fn evidence(seen: &Timekeeping) -> Vec<String> {
    let mut lines = Vec::new();
    match &seen.kernel {
        Some(Kernel { synchronised: false, .. }) => {
            lines.push("the kernel says that the clock is not synchronised (adjtimex(2): STA_UNSYNC)".to_owned());
        }
        Some(Kernel { error, .. }) => {
            lines.push(format!("yet the kernel says that the clock is synchronised, to within {} ms (adjtimex(2))", error.as_millis()));
        }
        None => {}
    }
    lines.extend(seen.keepers.iter().map(ToString::to_string));
    if seen.keepers.is_empty() {
        let names: Vec<&str> = Service::ALL.iter().map(|service| service.name()).collect();
        lines.push(format!("no process of {} is running", names.join(", ")));
    }
    for Keeper { service, .. } in &seen.keepers {
        match service {
            Service::Timesyncd if seen.timesyncd_was_right => {
                lines.push(
                    "systemd-timesyncd was synchronised earlier since the boot; the clock has been set by somebody else since".to_owned(),
                );
            }
            // Without "rtcsync" it leaves the kernel's mark alone.
            Service::Chrony => lines.push("chrony tells the kernel only with \"rtcsync\" in chrony.conf, which Debian's has".to_owned()),
            _ => {}
        }
    }
    lines
}

fn finding(seen: &Timekeeping, severity: Severity, title: String, evidence: Vec<String>, consequence: &str) -> Finding {
    Finding { id: Id::Clock, severity, interface: None, title, evidence, consequence: consequence.to_owned(), remedies: remedies(seen) }
}

/// What works without D-Bus, which the appliance does not have: systemctl speaks to systemd itself, journalctl reads files.
fn remedies(seen: &Timekeeping) -> Vec<Remedy> {
    let command = |lines: &[&str]| Remedy::Command { lines: lines.iter().map(|line| (*line).to_owned()).collect() };
    match seen.keepers.first().map(|keeper| keeper.service) {
        Some(Service::Timesyncd) => {
            let mut remedies = vec![
                Remedy::Advice {
                    text: "Within a minute or so of the network it should be done; if not, see which server it asks, and name one that can be \
                           reached by UDP port 123:"
                        .to_owned(),
                },
                command(&["journalctl -b -u systemd-timesyncd"]),
                command(&[
                    "mkdir -p /etc/systemd/timesyncd.conf.d",
                    "printf '[Time]\\nNTP=10.0.0.1\\n' > /etc/systemd/timesyncd.conf.d/site.conf    # your server in place of 10.0.0.1",
                    "systemctl restart systemd-timesyncd",
                ]),
            ];
            if seen.appliance {
                remedies.push(Remedy::Yaml {
                    object: "and in the appliance's user data, as its files last only until it restarts (DHCP's option 42 does as well)",
                    text: "#cloud-config\nwrite_files:\n  - {path: /etc/systemd/timesyncd.conf.d/site.conf, content: \"[Time]\\nNTP=10.0.0.1\\n\"}\n"
                        .to_owned(),
                });
            }
            remedies
        }
        Some(Service::Chrony) => {
            vec![command(&["chronyc -n sources    # one with ^* is what it follows; none: name a server in chrony.conf"])]
        }
        Some(Service::Ntpd) => vec![command(&["ntpq -pn    # one with * is what it follows; none: name a server in its ntp.conf"])],
        Some(Service::NtpdRs) => vec![command(&["ntp-ctl status    # no usable source: name a server in /etc/ntpd-rs/ntp.toml"])],
        None if seen.timesyncd_installed => vec![command(&["systemctl enable --now systemd-timesyncd"])],
        None => vec![
            command(&["apt install systemd-timesyncd    # Debian's; it starts by itself"]),
            Remedy::Advice {
                text:
                    "On KVM and without any network: chrony, with \"refclock PHC /dev/ptp0 poll 2\" in chrony.conf, after modprobe ptp_kvm."
                        .to_owned(),
            },
        ],
    }
}

fn slow(source: &str, quick: Option<&str>) -> Finding {
    Finding {
        id: Id::ClockSource,
        severity: Severity::Warning,
        interface: None,
        title: format!("reading the clock is slow ({source})"),
        evidence: vec![format!("{SOURCE}: {source}")],
        consequence: "Every packet's time is read from it; a microsecond each time halves what a CPU can forward.".to_owned(),
        remedies: vec![match quick {
            Some(quick) => Remedy::Command { lines: vec![format!("echo {quick} > {SOURCE}")] },
            None => Remedy::Advice {
                text: "The kernel has no quicker one: let the hypervisor offer its own clock (KVM: kvm-clock; `<timer name='tsc'/>` in \
                       libvirt), or look in its log for why it gave up the TSC."
                    .to_owned(),
            },
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(synchronised: bool, keepers: &[Service]) -> Timekeeping {
        let keeper = |service: &Service| Keeper { service: *service, process: 312, unit: Some(format!("{}.service", service.name())) };
        Timekeeping {
            now: EARLIEST,
            kernel: Some(Kernel { synchronised, error: Duration::from_millis(20) }),
            keepers: keepers.iter().map(keeper).collect(),
            timesyncd_was_right: false,
            timesyncd_installed: true,
            hypervisor: None,
            appliance: false,
        }
    }

    fn only(seen: &Timekeeping) -> Finding {
        let outcome = judge(seen);
        assert_eq!((outcome.findings.len(), outcome.skipped.len()), (1, 0), "{outcome:?}");
        outcome.findings.into_iter().next().unwrap()
    }

    fn commands(finding: &Finding) -> String {
        let lines = |remedy: &Remedy| if let Remedy::Command { lines } = remedy { lines.join("\n") } else { String::new() };
        finding.remedies.iter().map(lines).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_synchronised_clock_is_in_order_whoever_has_done_it() {
        let seen = judge(&machine(true, &[Service::Timesyncd]));
        assert!(seen.findings.is_empty());
        assert_eq!(
            seen.good,
            ["the kernel says that the clock is synchronised, to within 20 ms; systemd-timesyncd runs (process 312, \
                 systemd-timesyncd.service)"]
        );
        // In a container the host keeps it.
        let seen = judge(&machine(true, &[]));
        assert!(seen.findings.is_empty() && seen.good[0].ends_with("within 20 ms"), "{seen:?}");
    }

    #[test]
    fn a_service_that_has_not_synchronised_yet_is_not_called_missing() {
        let found = only(&machine(false, &[Service::Timesyncd]));
        assert_eq!(found.severity, Severity::Note, "forwarding does not depend on it");
        assert_eq!(found.title, "systemd-timesyncd runs, but has not synchronised the clock yet");
        assert!(found.evidence[0].contains("STA_UNSYNC") && found.evidence[1].contains("process 312"), "{found:?}");
        let commands = commands(&found);
        assert!(commands.contains("/etc/systemd/timesyncd.conf.d/site.conf") && commands.contains("journalctl"), "{commands}");
        // The appliance's files do not outlast it.
        let yaml = |finding: &Finding| finding.remedies.iter().any(|remedy| matches!(remedy, Remedy::Yaml { .. }));
        assert!(!yaml(&found) && yaml(&only(&Timekeeping { appliance: true, ..machine(false, &[Service::Timesyncd]) })));
        // A move sets it from outside.
        let moved = only(&Timekeeping { timesyncd_was_right: true, ..machine(false, &[Service::Timesyncd]) });
        assert!(moved.evidence[2].contains("set by somebody else since"), "{moved:?}");
    }

    #[test]
    fn a_clock_without_a_service_is_given_one() {
        let found = only(&machine(false, &[]));
        assert_eq!(found.title, "no time service runs: nobody keeps the clock right");
        assert!(found.evidence[1].contains("systemd-timesyncd, chronyd, ntpd, ntpd-rs"), "{found:?}");
        assert_eq!(commands(&found), "systemctl enable --now systemd-timesyncd");
        let bare = only(&Timekeeping { timesyncd_installed: false, ..machine(false, &[]) });
        assert!(commands(&bare).starts_with("apt install systemd-timesyncd"), "{bare:?}");
    }

    #[test]
    fn no_remedy_needs_dbus() {
        for keepers in [&[][..], &[Service::Timesyncd], &[Service::Chrony], &[Service::Ntpd], &[Service::NtpdRs]] {
            let found = only(&machine(false, keepers));
            assert!(!found.remedies.is_empty() && !format!("{:?}", found.remedies).contains("timedatectl"), "{found:?}");
        }
    }

    #[test]
    fn a_clock_that_is_slow_to_read_is_replaced_by_a_quicker_one_that_there_is() {
        let advised = |available| {
            let found = source("acpi_pm", available).findings.remove(0);
            assert_eq!((found.id, found.severity), (Id::ClockSource, Severity::Warning));
            found.remedies
        };
        let lines = vec![format!("echo tsc > {SOURCE}")];
        assert_eq!(advised("hpet tsc acpi_pm \n"), [Remedy::Command { lines }]);
        assert!(matches!(&advised("acpi_pm \n")[..], [Remedy::Advice { .. }]));
        assert!(source("kvm-clock", "kvm-clock tsc acpi_pm\n").findings.is_empty());
    }

    #[test]
    fn a_clock_that_is_visibly_wrong_is_a_warning() {
        let away = |seconds| Timekeeping { hypervisor: Some(Duration::from_secs(seconds)), ..machine(false, &[]) };
        assert_eq!(only(&away(5)).severity, Severity::Warning);
        assert!(judge(&away(0)).findings.is_empty(), "it is right, whatever keeps it so");
        let found = only(&Timekeeping { now: Duration::from_secs(5), ..machine(false, &[Service::Timesyncd]) });
        assert_eq!((found.severity, found.title.as_str()), (Severity::Warning, "the clock is years behind"));
    }
}
