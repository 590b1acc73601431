//! One case in all lanes: a policy, traffic, another policy, more traffic.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gateway_tests::frames::{Path, address};

use crate::answers::Answers;
use crate::case::{Case, Seen};
use crate::counters::Counters;
use crate::differences;
use crate::lane::{Datapath, Lane};
use crate::network::{LegIndex, gateway_mac};
use crate::outcome::{Endpoint, Outcome, Sent};
use crate::payload;
use crate::policy::Policy;
use crate::talk::{Ends, Side, Talk, Word};
use crate::traffic::{DestinationPort, First, Open, Step, Transport, can_talk, others_on, sender, target};
use crate::under_way::Run;

/// How long the daemon may take to answer what was refused.
const ANSWERED: Duration = Duration::from_secs(3);

/// The lanes, and what they remember between cases.
pub struct Lanes<'a> {
    lanes: Vec<Lane<'a>>,
    /// Cases so far.
    serial: u32,
    /// Payloads so far.
    packets: u32,
    /// External endpoints that some lane has given away.
    given: HashSet<(IpAddr, u16)>,
}

impl<'a> Lanes<'a> {
    /// Lanes that have just begun.
    pub fn new(lanes: Vec<Lane<'a>>) -> Self {
        Self { lanes, serial: 0, packets: 0, given: HashSet::new() }
    }

    /// Runs a case with the same policy in all lanes.
    pub fn run(&mut self, case: &Case) -> Result<Seen> {
        let policies = vec![case.policy.clone(); self.lanes.len()];
        self.run_apart(case, &policies)
    }

    /// Runs a case with a policy of its own in each lane: what is compared is as if all had the case's.
    pub fn run_apart(&mut self, case: &Case, policies: &[Policy]) -> Result<Seen> {
        self.serial += 1;
        let mut run = Run::new(case.policy.clone());
        let result = self.phases(&mut run, case, policies);
        result.map(|()| run.seen).with_context(|| {
            // What was said in the last conversation, and a little of what was around it.
            let last = run.log.last().and_then(|line| line.split(',').next()).unwrap_or_default().to_owned() + ",";
            let from = run.log.len().saturating_sub(5);
            let told = |(n, line): &(usize, &String)| *n >= from || line.starts_with(&last) || line.starts_with("---");
            let steps: Vec<&str> = run.log.iter().enumerate().filter(told).map(|(_, line)| line.as_str()).collect();
            format!("the last steps:\n{}\nunder the policy:\n{}", steps.join("\n"), run.policy.text("…", "rule"))
        })
    }

    fn phases(&mut self, run: &mut Run, case: &Case, policies: &[Policy]) -> Result<()> {
        self.phase(run, policies, &case.steps)?;
        let changed = case.change.apply(&case.policy);
        if changed == case.policy && case.after.is_empty() {
            return Ok(());
        }
        let policies: Vec<Policy> = policies.iter().map(|policy| case.change.apply(policy)).collect();
        run.policy = changed;
        run.phase = 1;
        run.translates = case.change.translates();
        run.log.push(format!("--- {:?}", case.change));
        self.phase(run, &policies, &case.after)
    }

    fn phase(&mut self, run: &mut Run, policies: &[Policy], steps: &[Step]) -> Result<()> {
        let prefix = format!("c{}", self.serial);
        let questions: Vec<_> = self
            .lanes
            .iter()
            .zip(policies)
            .map(|(lane, policy)| lane.install(&policy.text(lane.datapath.mode(), &prefix)))
            .collect::<Result<_>>()?;
        for (question, lane) in questions.into_iter().zip(&self.lanes) {
            let answer = question.answer()?;
            ensure!(answer.get("reloaded").is_some(), "{:?} refuses the policy: {answer:#}", lane.datapath);
        }
        let mut before = self.counters()?;
        if run.phase > 0 {
            run.meeting = true;
            for talk in run.open() {
                self.say(run, talk, Side::Near, Word::Next)?;
                self.say(run, talk, Side::Far, Word::Next)?;
            }
            run.meeting = false;
            before = self.same_counters(&before, true)?;
            run.met = self.packets;
        }
        // Slow, and the way to the step behind counters that differ.
        let each = std::env::var_os("GATEWAY_LOCKSTEP_COUNT_EACH").is_some();
        for step in steps {
            self.step(run, step)?;
            if each {
                self.same_counters(&before, false)?;
            }
        }
        self.same_counters(&before, false)?;
        self.shared_mappings(run)?;
        // The daemons have had their turn meanwhile.
        self.same_answers(run)
    }

    /// The counters of now, which all lanes have moved alike since `before`.
    fn same_counters(&mut self, before: &[Counters], meeting: bool) -> Result<Vec<Counters>> {
        for lane in &mut self.lanes {
            lane.silence()?;
        }
        let after = self.counters()?;
        let first = self.lanes[0].datapath;
        for (index, lane) in self.lanes.iter().enumerate().skip(1) {
            let lanes = [first, lane.datapath];
            let [one, other] = [0, index].map(|lane| differences::counted(lanes, &after[lane].since(&before[lane])));
            if !meeting || differences::count_endings_alike(lanes) {
                ensure!(one == other, "counters differ:\n{:?} {one:#?}\n{:?} {other:#?}", lanes[0], lanes[1]);
            }
        }
        Ok(after)
    }

    fn datapaths(&self) -> Vec<Datapath> {
        self.lanes.iter().map(|lane| lane.datapath).collect()
    }

    fn counters(&self) -> Result<Vec<Counters>> {
        let questions = self.lanes.iter().map(Lane::ask_counters).collect::<Result<Vec<_>>>()?;
        questions.into_iter().map(|question| Ok(Counters::of(&question.answer()?["drops"]))).collect()
    }

    fn step(&mut self, run: &mut Run, step: &Step) -> Result<()> {
        let talk = match *step {
            Step::Open(open) => match self.open(run, &open)? {
                Some(new) => new,
                None => return Ok(()),
            },
            Step::Again(of) | Step::Reply(of) | Step::More(of) | Step::Finish { of, .. } | Step::Reset { of, .. } => match run.pick(of) {
                Some(talk) => talk,
                None => return Ok(()),
            },
            Step::Stray { of, from, source_port } => {
                match run.pick(of).and_then(|of| self.stray(run, of, from, source_port.number(self.serial))) {
                    Some(new) => new,
                    None => return Ok(()),
                }
            }
        };
        let side = |far: bool| if far { Side::Far } else { Side::Near };
        let (side, word) = match *step {
            Step::Open(_) | Step::Again(_) | Step::Stray { .. } => (Side::Near, Word::First),
            Step::Reply(_) => (Side::Far, Word::Next),
            Step::More(_) => (Side::Near, Word::Next),
            Step::Finish { far, .. } => (side(far), Word::Finish),
            Step::Reset { far, .. } => (side(far), Word::Reset),
        };
        self.say(run, talk, side, word)?;
        if word == Word::Finish && run.talks[talk].is_closing() {
            let last = if side == Side::Far { Side::Near } else { Side::Far };
            self.say(run, talk, last, Word::Acknowledge)?;
        }
        Ok(())
    }

    /// The conversation of an opening packet: the one there is between these ends, or a new one.
    fn open(&mut self, run: &mut Run, open: &Open) -> Result<Option<usize>> {
        if !can_talk(open.from, open.to) {
            return Ok(None);
        }
        let (from, to) = (sender(open.from), address(target(open.to)));
        let source_port = open.source_port.number(self.serial);
        let port = match (open.transport, open.port) {
            (Transport::Echo, _) => 0,
            (_, DestinationPort::Port(port)) => port,
            (_, DestinationPort::Unmapped) => {
                (20_011..).find(|port| !self.given.contains(&(to, *port))).ok_or_else(|| anyhow!("every port of {to} is given away"))?
            }
        };
        let mut near = Path {
            source_mac: from.mac(),
            destination_mac: gateway_mac(from.leg),
            source: from.ip(),
            destination: to,
            source_port,
            destination_port: port,
            ttl: open.ttl,
        };
        if open.transport == Transport::Echo && open.first != First::Proper {
            (near.source_port, near.destination_port) = (0, source_port);
        }
        Ok(run.talk(Talk::new(open.transport, from.leg, open.first, run.phase, self.ends(|_| near))))
    }

    /// A conversation of somebody else with what a conversation's far side sees as its peer.
    fn stray(&mut self, run: &mut Run, of: usize, from: u8, source_port: u16) -> Option<usize> {
        let other = &run.talks[of];
        let (leg, seen) = other.ends[0].far?;
        let strangers = others_on(leg, &seen.destination.to_string());
        let from = strangers.get(usize::from(from) % strangers.len().max(1))?;
        let transport = other.transport;
        let first = if transport == Transport::Echo { First::Improper(0) } else { First::Proper };
        let peers = other.peers();
        if !differences::may_stray(&self.datapaths(), &run.policy, transport, &peers) {
            return None;
        }
        let ends = self.ends(|lane| {
            let (peer, peer_port) = peers[lane];
            let source_port = if transport == Transport::Echo { 0 } else { source_port };
            Path {
                source_mac: from.mac(),
                destination_mac: gateway_mac(leg),
                source: from.ip(),
                destination: peer,
                source_port,
                destination_port: peer_port,
                ttl: 64,
            }
        });
        // A stranger is nobody's peer, in any lane: mappings that one lane shares may be two in another.
        let is_reply = |lane: usize, ends: &Ends| {
            let expected = |path: Path| (path.destination, path.destination_port, path.source, path.source_port);
            let Path { source, source_port, destination, destination_port, .. } = ends.near;
            run.talks
                .iter()
                .filter_map(|talk| talk.ends[lane].far)
                .any(|(_, path)| expected(path) == (source, source_port, destination, destination_port))
        };
        if ends.iter().enumerate().any(|(lane, ends)| ends.near.source == ends.near.destination || is_reply(lane, ends)) {
            return None;
        }
        run.talk(Talk::new(transport, leg, first, run.phase, ends))
    }

    fn ends(&self, near: impl Fn(usize) -> Path) -> Vec<Ends> {
        (0..self.lanes.len()).map(|lane| Ends { near: near(lane), far: None }).collect()
    }

    /// One packet in all lanes.
    fn say(&mut self, run: &mut Run, talk: usize, side: Side, word: Word) -> Result<()> {
        let datapaths = self.datapaths();
        let Some(word) = run.talks[talk].sensible(side, word).filter(|_| !run.talks[talk].has_ended()) else { return Ok(()) };
        if !differences::is_said(&datapaths, run.phase, &run.talks[talk], side, word) {
            return Ok(());
        }
        // To a flow that has been cut the far side is a stranger.
        let spoken = &run.talks[talk];
        if spoken.phase < run.phase
            && side == Side::Far
            && !differences::may_stray(&datapaths, &run.policy, spoken.transport, &spoken.peers())
        {
            return Ok(());
        }
        self.packets += 1;
        run.numbers.insert(self.packets, talk);
        let payload = payload::numbered(self.packets);
        let mut outcomes = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let spoken = &run.talks[talk];
            let Some((leg, path)) = spoken.path(index, side) else { return Ok(()) };
            let frame = spoken.frame(&path, side, word, &payload);
            let sights = lane.send(leg, &frame, self.packets)?;
            let sent = Sent { path, side, ends: &spoken.ends[index], transport: spoken.transport, frame: &frame, payload: &payload };
            let outcome = Outcome::of(&sights, &sent).with_context(|| format!("{:?}: {path:?}", lane.datapath))?;
            outcomes.push((path, outcome));
        }
        let what = run.describe(talk, side, word, &outcomes[0].0);
        let shown: Vec<String> =
            datapaths.iter().zip(&outcomes).map(|(datapath, (_, outcome))| format!("    {datapath:?}: {outcome}")).collect();
        run.log.push(format!("{what}{}\n{}", if run.meeting { " (meeting the policy)" } else { "" }, shown.join("\n")));
        let transport = run.talks[talk].transport;
        let mut common = Vec::new();
        for (datapath, (path, outcome)) in datapaths.iter().zip(&outcomes) {
            let internal = path.source_port;
            common.push(differences::common(&run.policy, transport, internal, outcome).with_context(|| format!("{datapath:?}: {what}"))?);
        }
        for (index, other) in common.iter().enumerate().skip(1).filter(|(_, other)| **other != common[0]) {
            let lanes = [datapaths[0], datapaths[index]];
            if !(run.meeting && run.translates && differences::may_begin_anew(lanes, [&outcomes[0].1, &outcomes[index].1])) {
                bail!("the lanes differ at {what}: {:?}, {other:?}", common[0]);
            }
            run.talks[talk].end();
        }
        if run.talks[talk].has_ended() {
            return Ok(());
        }
        self.learn(run, talk, side, word, payload.len(), outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// What all lanes agree on becomes the conversation's state.
    fn learn(&mut self, run: &mut Run, talk: usize, side: Side, word: Word, length: usize, outcomes: Vec<Outcome>) -> Result<()> {
        let spoken = &mut run.talks[talk];
        let seen = &mut run.seen;
        let carried = spoken.phase < run.phase;
        seen.packets += 1;
        match &outcomes[0] {
            Outcome::Dropped => {
                seen.dropped += 1;
                seen.cut += u64::from(carried && spoken.is_open());
                if spoken.is_open() {
                    spoken.cut();
                }
            }
            Outcome::Answered => {}
            Outcome::Forwarded(forwarded) => {
                seen.forwarded += 1;
                let (from, _) = spoken.path(0, side).ok_or_else(|| anyhow!("nobody spoke"))?;
                let zoned = |leg: LegIndex| run.policy.zones[leg].is_some();
                ensure!(zoned(from) && zoned(forwarded.leg), "an interface in no zone carries nothing");
                let changed = |endpoint: &Endpoint| u64::from(matches!(endpoint, Endpoint::Changed(..)));
                seen.source_nat += changed(&forwarded.source);
                seen.destination_nat += changed(&forwarded.destination);
                let back = forwarded.source == Endpoint::Restored && forwarded.destination == Endpoint::Restored;
                seen.restored += u64::from(back);
                // Under the policy that a conversation began with, an answer that passes goes back to who asked.
                ensure!(side == Side::Near || carried || back || !spoken.is_honest(), "a reply has gone astray");
            }
        }
        if outcomes[0].forwarded().is_none() {
            return Ok(());
        }
        spoken.said(side, word, length);
        if side == Side::Near {
            for (ends, outcome) in spoken.ends.iter_mut().zip(&outcomes) {
                let Some(forwarded) = outcome.forwarded() else { continue };
                ends.far = Some((forwarded.leg, forwarded.path));
                if let Endpoint::Changed(address, port) = forwarded.source {
                    self.given.insert((address, port));
                }
            }
        }
        Ok(())
    }

    /// The same senders hear the same, soon.
    fn same_answers(&mut self, run: &mut Run) -> Result<()> {
        let datapaths = self.datapaths();
        let mut heard = vec![Answers::new(); self.lanes.len()];
        let begun = Instant::now();
        loop {
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                for (about, answer) in lane.answers()? {
                    // A case before this one may have been answered late in all lanes.
                    let told = |talk: &usize| differences::is_told(&datapaths, &run.talks[*talk], answer);
                    heard[index].extend(run.answered(index, about).filter(told).map(|talk| (talk, answer)));
                }
            }
            let Some(other) = (1..heard.len()).find(|lane| heard[*lane] != heard[0]) else {
                run.seen.answered += heard[0].len() as u64;
                return Ok(());
            };
            if begun.elapsed() > ANSWERED {
                let only = |a: usize, b: usize| heard[a].difference(&heard[b]).copied().collect::<Vec<_>>();
                let lanes = [self.lanes[0].datapath, self.lanes[other].datapath];
                let about = only(0, other).first().or(only(other, 0).first()).map(|(talk, _)| format!("talk {talk}, answered"));
                run.log.extend(about);
                bail!("answers differ: only {:?} {:?}, only {:?} {:?}", lanes[0], only(0, other), lanes[1], only(other, 0));
            }
            std::thread::yield_now();
        }
    }

    /// Lanes that map by endpoint let the same conversations share an external endpoint.
    fn shared_mappings(&self, run: &Run) -> Result<()> {
        if run.policy.source_nat.iter().any(|named| named.rule.mapping_per_flow) || run.phase > 0 {
            return Ok(());
        }
        let sharing = |lane: usize| -> Vec<usize> {
            let mut first = BTreeMap::new();
            let open = run.talks.iter().enumerate().filter_map(|(number, talk)| talk.ends[lane].far.map(|(_, path)| (number, talk, path)));
            let translated = open.filter(|(_, talk, path)| {
                (path.source, path.source_port) != (talk.ends[lane].near.source, talk.ends[lane].near.source_port)
            });
            translated
                .map(|(number, talk, path)| *first.entry((path.source, path.source_port, talk.transport as u8)).or_insert(number))
                .collect()
        };
        let lanes: Vec<usize> = (0..self.lanes.len()).filter(|lane| differences::maps_by_endpoint(self.lanes[*lane].datapath)).collect();
        for pair in lanes.windows(2) {
            ensure!(sharing(pair[0]) == sharing(pair[1]), "different conversations share an external endpoint");
        }
        Ok(())
    }
}
