//! What this project wants to reach, and whether a run shows it.

use crate::figure::{Figure, Metric, Results};
use crate::statistics::{median, ratios};
use crate::subject::Subject;

/// Whether a target is reached, and by which figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It is.
    Reached(f64),
    /// It is not.
    Missed(f64),
    /// The run does not say.
    Unknown,
}

/// One target.
pub struct Target {
    /// In words.
    pub what: &'static str,
    /// What the figure has to be.
    pub bound: String,
    /// What it is.
    pub outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn judge(self, value: Option<f64>) -> Outcome {
        let Some(value) = value else { return Outcome::Unknown };
        let reached = match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
        };
        if reached { Outcome::Reached(value) } else { Outcome::Missed(value) }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}{unit}"),
            Self::AtMost(bound) => format!("≤ {bound}{unit}"),
            Self::Below(bound) => format!("< {bound}{unit}"),
        }
    }
}

const THOUSAND: &str = "v4-snat-64-1k";
const MANY: &str = "v4-snat-64-100k";

/// The whole table.
#[must_use]
pub fn all(results: &Results) -> Vec<Target> {
    // The median of the rounds' own ratios.
    let ratio = |metric, case: &str, over: Subject, under: Subject| {
        let pair = |subject| results.figure(metric, case, subject).map(|figure| figure.samples.clone());
        let ratios = ratios(&pair(over)?, &pair(under)?);
        (!ratios.is_empty()).then(|| median(&ratios))
    };
    let added = |case, over, under| ratio(Metric::AddedNs, case, over, under);
    // Of all our figures of a metric, in the cases that begin so, the worst.
    let worst = |metric: Metric, case: &str| {
        let ours = results.figures.iter().filter(|f| f.metric == metric && f.case.name().starts_with(case) && is_ours(f));
        ours.filter(|f| !f.valid().is_empty()).map(|f| median(&f.valid())).reduce(f64::max)
    };
    let rules = |count: u32, metric| worst(metric, &format!("{count} rules"));
    let growth = rules(10_000, Metric::NewFlowNs).zip(rules(10, Metric::NewFlowNs)).map(|(many, few)| many / few);
    // The median would hide a single lost packet.
    let lost = results.figures.iter().filter(|f| f.metric == Metric::ReloadLost && f.case.name() == "10000 rules" && is_ours(f));
    let lost = lost.filter(|f| !f.valid().is_empty()).map(|f| f.valid().into_iter().fold(0.0, f64::max)).reduce(f64::max);
    let target = |what, bound: Bound, unit, value| Target { what, bound: bound.text(unit), outcome: bound.judge(value) };
    vec![
        target(
            "XDP, established flows, against nftables, 1k flows",
            Bound::AtLeast(6.0),
            " ×",
            added(THOUSAND, Subject::Nftables, Subject::Xdp),
        ),
        target("the same, 100k flows", Bound::AtLeast(3.0), " ×", added(MANY, Subject::Nftables, Subject::Xdp)),
        target(
            "XDP, established flows, against bare devmap redirect, 1k flows",
            Bound::AtMost(2.5),
            " ×",
            added(THOUSAND, Subject::Xdp, Subject::Devmap),
        ),
        target(
            "XDP with NAT against xdp-forward without (or its like), 1k flows",
            Bound::Below(1.0),
            " ×",
            added(THOUSAND, Subject::Xdp, Subject::XdpForward).or_else(|| added(THOUSAND, Subject::Xdp, Subject::Fib)),
        ),
        target(
            "tc, established flows, against nftables, 1k flows",
            Bound::AtLeast(1.7),
            " ×",
            added(THOUSAND, Subject::Nftables, Subject::Tc),
        ),
        target("the same, 100k flows", Bound::AtLeast(1.5), " ×", added(MANY, Subject::Nftables, Subject::Tc)),
        target(
            "tc bulk TCP, CPU per GB, against nftables",
            Bound::AtMost(1.0),
            " ×",
            ratio(Metric::CpuPerGb, "tcp", Subject::Tc, Subject::Nftables),
        ),
        target(
            "tc bulk TCP, CPU per GB, against plain routing",
            Bound::AtMost(1.05),
            " ×",
            ratio(Metric::CpuPerGb, "tcp", Subject::Tc, Subject::Routing),
        ),
        target(
            "new connections, CPU per connection, tc against nftables",
            Bound::Below(1.0),
            " ×",
            ratio(Metric::CpuPerConnection, "tcp", Subject::Tc, Subject::Nftables),
        ),
        target("reload of 10,000 rules", Bound::Below(1000.0), " ms", rules(10_000, Metric::Reload)),
        target("packets lost by it", Bound::AtMost(0.0), "", lost),
        target("a new flow against 10,000 rules and against 10", Bound::AtMost(1.5), " ×", growth),
        target("memory per flow, 1,000,000 flows held", Bound::AtMost(320.0), " bytes", worst(Metric::MemoryPerFlow, "1000000 flows")),
        target("the daemon's resident memory", Bound::AtMost(40.0), " MB", worst(Metric::Resident, "")),
        target("the daemon at rest", Bound::Below(0.5), " %", worst(Metric::IdleCpu, "")),
        target("from start to forwarding", Bound::AtMost(1000.0), " ms", worst(Metric::Start, "")),
    ]
}

fn is_ours(figure: &Figure) -> bool {
    Subject::named(&figure.subject).is_some_and(Subject::is_ours)
}
