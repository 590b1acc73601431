//! What a port lets through that is not its own, found out by trying. Nobody's address is used, and nobody's entry is overwritten: the
//! foreign address is one that nobody has, and the foreign MAC asks from the unspecified address, which nobody remembers.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::frame::{self, Heard};
use super::wire::Wire;
use crate::doctor::DoctorError;
use crate::inventory::Mac;

/// Attempts per question: a lost frame is not yet a filter.
const ATTEMPTS: u16 = 4;
/// For the answer to each. A peer on the same link needs less than one millisecond; a busy one, or one that has to resolve us first, more.
const PATIENCE: Duration = Duration::from_millis(350);

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// It was seen to pass.
    Yes,
    /// It was not, while what is the port's own passes.
    No,
    /// It could not be tried.
    Unknown,
}

/// What a port lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Who answered.
    pub peer: Ipv4Addr,
    /// The foreign address.
    pub foreign: Ipv4Addr,
    /// The foreign MAC.
    pub foreign_mac: Mac,
    /// Packets from a foreign address get out.
    pub source: Passes,
    /// Packets to a foreign address come in.
    pub destination: Passes,
    /// Frames from a foreign MAC get out, and their answers come in.
    pub mac: Passes,
    /// What was sent, and what came.
    pub evidence: Vec<String>,
}

/// Who stands where.
#[derive(Clone, Copy, Debug)]
pub struct Parties {
    /// The port's own address; `None` where it has none yet.
    pub own: Option<Ipv4Addr>,
    /// Somebody who answers ARP, and his MAC.
    pub peer: (Ipv4Addr, Mac),
    /// An address on the same link that nobody has.
    pub foreign: Ipv4Addr,
    /// A MAC that nobody has.
    pub foreign_mac: Mac,
    /// The peer also answers probes from the unspecified address.
    pub probes_pass: bool,
}

/// Tries it all, in at most some five seconds.
///
/// # Errors
/// [`DoctorError::Probe`]
pub fn security(wire: &mut Wire, parties: &Parties) -> Result<Security, DoctorError> {
    let (peer, foreign) = (parties.peer.0, parties.foreign);
    let mut security = Security {
        peer,
        foreign,
        foreign_mac: parties.foreign_mac,
        source: Passes::Unknown,
        destination: Passes::Unknown,
        mac: Passes::Unknown,
        evidence: Vec::new(),
    };
    let pings = match parties.own {
        Some(own) => echo(wire, parties, own)?.answered,
        None => false,
    };
    if pings {
        let echo = echo(wire, parties, foreign)?;
        security.source = if echo.asked || echo.answered { Passes::Yes } else { Passes::No };
        security.destination = match (echo.answered, echo.asked) {
            (true, _) => Passes::Yes,
            (false, true) => Passes::No,
            (false, false) => Passes::Unknown,
        };
        security.evidence.push(match (security.source, echo.answered) {
            (Passes::No, _) => format!("{peer} answers a ping from our own address, but not one from {foreign}, which nobody has"),
            (_, false) => format!("{peer} asked for {foreign} when pinged from it, but its answer to {foreign} did not arrive"),
            _ => format!("{peer} answered a ping from {foreign}, which is not ours"),
        });
        if security.source == Passes::No && arp_from(wire, parties)? == Some(Passes::Yes) {
            security.evidence.push(format!(
                "but it answers an ARP request from {foreign}: what is filtered is IP, which a platform may do, or {peer} itself"
            ));
        }
    } else if let Some(passes) = arp_from(wire, parties)? {
        security.source = passes;
        security.evidence.push(match passes {
            Passes::Yes => format!("{peer} answers an ARP request from {foreign}, which is not ours (it answers no ping, so that is all)"),
            _ => format!("{peer} answers ARP requests from our own address, but none from {foreign}, which nobody has"),
        });
    }
    security.mac = foreign_mac(wire, parties, security.source)?;
    match security.mac {
        Passes::Yes => {
            security.evidence.push(format!("{peer} answered a frame from the MAC {}, which is not ours", show(parties.foreign_mac)))
        }
        Passes::No => security.evidence.push(format!(
            "{peer} answers the same ARP request from our own MAC, but not from {}, which nobody has",
            show(parties.foreign_mac)
        )),
        Passes::Unknown => {}
    }
    Ok(security)
}

struct Echo {
    asked: bool,
    answered: bool,
}

/// Pings the peer from `from`, and speaks for that address while it is asked for.
fn echo(wire: &mut Wire, parties: &Parties, from: Ipv4Addr) -> Result<Echo, DoctorError> {
    let own = wire.mac();
    let identifier = u16::from_be_bytes([parties.foreign_mac.0[4], parties.foreign_mac.0[5]]);
    let speaks_for = (Some(from) != parties.own).then_some(from);
    let mut echo = Echo { asked: false, answered: false };
    for sequence in 0..ATTEMPTS {
        wire.send(&frame::echo_request((own, from), (parties.peer.1, parties.peer.0), identifier, sequence))?;
        wire.listen(Instant::now() + PATIENCE, |bytes, answers| {
            match frame::read(bytes) {
                Some(Heard::Asks { address, asker, mac }) if Some(address) == speaks_for && asker == parties.peer.0 => {
                    echo.asked = true;
                    answers.push(frame::arp_reply(own, address, (mac, asker)));
                }
                Some(Heard::Echo { from: peer, to, id }) if peer == parties.peer.0 && to == from && id == identifier => {
                    echo.answered = true;
                    return ControlFlow::Break(());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        if echo.answered {
            break;
        }
    }
    Ok(echo)
}

/// Asks for the peer from the foreign address. `None`: the peer does not answer us either.
fn arp_from(wire: &mut Wire, parties: &Parties) -> Result<Option<Passes>, DoctorError> {
    let own = wire.mac();
    if answers(wire, &frame::arp_request(own, parties.foreign, parties.peer.0), parties, parties.foreign, own)? {
        return Ok(Some(Passes::Yes));
    }
    // Is it still there?
    let control = match parties.own {
        Some(address) => address,
        None if parties.probes_pass => Ipv4Addr::UNSPECIFIED,
        None => return Ok(None),
    };
    let there = answers(wire, &frame::arp_request(own, control, parties.peer.0), parties, control, own)?;
    Ok(there.then_some(Passes::No))
}

fn foreign_mac(wire: &mut Wire, parties: &Parties, source: Passes) -> Result<Passes, DoctorError> {
    // From the unspecified address nobody learns anything. Where such probes are dropped, the foreign address serves, if it passes.
    let sender = match (parties.probes_pass, source) {
        (true, _) => Ipv4Addr::UNSPECIFIED,
        (false, Passes::Yes) => parties.foreign,
        (false, _) => return Ok(Passes::Unknown),
    };
    let own = wire.mac();
    let foreign = parties.foreign_mac;
    if answers(wire, &frame::arp_request(foreign, sender, parties.peer.0), parties, sender, foreign)? {
        return Ok(Passes::Yes);
    }
    let there = answers(wire, &frame::arp_request(own, sender, parties.peer.0), parties, sender, own)?;
    Ok(if there { Passes::No } else { Passes::Unknown })
}

/// Sends an ARP request, up to [`ATTEMPTS`] times, until the peer answers it to `to`.
fn answers(wire: &mut Wire, request: &[u8], parties: &Parties, sender: Ipv4Addr, to: Mac) -> Result<bool, DoctorError> {
    let mut answered = false;
    for _ in 0..ATTEMPTS {
        wire.send(request)?;
        wire.listen(Instant::now() + PATIENCE, |bytes, _| match frame::read(bytes) {
            Some(Heard::Has { address, asker, to: receiver, .. }) if address == parties.peer.0 && asker == sender && receiver == to => {
                answered = true;
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })?;
        if answered {
            break;
        }
    }
    Ok(answered)
}

/// As people write it.
#[must_use]
pub fn show(mac: Mac) -> String {
    mac.0.map(|byte| format!("{byte:02x}")).join(":")
}
