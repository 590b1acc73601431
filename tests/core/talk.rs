//! Short ways to send frames and to say what must become of them.

use gateway_ebpf::abi::{DropReason, IfIndex, Reason};
use gateway_tests::frames::{Path, Seen, flag, hex};
use gateway_tests::site::{self, LAN_LEG, WAN_LEG};
use gateway_tests::world::World;

/// The remote that most tests talk to, beyond the default route.
pub const REMOTE: &str = "192.0.2.80";

/// From the first lan station to the remote's port 80.
pub fn outbound(source_port: u16) -> Path {
    site::path(LAN_LEG, "10.0.1.10", source_port, REMOTE, 80)
}

/// The frame leaves: through which leg, and what it is then. Every checksum is right and the TTL is one less.
pub fn sent(world: &mut World, mut frame: Vec<u8>, arrival: IfIndex) -> (IfIndex, Seen) {
    let before = Seen::of(&frame);
    let sent = world.tc(&mut frame, arrival).unwrap_or_else(|reason| panic!("{reason:?}: {}", hex(&frame)));
    let seen = Seen::sound(&frame);
    assert_eq!(seen.path.ttl, before.path.ttl - 1);
    assert_eq!(seen.payload, before.payload);
    if sent.resolved {
        assert_eq!(seen.path.source_mac, site::leg_mac(sent.egress), "it leaves with the leg's own MAC");
    }
    (sent.egress, seen)
}

/// The frame does not leave, is not touched, and leaves nothing behind.
pub fn refused(world: &mut World, frame: Vec<u8>, arrival: IfIndex) -> Reason {
    let before = world.snapshot();
    let reason = stopped(world, frame, arrival);
    assert!(world.snapshot() == before, "{reason:?} left something in a table");
    reason
}

/// The frame does not leave and is not touched; tables may have changed.
pub fn stopped(world: &mut World, frame: Vec<u8>, arrival: IfIndex) -> Reason {
    let mut copy = frame.clone();
    let reason = match world.tc(&mut copy, arrival) {
        Err(reason) => reason,
        Ok(sent) => panic!("forwarded to {:?}: {}", sent.egress, hex(&frame)),
    };
    assert_eq!(hex(&copy), hex(&frame), "{reason:?} touched the frame");
    assert!(world.counted(reason) > 0, "{reason:?} was not counted");
    reason
}

/// Asserts a drop of this reason that leaves nothing behind.
pub fn drops(world: &mut World, frame: Vec<u8>, arrival: IfIndex, reason: DropReason) {
    assert_eq!(refused(world, frame, arrival), Reason::Drop(reason));
}

/// A UDP packet and its answer; the path on the far side, as the remote sees it.
pub fn exchange_udp(world: &mut World, path: Path, arrival: IfIndex) -> (IfIndex, Path) {
    let (egress, there) = sent(world, path.udp(b"question"), arrival);
    let (back_leg, back) = sent(world, there.path.back().udp(b"answer"), egress);
    assert_eq!(back_leg, arrival);
    comes_back(&back, &path);
    (egress, there.path)
}

/// A TCP handshake; the path on the far side.
pub fn handshake(world: &mut World, path: Path, arrival: IfIndex) -> (IfIndex, Path) {
    let (egress, there) = sent(world, path.tcp(flag::SYN, b""), arrival);
    let (_, back) = sent(world, there.path.back().tcp(flag::SYN | flag::ACK, b""), egress);
    comes_back(&back, &path);
    let _ = sent(world, path.tcp(flag::ACK, b""), arrival);
    (egress, there.path)
}

/// A reply reaches exactly the endpoint that has sent the packet, from exactly the endpoint that it was sent to.
pub fn comes_back(reply: &Seen, origin: &Path) {
    let (source, destination) = (reply.path.source, reply.path.destination);
    assert_eq!((source, reply.path.source_port), (origin.destination, origin.destination_port));
    assert_eq!((destination, reply.path.destination_port), (origin.source, origin.source_port));
    assert_eq!(reply.path.destination_mac, origin.source_mac);
}

/// An established UDP flow from the lan to the remote.
pub fn established(world: &mut World) -> (Path, Path) {
    let path = outbound(5000);
    let (egress, there) = exchange_udp(world, path, LAN_LEG);
    assert_eq!(egress, WAN_LEG);
    (path, there)
}
