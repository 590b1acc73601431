//! A case under way: its conversations, and what has been said.

use std::collections::HashMap;

use gateway_tests::frames::Path;

use crate::answers::About;
use crate::case::Seen;
use crate::policy::Policy;
use crate::talk::{Side, Talk, Word};
use crate::traffic::Transport;

/// A case under way.
pub struct Run {
    /// Every conversation so far.
    pub talks: Vec<Talk>,
    /// Which policy is in force: the first or the second.
    pub phase: usize,
    /// The policy in force.
    pub policy: Policy,
    /// What was seen.
    pub seen: Seen,
    /// What was said, and what came of it.
    pub log: Vec<String>,
    /// Open conversations are having their first words under the second policy.
    pub meeting: bool,
    /// The change of the policy may have changed translations.
    pub translates: bool,
    /// The last payload of these.
    pub met: u32,
    /// The conversation of each payload.
    pub numbers: HashMap<u32, usize>,
}

impl Run {
    /// Nothing said yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            talks: Vec::new(),
            phase: 0,
            policy,
            seen: Seen::default(),
            log: Vec::new(),
            meeting: false,
            translates: false,
            met: 0,
            numbers: HashMap::new(),
        }
    }

    /// The open conversations.
    pub fn open(&self) -> Vec<usize> {
        (0..self.talks.len()).filter(|talk| self.talks[*talk].is_open()).collect()
    }

    /// One of the open conversations.
    pub fn pick(&self, of: u8) -> Option<usize> {
        let open = self.open();
        open.get(usize::from(of) % open.len().max(1)).copied()
    }

    /// The conversation that was answered in a lane.
    pub fn answered(&self, lane: usize, about: About) -> Option<usize> {
        let ends = |path: Path| (path.source, path.source_port, path.destination, path.destination_port);
        match about {
            // What was answered while flows were ended is like the counters: see `differences::count_endings_alike`.
            About::Packet(number) => self.numbers.get(&number).copied().filter(|_| number > self.met),
            About::Path(path) => self.talks.iter().position(|talk| {
                if talk.phase < self.phase {
                    return false;
                }
                let mut sent = [Side::Near, Side::Far].into_iter().filter_map(|side| talk.path(lane, side));
                talk.transport == Transport::Tcp && sent.any(|(_, sent)| ends(sent) == ends(path.back()))
            }),
        }
    }

    /// The conversation between these ends.
    pub fn talk(&mut self, new: Talk) -> Option<usize> {
        let same = |old: &Talk| {
            let (a, b) = (old.ends[0].near, new.ends[0].near);
            old.transport == new.transport && Path { ttl: 0, ..a } == Path { ttl: 0, ..b } && old.leg == new.leg
        };
        if let Some(old) = self.talks.iter().position(same) {
            return (self.talks[old].first == new.first && !self.talks[old].has_ended()).then_some(old);
        }
        self.talks.push(new);
        Some(self.talks.len() - 1)
    }

    /// A word in words.
    pub fn describe(&self, talk: usize, side: Side, word: Word, path: &Path) -> String {
        let Path { source, source_port, destination, destination_port, ttl, .. } = path;
        let transport = self.talks[talk].transport;
        format!("talk {talk}, {side:?} {word:?}: {transport:?} {source} {source_port} -> {destination} {destination_port}, ttl {ttl}")
    }
}
