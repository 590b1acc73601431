//! What generator and sink counted, and whether that makes a run void.

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use gateway_ebpf::bench::{COUNTERS, Counter};

/// What was counted in one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Frames made.
    pub sent: u64,
    /// Right packets at the sink.
    pub received: u64,
    bad_checksum: u64,
    bad_header: u64,
    /// Right replies that came back.
    pub replies: u64,
    bad_replies: u64,
    /// The sums of the marks of what was sent, received, replied.
    marks: [u64; 3],
    /// One program at a time: repetitions that found the frame as the one before should have left it.
    pub left: u64,
}

impl Counts {
    /// All so far.
    ///
    /// # Errors
    /// When the object is another one.
    pub fn read(ebpf: &Ebpf) -> Result<Self> {
        let map: PerCpuArray<&MapData, [u64; COUNTERS]> = ebpf.map("COUNTERS").context("the bench's object lacks a map")?.try_into()?;
        let cpus = map.get(&0, 0)?;
        // Marks are sums that wrap.
        let read = |counter: Counter| cpus.iter().fold(0u64, |sum, counters| sum.wrapping_add(counters[counter as usize]));
        Ok(Self {
            sent: read(Counter::Sent),
            received: read(Counter::Received),
            bad_checksum: read(Counter::BadChecksum),
            bad_header: read(Counter::BadHeader),
            replies: read(Counter::Replies),
            bad_replies: read(Counter::BadReplies),
            marks: [Counter::SentMarks, Counter::ReceivedMarks, Counter::ReplyMarks].map(read),
            left: read(Counter::Left),
        })
    }

    /// What was counted after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let marks = |place: usize| self.marks[place].wrapping_sub(before.marks[place]);
        Self {
            sent: self.sent - before.sent,
            received: self.received - before.received,
            bad_checksum: self.bad_checksum - before.bad_checksum,
            bad_header: self.bad_header - before.bad_header,
            replies: self.replies - before.replies,
            bad_replies: self.bad_replies - before.bad_replies,
            marks: [0, 1, 2].map(marks),
            left: self.left - before.left,
        }
    }

    /// That no packet was wrong.
    ///
    /// # Errors
    /// When one was.
    pub fn judge_right(&self) -> Result<()> {
        let Self { bad_checksum, bad_header, bad_replies, .. } = *self;
        if bad_checksum + bad_header + bad_replies > 0 {
            bail!("wrong packets: {bad_checksum} by checksum, {bad_header} by header, {bad_replies} replies");
        }
        Ok(())
    }

    /// That so many packets were sent, and every one arrived, and right.
    ///
    /// # Errors
    /// When not: the run is void.
    pub fn judge(&self, packets: u32) -> Result<()> {
        let Self { sent, received, .. } = *self;
        if sent != u64::from(packets) {
            bail!("the generator made {sent} frames in place of {packets}");
        }
        self.judge_right()?;
        ensure!(received == sent, "{received} of {sent} packets arrived");
        self.judge_identity()
    }

    /// That what arrived is what was sent, which as many packets alone do not show.
    fn judge_identity(&self) -> Result<()> {
        let [sent, received, _] = self.marks;
        ensure!(received == sent, "as many packets arrived as were sent, {}, but some of them twice in place of others", self.received);
        Ok(())
    }

    /// That every packet was replied to, once.
    ///
    /// # Errors
    /// When not.
    pub fn judge_replies(&self) -> Result<()> {
        let Self { sent, replies, marks, .. } = *self;
        ensure!(replies == sent, "{replies} of {sent} replies came back");
        ensure!(marks[2] == marks[0], "as many replies came back as were due, {replies}, but some of them twice in place of others");
        Ok(())
    }

    /// How many packets did not arrive.
    ///
    /// # Errors
    /// When a packet arrived twice, which may hide that another one did not.
    pub fn lost(&self) -> Result<u64> {
        let Self { sent, received, .. } = *self;
        ensure!(received <= sent, "{received} packets arrived where {sent} were sent");
        if received == sent {
            self.judge_identity()?;
        }
        Ok(sent - received)
    }
}
