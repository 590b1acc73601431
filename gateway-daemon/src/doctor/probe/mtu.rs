//! How large packets may be on the way to a peer and back: pings that must not be fragmented, by the kernel's own routes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recvfrom, sendto, socket_with};

/// Sizes that links have, in bytes: jumbo frames, Ethernet, PPPoE, tunnels over it, IPv6's least, IPv4's.
const LADDER: [u32; 20] =
    [9216, 9000, 8942, 8900, 4096, 1500, 1492, 1480, 1462, 1450, 1442, 1420, 1400, 1392, 1370, 1350, 1300, 1280, 1000, 576];
/// What every path carries; answered at all?
const SMALL: u32 = 100;
/// Rounds per question.
const ATTEMPTS: u32 = 3;
/// For an answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// Between two packets of a round, so that none is lost in a short queue.
const PACE: Duration = Duration::from_millis(1);

/// The way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// No answer to a small ping.
    Silent,
    /// As much as the interface sends.
    Full,
    /// Less, and the sender is told.
    Announced {
        /// The largest packet that was answered, in bytes.
        largest: u32,
        /// Who says so, and what he says.
        by: (IpAddr, u32),
    },
    /// Less, and nobody says so.
    BlackHole {
        /// The largest packet that was answered, in bytes.
        largest: u32,
    },
}

/// One of our addresses, from which the kernel sends to the peer.
///
/// # Errors
/// There is no route.
pub fn source(peer: IpAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    // Nothing is sent; port 9 is "discard" (RFC 863).
    socket.connect(SocketAddr::new(peer, 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Measures the path; `mtu` is the interface's, in bytes. At most some five seconds.
///
/// # Errors
/// The kernel gives no raw socket.
pub fn path(peer: IpAddr, mtu: u32) -> io::Result<Path> {
    let mut prober = Prober::open(peer)?;
    if prober.answered(&BTreeSet::from([SMALL]))?.is_none() {
        return Ok(Path::Silent);
    }
    prober.too_big = None;
    if prober.answered(&BTreeSet::from([mtu]))?.is_some() {
        return Ok(Path::Full);
    }
    let largest = prober.largest_below(mtu)?;
    Ok(match prober.too_big {
        Some(by) => Path::Announced { largest, by },
        None => Path::BlackHole { largest },
    })
}

struct Prober {
    socket: OwnedFd,
    peer: IpAddr,
    id: u16,
    /// Who said that a packet was too big, and what would fit.
    too_big: Option<(IpAddr, u32)>,
}

impl Prober {
    fn open(peer: IpAddr) -> io::Result<Self> {
        let (family, protocol) = match peer {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))?;
        // Don't fragment, and don't believe what the kernel has learned of the path: that is to be measured.
        match peer {
            IpAddr::V4(_) => sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
            IpAddr::V6(_) => sockopt::set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
        }
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(20)))?;
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self { socket, peer, id: u16::from_be_bytes(id), too_big: None })
    }

    /// The largest packet below `mtu` that is answered: first a ladder of usual sizes, then every size in the gap.
    fn largest_below(&mut self, mtu: u32) -> io::Result<u32> {
        let ladder: BTreeSet<u32> = LADDER.into_iter().filter(|size| *size < mtu).collect();
        let low = self.answered(&ladder)?.unwrap_or(SMALL);
        let high = ladder.iter().copied().find(|size| *size > low).unwrap_or(mtu);
        // A gap as wide as between jumbo sizes is halved until it can be sent in one go.
        let (mut low, mut high) = (low, high);
        while high - low > 64 {
            let middle = low + (high - low) / 2;
            match self.answered(&BTreeSet::from([middle]))? {
                Some(_) => low = middle,
                None => high = middle,
            }
        }
        let gap: BTreeSet<u32> = (low + 1..high).collect();
        Ok(if gap.is_empty() { low } else { self.answered(&gap)?.unwrap_or(low) })
    }

    /// Sends a packet of each size, and gives the largest that is answered. Sizes that are not answered are tried again.
    fn answered(&mut self, sizes: &BTreeSet<u32>) -> io::Result<Option<u32>> {
        let mut largest = None;
        for _ in 0..ATTEMPTS {
            let sent: Vec<u32> = sizes.iter().copied().filter(|size| Some(*size) > largest).collect();
            for size in &sent {
                self.send(*size)?;
                std::thread::sleep(PACE);
            }
            let until = Instant::now() + PATIENCE;
            while Instant::now() < until && largest < sent.last().copied() {
                if let Some(size) = self.receive()?.filter(|size| sizes.contains(size)) {
                    largest = largest.max(Some(size));
                }
            }
            if largest == sizes.last().copied() {
                break;
            }
        }
        Ok(largest)
    }

    /// An echo request that makes an IP packet of `size` bytes; the size is its sequence number.
    fn send(&self, size: u32) -> io::Result<()> {
        let echo = IcmpEchoHeader { id: self.id, seq: u16::try_from(size).unwrap_or(u16::MAX) };
        let payload = |header: usize| vec![0; (size as usize).saturating_sub(header + 8)];
        let message = match self.peer {
            IpAddr::V4(_) => {
                let payload = payload(20);
                [&Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), &payload).to_bytes()[..], &payload].concat()
            }
            // The checksum is the kernel's to compute (RFC 3542 section 3.1).
            IpAddr::V6(_) => [&Icmpv6Header::new(Icmpv6Type::EchoRequest(echo)).to_bytes()[..], &payload(40)].concat(),
        };
        let sent = match self.peer {
            IpAddr::V4(peer) => sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrV4::new(peer, 0)),
            IpAddr::V6(peer) => sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrV6::new(peer, 0, 0, 0)),
        };
        match sent {
            // What cannot be sent is not answered; and an error of an earlier packet is reported at the next one.
            Ok(_) | Err(rustix::io::Errno::MSGSIZE | rustix::io::Errno::HOSTUNREACH | rustix::io::Errno::NOBUFS) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The size that one received message answers; `None` where it is something else, or nothing came.
    fn receive(&mut self) -> io::Result<Option<u32>> {
        let mut buffer = [0; 16 * 1024];
        let (length, from) = match recvfrom(&self.socket, &mut buffer, RecvFlags::empty()) {
            Ok((length, _, Some(from))) => (length, SocketAddr::try_from(from).ok().map(|from| from.ip())),
            Ok(_) => return Ok(None),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::HOSTUNREACH | rustix::io::Errno::MSGSIZE) => {
                return Ok(None);
            }
            Err(errno) => return Err(errno.into()),
        };
        let Some(from) = from else { return Ok(None) };
        match read(&buffer[..length], self.peer, from, self.id) {
            Some(Answer::Echo(size)) => Ok(Some(size)),
            Some(Answer::TooBig(fits)) => {
                self.too_big.get_or_insert((from, fits));
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Echo(u32),
    TooBig(u32),
}

/// Reads a message of a raw socket; of IPv4 with the IP header.
fn read(bytes: &[u8], peer: IpAddr, from: IpAddr, id: u16) -> Option<Answer> {
    let short = |at: usize, bytes: &[u8]| bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes);
    let (icmp, reply, errors) = match peer {
        IpAddr::V4(_) => (bytes.get(usize::from(bytes.first()? & 15) * 4..)?, 0, (3, Some(4))),
        IpAddr::V6(_) => (bytes, 129, (2, None)),
    };
    let kind = *icmp.first()?;
    if kind == reply && from == peer && short(4, icmp)? == id {
        return Some(Answer::Echo(u32::from(short(6, icmp)?)));
    }
    if kind != errors.0 || errors.1.is_some_and(|code| icmp.get(1) != Some(&code)) {
        return None;
    }
    // The quoted packet must be one of ours.
    let quoted = icmp.get(8..)?;
    match peer {
        IpAddr::V4(peer) => {
            let inner = quoted.get(usize::from(quoted.first()? & 15) * 4..)?;
            let ours = quoted.get(16..20)? == peer.octets() && short(4, inner)? == id;
            ours.then_some(Answer::TooBig(u32::from(short(6, icmp)?)))
        }
        IpAddr::V6(peer) => {
            let ours = quoted.get(24..40)? == peer.octets();
            let fits = icmp.get(4..8)?.try_into().map(u32::from_be_bytes).ok()?;
            ours.then_some(Answer::TooBig(fits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 254));

    fn header(to: [u8; 4]) -> Vec<u8> {
        [&[0x45][..], &[0; 15], &to].concat()
    }

    #[test]
    fn answers_and_errors_are_told_from_those_of_others() {
        let echo = [&header([10, 0, 0, 2])[..], &[0, 0, 0, 0, 0x12, 0x34, 5, 220]].concat();
        assert_eq!(read(&echo, PEER, PEER, 0x1234), Some(Answer::Echo(1500)));
        assert_eq!(read(&echo, PEER, ROUTER, 0x1234), None);
        assert_eq!(read(&echo, PEER, PEER, 0x1235), None);
        let quoted = [&header([10, 0, 0, 1])[..], &[8, 0, 0, 0, 0x12, 0x34, 5, 220]].concat();
        let error = [&header([10, 0, 0, 2])[..], &[3, 4, 0, 0, 0, 0, 5, 162], &quoted].concat();
        assert_eq!(read(&error, PEER, ROUTER, 0x1234), Some(Answer::TooBig(1442)));
        assert_eq!(read(&error, PEER, ROUTER, 0x1235), None, "somebody else's ping");
        for length in 0..error.len() - 4 {
            assert_eq!(read(&error[..length], PEER, ROUTER, 0x1234), None, "{length}");
        }
    }
}
