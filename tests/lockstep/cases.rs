//! What has been found before, and what must never be missing: cases by name, run before the random ones.

use crate::change::Change;
use crate::policy::{Action, Matching, Named, Policy, Protocol, Rule, SourceNat, Translate, Zone};
use crate::run::Case;
use crate::traffic::{DestinationPort, First, Open, SourcePort, Step, Transport};

/// A case with one sentence about it.
pub struct NamedCase {
    /// The sentence.
    pub about: &'static str,
    /// The case.
    pub case: Case,
}

/// All of them.
pub fn all() -> Vec<NamedCase> {
    vec![NamedCase { about: "a masqueraded conversation ends when its rule is taken away", case: taken_away() }]
}

fn open(from: u8, to: u8, transport: Transport, port: u16) -> Step {
    let port = DestinationPort::Port(port);
    Step::Open(Open { from, to, transport, source_port: SourcePort::User(0), port, ttl: 64, first: First::Proper })
}

fn masquerade() -> Named<SourceNat> {
    let matching = Matching { from: Some(Zone::Lan), to: Some(Zone::Wan), ..Default::default() };
    Named { number: 0, rule: SourceNat { matching, translate: Translate::Masquerade, mapping_per_flow: false, open_filtering: false } }
}

/// A firewall rule.
pub fn rule(number: u8, from: Zone, to: Zone, protocol: Option<Protocol>, action: Action) -> Named<Rule> {
    let matching = Matching { from: Some(from), to: Some(to), protocol, ..Default::default() };
    Named { number, rule: Rule { matching, icmp_type: None, action, rate: None } }
}

/// Three conversations of each transport from lan to wan, under the one rule that allows them, and without it.
pub fn taken_away() -> Case {
    let mut allowed = rule(0, Zone::Lan, Zone::Wan, None, Action::Accept);
    allowed.rule.matching.destination = vec!["192.0.2.0/24"];
    let policy = Policy { source_nat: vec![masquerade()], default: Action::Drop, rules: vec![allowed], ..Policy::open() };
    let opens = [open(0, 4, Transport::Tcp, 443), open(0, 4, Transport::Udp, 53), open(0, 4, Transport::Echo, 0)];
    let talk = (0..3).flat_map(|of| [Step::Reply(of), Step::More(of), Step::Reply(of), Step::More(of)]);
    let steps = opens.into_iter().chain(talk.clone()).collect();
    Case { policy, steps, change: Change::RemoveRule(0), after: talk.collect() }
}
