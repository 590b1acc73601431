//! The kernel's connection tracking over ctnetlink: flows listed, ended, marked and made.
//!
//! Kernel side: net/netfilter/nf_conntrack_netlink.c, include/uapi/linux/netfilter/nfnetlink_conntrack.h. Answers are untrusted: an
//! entry without its tuples is left out, a message that is not framed as netlink is an error, and nothing panics.
//!
//! Unlike rtnetlink's, this connection blocks, as does the daemon's loop for so long: the kernel produces a dump only while somebody reads,
//! half a second for 200,000 entries (60 MB), and a queue of parsed messages would hold all of it twice.

mod attribute;
mod connection;
mod create;
mod encode;
mod entry;
mod parse;
mod socket;
#[cfg(test)]
mod tests;

pub use connection::{Conntrack, Stats};
pub use create::{Created, NewEntry};
pub use entry::{Counters, Endpoints, Entry, EntryId, IcmpQuery, IpProtocol, Mark, Status, TcpState, Tuple};
