//! The kernel's connection tracking over ctnetlink: flows listed, ended, marked and made.
//!
//! Kernel side: net/netfilter/nf_conntrack_netlink.c, include/uapi/linux/netfilter/nfnetlink_conntrack.h. Answers are untrusted: an
//! entry without its tuples is left out, a message that is not framed as netlink is an error, and nothing panics.
//!
//! Unlike rtnetlink's, this connection blocks: a dump of 200,000 entries is 60 MB that the kernel produces only while somebody reads,
//! so an event loop would stand still for as long, and a queue of parsed messages would hold all of it twice. The daemon asks from a
//! blocking task; [`Conntrack`] keeps the namespace that it was opened in, whichever thread uses it.

mod attribute;
mod connection;
mod create;
mod encode;
mod entry;
mod parse;
mod socket;
#[cfg(test)]
mod tests;

pub use connection::{Conntrack, Mark, Stats};
pub use create::{Created, NewEntry};
pub use entry::{Counters, Endpoints, Entry, EntryId, IcmpQuery, IpProtocol, Status, TcpState, Tuple};
