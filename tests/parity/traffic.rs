//! Conversations that a gateway sees, and what can go wrong with their frames.

use fastrand::Rng;
use gateway_ebpf::abi::IfIndex;
use gateway_tests::frames::{Path, Seen, address, flag, repair};
use gateway_tests::site::{self, DMZ_LEG, LAN_LEG, LEGS, WAN_LEG};

/// Conversations under way at once.
const TALKS: usize = 40;

/// A frame to send.
pub struct Shot {
    /// The frame.
    pub frame: Vec<u8>,
    /// Where it arrives.
    pub arrival: IfIndex,
    /// GSO segment size as tc sees it; 0 for an ordinary frame.
    pub gso_size: u16,
    /// The conversation, when the frame is its own first direction and unharmed: its far side may be learned.
    learn: Option<usize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
    Echo,
}

struct Talk {
    kind: Kind,
    path: Path,
    leg: IfIndex,
    far: Option<(IfIndex, Path)>,
    step: u32,
}

/// Many conversations, mixed.
pub struct Traffic {
    rng: Rng,
    talks: Vec<Talk>,
    harm_percent: u8,
}

impl Traffic {
    /// Traffic of a seed; so many of a hundred frames are harmed.
    #[must_use]
    pub fn new(seed: u64, harm_percent: u8) -> Self {
        let mut rng = Rng::with_seed(seed);
        let talks = (0..TALKS).map(|_| talk(&mut rng)).collect();
        Self { rng, talks, harm_percent }
    }

    /// The source of chance, for decisions around the traffic.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The next frame.
    pub fn next(&mut self) -> Shot {
        let rng = &mut self.rng;
        let n = rng.usize(..self.talks.len());
        if rng.u8(..100) < 2 {
            self.talks[n] = talk(rng);
        }
        let talk = &mut self.talks[n];
        let far = talk.far.filter(|_| talk.step % 2 == 1 || rng.u8(..4) == 0);
        let (path, arrival, reply) = match far {
            Some((leg, path)) => (path.back(), leg, true),
            None => (talk.path, talk.leg, false),
        };
        if talk.far.is_none() {
            // Nothing came through so far: it begins again.
            talk.step = 0;
        }
        let frame = frame(rng, talk.kind, &path, talk.step, reply);
        talk.step += 1;
        let mut shot = Shot { frame, arrival, gso_size: 0, learn: (!reply).then_some(n) };
        if rng.u8(..100) < self.harm_percent {
            harm(rng, &mut shot);
            shot.learn = None;
        }
        shot
    }

    /// Tells what became of a frame that was forwarded.
    pub fn forwarded(&mut self, shot: &Shot, frame: &[u8], egress: IfIndex) {
        if let Some(n) = shot.learn {
            self.talks[n].far = Some((egress, Seen::of(frame).path));
        }
    }
}

fn talk(rng: &mut Rng) -> Talk {
    let kind = [Kind::Tcp, Kind::Udp, Kind::Echo][rng.usize(..3)];
    let host = 10 + rng.u8(..4);
    let source_port = if rng.u8(..5) == 0 { rng.u16(1..1024) } else { rng.u16(1024..) };
    let port = [22, 53, 80, 443, 8443, 3389][rng.usize(..6)];
    let forwarded = if rng.u8(..8) == 0 {
        port
    } else if matches!(kind, Kind::Udp) {
        53
    } else {
        8443
    };
    let remote = format!("192.0.2.{}", rng.u8(1..20));
    let (leg, source, destination) = match rng.u8(..14) {
        0..=3 | 11 | 12 => (LAN_LEG, format!("10.0.1.{host}"), remote),
        4 => (LAN_LEG, format!("10.0.1.{host}"), format!("10.0.2.{}", 10 + rng.u8(..3))),
        5 => (LAN_LEG, format!("10.0.1.{host}"), "203.0.113.20".to_owned()),
        6 | 7 => (WAN_LEG, remote, "203.0.113.1".to_owned()),
        8 => (WAN_LEG, remote, "10.0.2.10".to_owned()),
        9 => (LAN_LEG, format!("fd00:1::1{}", rng.u8(..2)), format!("2001:db8:ffff::{}", rng.u8(1..9))),
        10 => (LAN_LEG, format!("fd00:1::1{}", rng.u8(..2)), format!("fd00:2::1{}", rng.u8(..2))),
        _ => (DMZ_LEG, "10.0.2.10".to_owned(), remote),
    };
    let port = match kind {
        Kind::Echo => 0,
        _ if destination == "203.0.113.1" => forwarded,
        _ => port,
    };
    let path = site::path(leg, &source, source_port, &destination, port);
    Talk { kind, path, leg, far: None, step: 0 }
}

fn frame(rng: &mut Rng, kind: Kind, path: &Path, step: u32, reply: bool) -> Vec<u8> {
    let length = if rng.u8(..20) == 0 { rng.usize(1200..1480) } else { rng.usize(..64) };
    let payload: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
    let v4 = path.source.is_ipv4();
    match kind {
        Kind::Tcp => {
            let flags = match (step, reply) {
                (0, _) => flag::SYN,
                (_, true) if step < 4 => flag::SYN | flag::ACK,
                _ => [flag::ACK, flag::ACK, flag::ACK | flag::PSH, flag::ACK, flag::FIN | flag::ACK, flag::RST, flag::SYN][pick(rng)],
            };
            path.tcp(flags, if flags & flag::SYN == 0 { &payload } else { b"" })
        }
        Kind::Udp if v4 && rng.u8(..8) == 0 => path.udp_without_checksum(&payload),
        Kind::Udp => path.udp(&payload),
        Kind::Echo if reply => path.echo_reply(&payload),
        Kind::Echo => path.echo_request(&payload),
    }
}

/// Mostly data; an end now and then.
fn pick(rng: &mut Rng) -> usize {
    if rng.u8(..25) > 0 { rng.usize(..4) } else { rng.usize(4..7) }
}

fn harm(rng: &mut Rng, shot: &mut Shot) {
    let frame = &mut shot.frame;
    match rng.u8(..16) {
        0..=3 => {
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(6..frame.len().min(80));
                frame[at] ^= 1 << rng.u8(..8);
            }
        }
        4 => frame.truncate(rng.usize(14..frame.len())),
        5 => frame.extend(std::iter::repeat_with(|| rng.u8(..)).take(20)),
        6 => {
            let ttl = if frame[12] == 8 { 22 } else { 21 };
            set(frame, ttl, rng.u8(..3));
        }
        7 => set(frame, [14, 15, 16, 17, 18, 19, 20, 21, 23][rng.usize(..9)], rng.u8(..)),
        8 => {
            let at = if frame[12] == 8 { 34 } else { 54 };
            set(frame, at + rng.usize(..20), rng.u8(..));
        }
        9 => options(rng, frame),
        10 => extensions(rng, frame),
        11 => {
            let tag = [[0x81, 0, 0, 7], [0x81, 0, 0, 0], [0x88, 0xa8, 0, 9]][rng.usize(..3)];
            for _ in 0..rng.usize(1..4) {
                frame.splice(12..12, tag);
            }
        }
        12 => shot.arrival = if rng.u8(..5) == 0 { IfIndex(1) } else { LEGS[rng.usize(..4)].index },
        13 => frame[..6].fill(rng.u8(..)),
        14 => shot.gso_size = rng.u16(1..1500),
        _ => {
            let own = [address("10.0.1.1"), address("203.0.113.1"), address("10.0.2.10"), address("127.0.0.1"), address("224.0.0.5")];
            if let (8, std::net::IpAddr::V4(v4)) = (frame[12], own[rng.usize(..5)]) {
                let at = if rng.bool() { 26 } else { 30 };
                frame[at..at + 4].copy_from_slice(&v4.octets());
            }
        }
    }
    if rng.u8(..10) < 7 {
        repair(&mut shot.frame);
    }
}

fn set(frame: &mut [u8], at: usize, value: u8) {
    if let Some(byte) = frame.get_mut(at) {
        *byte = value;
    }
}

/// Random IPv4 options of one to ten words.
fn options(rng: &mut Rng, frame: &mut Vec<u8>) {
    if frame[12] != 8 {
        return;
    }
    let words = rng.u8(1..=10);
    let kinds = [0, 1, 7, 68, 130, 131, 137, 148];
    let bytes: Vec<u8> = (0..words * 4).map(|_| if rng.bool() { kinds[rng.usize(..8)] } else { rng.u8(..6) }).collect();
    frame.splice(34..34, bytes);
    frame[14] = 0x40 | (5 + words);
    let total = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
}

/// Random IPv6 extension headers.
fn extensions(rng: &mut Rng, frame: &mut Vec<u8>) {
    if frame[12] != 0x86 {
        return;
    }
    for _ in 0..rng.usize(1..9) {
        let next = frame[20];
        let kind = [0, 43, 44, 51, 60, 60, 60, 135][rng.usize(..8)];
        let length = rng.u8(..2);
        let mut header = vec![0; 8 * (usize::from(length) + 1)];
        (header[0], header[1], header[2], header[3]) = (next, length, rng.u8(..3), rng.u8(..2));
        frame.splice(54..54, header);
        frame[20] = kind;
    }
    let payload = (frame.len() - 54) as u16;
    frame[18..20].copy_from_slice(&payload.to_be_bytes());
}
