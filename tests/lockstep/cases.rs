//! What has been found before, and what must never be missing: cases by name, run before the random ones.

use crate::case::Case;
use crate::change::Change;
use crate::policy::{Action, Matching, Named, Policy, Protocol, Rule, SourceNat, Translate, Zone};
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
    vec![
        NamedCase { about: "a masqueraded conversation ends when its rule is taken away", case: taken_away() },
        NamedCase { about: "a rate's burst is not one flow more as soon as any time has passed", case: spent() },
        NamedCase { about: "an interface that leaves its zone carries nothing any more, not even between its own stations", case: left() },
        NamedCase { about: "a flow that the policy of now translates otherwise goes on in no lane as it was", case: translated() },
    ]
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

/// One flow per hour, and many that would like to be it.
fn spent() -> Case {
    let mut one = rule(0, Zone::Lan, Zone::Wan, None, Action::Accept);
    one.rule.rate = Some(1);
    let policy = Policy { default: Action::Drop, rules: vec![one], ..Policy::open() };
    // Others between them, so that some time passes.
    let steps = (0..40).map(|n| if n % 20 == 0 { open(0, 4, Transport::Udp, 1000 + n) } else { open(7, 4, Transport::Udp, 1000 + n) });
    Case { policy, steps: steps.collect(), change: Change::Nothing, after: Vec::new() }
}

/// Conversations of dmz, whose leg is in no zone after the change.
fn left() -> Case {
    let opens = [open(7, 8, Transport::Udp, 53), open(7, 4, Transport::Udp, 53), open(4, 7, Transport::Tcp, 443)];
    let talk = (0..3).flat_map(|of| [Step::Reply(of), Step::More(of)]);
    let again =
        [open(8, 7, Transport::Udp, 53), open(8, 7, Transport::Tcp, 443), open(8, 4, Transport::Udp, 53), open(5, 8, Transport::Udp, 53)];
    let steps = opens.into_iter().chain(talk.clone()).collect();
    Case { policy: Policy::open(), steps, change: Change::Zone(2, None), after: talk.chain(again).collect() }
}

/// Conversations without translation, and then with.
fn translated() -> Case {
    let steps =
        [open(0, 4, Transport::Tcp, 443), open(0, 4, Transport::Udp, 53), Step::Reply(0), Step::Reply(1), Step::More(0), Step::More(1)];
    let after = [Step::More(0), Step::Reply(0), open(1, 4, Transport::Udp, 53), Step::Reply(2), Step::More(2)];
    let change = Change::InsertSourceNat(masquerade().rule);
    Case { policy: Policy::open(), steps: steps.to_vec(), change, after: after.to_vec() }
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
