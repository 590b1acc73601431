//! Can this kernel carry the gateway? Tried where it can be tried.

use std::path::Path;

use gateway_ebpf::table::Seed;

use crate::datapath::{Capacity, Loaded, TcHook};
use crate::doctor::finding::{Check, Finding, Id, Outcome, Remedy, Severity};
use crate::doctor::scene::{Leg, Scene};
use crate::model::DatapathMode;
use crate::nftables::NftError;
use crate::nftables::survey::{self, Ability};

/// The oldest that is supported.
const OLDEST: (u32, u32) = (6, 1);
/// The kernel's own type information, with which the programs find their fields.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Examines the kernel, for the datapath that the policy wants. `legs`: a flow table wants an interface to be tried on.
#[must_use]
pub fn kernel(scene: &Scene, legs: &[Leg]) -> Outcome {
    let mut outcome = Outcome::of(Check::Kernel);
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    outcome.add(age(&release));
    if !Path::new(BTF).exists() {
        outcome.findings.push(missing(
            "the kernel's type information (BTF)",
            format!("{BTF} does not exist"),
            "The eBPF programs may not load. The nftables datapath needs none.",
            "Use a distribution's kernel, or build with CONFIG_DEBUG_INFO_BTF=y.",
            Severity::Warning,
        ));
    }
    let mode = scene.model.as_ref().map(|model| model.mode).unwrap_or_default();
    outcome.add(programs(mode));
    outcome.add(netfilter(mode, legs));
    outcome
}

fn age(release: &str) -> Outcome {
    let mut outcome = Outcome::of(Check::Kernel);
    match version(release) {
        Some(found) if found < OLDEST => outcome.findings.push(old(release)),
        Some(_) => outcome.good(format!("Linux {release}")),
        None => outcome.skip(format!("the kernel's version \"{release}\" cannot be read")),
    }
    outcome
}

/// "6.12.48+deb13-amd64" is 6.12.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn old(release: &str) -> Finding {
    Finding {
        id: Id::KernelVersion,
        severity: Severity::Warning,
        interface: None,
        title: format!("Linux {release} is older than {}.{}", OLDEST.0, OLDEST.1),
        evidence: vec![format!("uname -r: {release}")],
        consequence: "The gateway is not tested there, and its programs may not pass the verifier.".to_owned(),
        remedies: vec![Remedy::Advice { text: "Run the gateway on Debian 12 or newer, or from its own image.".to_owned() }],
    }
}

fn missing(what: &str, evidence: String, consequence: &str, advice: &str, severity: Severity) -> Finding {
    Finding {
        id: Id::KernelFeature,
        severity,
        interface: None,
        title: format!("the kernel lacks {what}"),
        evidence: vec![evidence],
        consequence: consequence.to_owned(),
        remedies: vec![Remedy::Advice { text: advice.to_owned() }],
    }
}

/// Loads the programs with small tables, attaches them nowhere, and lets go of them.
fn programs(mode: DatapathMode) -> Outcome {
    let mut outcome = Outcome::of(Check::Kernel);
    match Loaded::new(Capacity { flows: 64 }, Seed::default(), 0) {
        Ok(_) => {
            let hook = match TcHook::of_this_kernel() {
                TcHook::Tcx => "tcx",
                TcHook::Clsact => "clsact",
            };
            outcome.good(format!("the gateway's programs load; tc is reached by {hook}"));
        }
        Err(error) => outcome.findings.push(unloadable(mode, chain(&error))),
    }
    outcome
}

fn unloadable(mode: DatapathMode, why: String) -> Finding {
    let (consequence, severity) = match mode {
        DatapathMode::Xdp | DatapathMode::Tc => ("The policy asks for the eBPF datapath, which cannot work here.", Severity::Fault),
        DatapathMode::Auto => ("The gateway falls back to nftables: the same policy, at the kernel's own speed.", Severity::Warning),
        DatapathMode::Nftables => ("The policy asks for nftables, which needs no programs.", Severity::Note),
    };
    let mut finding = missing(
        "something that the gateway's programs need",
        why,
        consequence,
        "Needed: root (CAP_BPF and CAP_NET_ADMIN), a kernel that is not locked down (/sys/kernel/security/lockdown), CONFIG_BPF_SYSCALL, \
         CONFIG_NET_CLS_BPF. Or `mode = \"nftables\"` under [datapath] in the policy.",
        severity,
    );
    finding.title = "the gateway's programs cannot be loaded".to_owned();
    finding
}

fn netfilter(mode: DatapathMode, legs: &[Leg]) -> Outcome {
    let interface = legs.iter().find(|leg| leg.link.up).map_or("lo", Leg::name);
    abilities(mode, |ability| survey::tried(ability, interface))
}

fn abilities(mode: DatapathMode, tried: impl Fn(Ability) -> Result<Result<(), String>, NftError>) -> Outcome {
    let mut outcome = Outcome::of(Check::Kernel);
    for (ability, what, consequence, severity) in [
        (
            Ability::Filter,
            "nf_tables with connection tracking",
            "The guard that keeps the kernel from forwarding unfiltered cannot be set.",
            Severity::Fault,
        ),
        (
            Ability::Nat,
            "address translation in nf_tables",
            "The nftables datapath cannot translate; the eBPF one does not need it.",
            if mode == DatapathMode::Nftables { Severity::Fault } else { Severity::Note },
        ),
        (
            Ability::FlowTable,
            "nf_tables flow tables",
            "The nftables datapath has no fast path; the eBPF one does not need it.",
            Severity::Note,
        ),
    ] {
        match tried(ability) {
            Ok(Ok(())) => outcome.good(what),
            Ok(Err(why)) => {
                outcome.findings.push(missing(
                    what,
                    format!("nft --check: {why}"),
                    consequence,
                    "Load the kernel's nf_tables modules, or use a distribution's kernel.",
                    severity,
                ));
            }
            Err(error) => {
                outcome.skip(format!("{what}: {error}"));
            }
        }
    }
    outcome
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    // The verifier's log is long, and its end says what is wrong.
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        let releases = ["6.1.0-43-amd64", "6.12.48+deb13-amd64", "5.15.0", "7", "rolling"];
        assert_eq!(releases.map(version), [Some((6, 1)), Some((6, 12)), Some((5, 15)), None, None]);
    }

    #[test]
    fn a_kernel_that_nobody_has_tried_is_told_from_one_that_is_supported() {
        let old = age("5.15.0-91-generic");
        assert_eq!((old.findings[0].id, old.findings[0].severity), (Id::KernelVersion, Severity::Warning));
        assert!(age("6.1.0-43-amd64").findings.is_empty());
        assert_eq!(age("rolling").skipped.len(), 1);
    }

    #[test]
    fn what_the_kernel_lacks_is_as_bad_as_the_policy_needs_it() {
        let severities = |mode| {
            let filter = |ability| Ok(if ability == Ability::Filter { Ok(()) } else { Err("no such family".to_owned()) });
            let outcome = abilities(mode, filter);
            assert!(outcome.findings.iter().all(|finding| finding.id == Id::KernelFeature), "{outcome:?}");
            let of = outcome.findings.iter().map(|finding| finding.severity);
            (unloadable(mode, "refused".to_owned()).severity, of.collect::<Vec<_>>())
        };
        use Severity::{Fault, Note, Warning};
        assert_eq!(severities(DatapathMode::Nftables), (Note, vec![Fault, Note]));
        assert_eq!(severities(DatapathMode::Auto), (Warning, vec![Note, Note]));
        assert_eq!(severities(DatapathMode::Tc), (Fault, vec![Note, Note]));
        let bare = abilities(DatapathMode::Tc, |_| Ok(Err("no nf_tables".to_owned())));
        assert_eq!(bare.findings[0].severity, Fault, "nothing guards what the kernel would forward");
    }
}
