//! What generator and sink counted, and whether that makes a run void.

use anyhow::{Context, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use gateway_ebpf::bench::Counter;

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
}

impl Counts {
    /// All so far.
    ///
    /// # Errors
    /// When the object is another one.
    pub fn read(ebpf: &Ebpf) -> Result<Self> {
        let map: PerCpuArray<&MapData, u64> = ebpf.map("COUNTERS").context("the bench's object lacks a map")?.try_into()?;
        let read = |counter: Counter| -> Result<u64> { Ok(map.get(&(counter as u32), 0)?.iter().sum()) };
        Ok(Self {
            sent: read(Counter::Sent)?,
            received: read(Counter::Received)?,
            bad_checksum: read(Counter::BadChecksum)?,
            bad_header: read(Counter::BadHeader)?,
            replies: read(Counter::Replies)?,
            bad_replies: read(Counter::BadReplies)?,
        })
    }

    /// What was counted after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            received: self.received - before.received,
            bad_checksum: self.bad_checksum - before.bad_checksum,
            bad_header: self.bad_header - before.bad_header,
            replies: self.replies - before.replies,
            bad_replies: self.bad_replies - before.bad_replies,
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
        Ok(())
    }
}
