//! What the kernel counted at both ends: segments that were wrong, and segments that were sent again.

use anyhow::{Context, Result, ensure};
use gateway_tests::Namespace;

/// Sums over both ends, since they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received with a wrong checksum: TCP's own or the IP header's (where `Ip: InHdrErrors` counts other faults of the header too).
    wrong: u64,
    /// Sent once more.
    again: u64,
}

impl Counters {
    /// What the ends' kernels say now.
    ///
    /// # Errors
    /// When they do not.
    pub fn read(ends: [&Namespace; 2]) -> Result<Self> {
        let mut sum = Self::default();
        for end in ends {
            let text = end.within(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))?.context("no counters of the network")?;
            let Self { wrong, again } = Self::parse(&text)?;
            sum = Self { wrong: sum.wrong + wrong, again: sum.again + again };
        }
        Ok(sum)
    }

    /// Out of `/proc/net/snmp`: for each protocol a line of names and one of values.
    ///
    /// # Errors
    /// When one of the counts is not there.
    pub fn parse(text: &str) -> Result<Self> {
        let value = |protocol: &str, name: &str| -> Result<u64> {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
            let place = lines.next().and_then(|names| names.split_whitespace().position(|found| found == name));
            let value = place.and_then(|place| lines.next()?.split_whitespace().nth(place)?.parse().ok());
            value.with_context(|| format!("/proc/net/snmp has no {name} of {protocol}"))
        };
        Ok(Self { wrong: value("Tcp", "InCsumErrors")? + value("Ip", "InHdrErrors")?, again: value("Tcp", "RetransSegs")? })
    }

    /// How many segments were sent again after `before`.
    ///
    /// # Errors
    /// When a wrong one was received meanwhile: the run is void.
    pub fn judge(self, before: Self) -> Result<u64> {
        let wrong = self.wrong - before.wrong;
        ensure!(wrong == 0, "{wrong} segments were received with a wrong checksum");
        Ok(self.again - before.again)
    }
}
