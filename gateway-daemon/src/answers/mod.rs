//! Answers to refused packets: the datapath says which packets deserve one and hands over their first bytes, the kernel routes what is
//! made of them here.

mod build;
mod limit;
mod send;

use std::net::IpAddr;
use std::time::Instant;

pub use build::{Answer, build};
pub use limit::{BURST, Limit, PER_SECOND};
pub use send::{SendError, Sender};

use gateway_ebpf::abi::Refused;

/// Makes answers, no more than [`PER_SECOND`], and sends them.
#[derive(Debug)]
pub struct Answers {
    sender: Sender,
    limit: Limit,
}

impl Answers {
    /// Opens the sockets, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Neither family has a socket; see [`Sender::open`].
    pub fn open() -> Result<Self, SendError> {
        Ok(Self { sender: Sender::open()?, limit: Limit::default() })
    }

    /// When the next answer may be sent; `None` when one may be at `now`.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        self.limit.ready_at(now)
    }

    /// Answers one refused packet. `own` is the gateway's address for ICMP errors, of the packet's family; a reset needs none. False when
    /// the limit does not allow another answer now, or the packet is one that cannot be answered.
    ///
    /// # Errors
    /// The kernel does not send it: it has no route back, or a filter of the machine forbids it.
    pub fn answer(&mut self, refused: &Refused, own: impl FnOnce(IpAddr) -> Option<IpAddr>, now: Instant) -> Result<bool, SendError> {
        let Some(answer) = build(refused, own) else { return Ok(false) };
        if !self.limit.take(now) {
            return Ok(false);
        }
        self.sender.send(&answer)?;
        Ok(true)
    }
}
