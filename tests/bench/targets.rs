//! What this project wants to reach, and whether a run shows it.

use crate::figure::{Figure, Metric, Results};
use crate::report::{number, times};
use crate::statistics::{ENOUGH, Interval, middle, paired};
use crate::subject::Subject;

/// Whether a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is, beyond the noise.
    Reached,
    /// It is not, beyond the noise.
    Missed,
    /// The noise is larger than the distance to the bound.
    AtBound,
    /// It would be, but tries of the subject were void: who repeats those until one is whole measures a better gateway than there is.
    Void,
    /// The run does not say.
    Unknown,
}

impl Outcome {
    /// In words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed => "MISSED",
            Self::AtBound => "at the bound",
            Self::Void => "VOID tries",
            Self::Unknown => "not measured",
        }
    }
}

/// One target.
pub struct Target {
    /// In words.
    pub what: &'static str,
    /// What the figure has to be.
    pub bound: String,
    /// What it is, and where it may lie.
    pub measured: String,
    /// What follows.
    pub outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn judge(self, Interval { low, high, .. }: Interval) -> Outcome {
        let (reached, missed) = match self {
            Self::AtLeast(bound) => (low >= bound, high < bound),
            Self::AtMost(bound) => (high <= bound, low > bound),
            Self::Below(bound) => (high < bound, low >= bound),
        };
        match (reached, missed) {
            (true, _) => Outcome::Reached,
            (_, true) => Outcome::Missed,
            _ => Outcome::AtBound,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {bound}{unit}"),
            Self::AtMost(bound) => format!("≤ {bound}{unit}"),
            Self::Below(bound) => format!("< {bound}{unit}"),
        }
    }
}

/// What a target is judged by.
struct Measured<'a> {
    interval: Interval,
    /// How it came about, where that is not a median with its interval.
    how: Option<String>,
    /// Which of ours it speaks of.
    ours: Vec<&'a str>,
}

impl Measured<'_> {
    fn text(&self) -> String {
        let Interval { value, rounds, .. } = self.interval;
        match (&self.how, rounds) {
            (Some(how), _) => format!("{} ({how})", number(value)),
            (None, 1) => format!("{} (one sample)", number(value)),
            (None, ENOUGH..) => times(Some(self.interval)),
            (None, _) => format!("{}, {rounds} rounds", times(Some(self.interval))),
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
        let samples = |subject| results.figure(metric, case, subject).map(|figure| &figure.samples);
        let interval = paired(samples(over)?, samples(under)?)?;
        let ours = [over, under].into_iter().filter(|subject| subject.is_ours()).map(Subject::name).collect();
        Some(Measured { interval, how: None, ours })
    };
    let added = |case, over, under| ratio(Metric::AddedNs, case, over, under);
    let ours = |metric: Metric, case: &str| -> Vec<&Figure> {
        let of_metric = results.figures.iter().filter(|f| f.metric == metric && f.case.name().starts_with(case) && is_ours(f));
        of_metric.filter(|f| !f.valid().is_empty()).collect()
    };
    // Of all our figures of a metric, in the cases that begin so, the worst.
    let worst = |metric: Metric, case: &str| {
        let of_metric = ours(metric, case);
        let interval = of_metric.iter().filter_map(|f| middle(&f.valid())).reduce(worse)?;
        Some(Measured { interval, how: None, ours: subjects(&of_metric) })
    };
    // Both numbers of rules are measured in each round.
    let growth = || {
        let many = ours(Metric::NewFlowNs, "10000 rules");
        let few = |many: &Figure| results.figure_of(Metric::NewFlowNs, "10 rules", &many.subject);
        let interval = many.iter().filter_map(|many| paired(&many.samples, &few(many)?.samples)).reduce(worse)?;
        Some(Measured { interval, how: None, ours: subjects(&many) })
    };
    // Whatever the number of rules. A median would hide a single lost packet.
    let lost = || {
        let of_metric = ours(Metric::ReloadLost, "");
        let samples: Vec<f64> = of_metric.iter().flat_map(|f| f.valid()).collect();
        let (most, rounds) = (samples.iter().copied().reduce(f64::max)?, samples.len());
        let interval = Interval { value: most, low: most, high: most, rounds };
        Some(Measured { interval, how: Some(format!("the most in {rounds} reloads")), ours: subjects(&of_metric) })
    };
    let target = |what, bound: Bound, unit, measured: Option<Measured<'_>>| {
        let outcome = measured.as_ref().map_or(Outcome::Unknown, |measured| match bound.judge(measured.interval) {
            Outcome::Reached if measured.ours.iter().any(|subject| results.has_void(subject)) => Outcome::Void,
            outcome => outcome,
        });
        Target { what, bound: bound.text(unit), measured: measured.map_or("–".to_owned(), |measured| measured.text()), outcome }
    };
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
        target("reload of 10,000 rules", Bound::Below(1000.0), " ms", worst(Metric::Reload, "10000 rules")),
        target("packets lost by a reload, of any number of rules", Bound::AtMost(0.0), "", lost()),
        target("a new flow against 10,000 rules and against 10", Bound::AtMost(1.5), " ×", growth()),
        target("memory per flow, 1,000,000 flows held", Bound::AtMost(320.0), " bytes", worst(Metric::MemoryPerFlow, "1000000 flows")),
        target("the daemon's resident memory", Bound::AtMost(40.0), " MB", worst(Metric::Resident, "")),
        target("the daemon at rest", Bound::Below(0.5), " %", worst(Metric::IdleCpu, "")),
        target("from start to forwarding", Bound::AtMost(1000.0), " ms", worst(Metric::Start, "")),
    ]
}

fn is_ours(figure: &Figure) -> bool {
    Subject::named(&figure.subject).is_some_and(Subject::is_ours)
}

fn subjects<'a>(figures: &[&'a Figure]) -> Vec<&'a str> {
    figures.iter().map(|figure| figure.subject.as_str()).collect()
}

fn worse(one: Interval, other: Interval) -> Interval {
    if other.value > one.value { other } else { one }
}
