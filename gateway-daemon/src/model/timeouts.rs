//! `[timeouts]`, with the RFCs' defaults.

use std::time::Duration;

/// How long a flow may be idle in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `tcp-established`: RFC 5382 REQ-5 asks for at least 2 h 4 min.
    pub tcp_established: Duration,
    /// `tcp-opening`: RFC 7857 section 2.1, 4 min.
    pub tcp_opening: Duration,
    /// `tcp-closing`: RFC 5382 REQ-5 asks for at least 4 min; also after RST (RFC 7857 section 2.2).
    pub tcp_closing: Duration,
    /// `udp`: RFC 4787 REQ-5 asks for at least 2 min and recommends 5 min.
    pub udp: Duration,
    /// `icmp`: RFC 5508 REQ-2 asks for at least 60 s.
    pub icmp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(2 * 3600 + 4 * 60),
            tcp_opening: Duration::from_secs(4 * 60),
            tcp_closing: Duration::from_secs(4 * 60),
            udp: Duration::from_secs(5 * 60),
            icmp: Duration::from_secs(60),
        }
    }
}
