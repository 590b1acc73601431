//! What a port lets through that is not its own, found out by trying. Nobody's address is used, and nobody's entry is overwritten: the
//! foreign address is one that nobody has, and the foreign MAC asks from the unspecified address, which nobody remembers.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::family::{Address, Family};
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
    pub peer: IpAddr,
    /// The foreign address.
    pub foreign: IpAddr,
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

impl Security {
    /// What was tried with.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.peer.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// Who stands where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parties<A> {
    /// The port's own address; `None` where it has none yet.
    pub(super) own: Option<A>,
    /// Somebody who answers ARP or solicitations, and his MAC.
    pub(super) peer: (A, Mac),
    /// An address on the same link that nobody has.
    pub(super) foreign: A,
    /// A MAC that nobody has.
    pub(super) foreign_mac: Mac,
    /// The foreign MAC is to be tried too: it needs to be once only.
    pub(super) try_mac: bool,
    /// The peer also answers probes from the unspecified address.
    pub(super) probes_pass: bool,
}

/// Tries it all, in at most some five seconds.
///
/// # Errors
/// [`DoctorError::Probe`]
pub(super) fn security<A: Address>(wire: &mut Wire, parties: &Parties<A>) -> Result<Security, DoctorError> {
    let (peer, foreign) = (parties.peer.0, parties.foreign);
    let mut security = Security {
        peer: peer.into(),
        foreign: foreign.into(),
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
        if security.source == Passes::No && asked_from(wire, parties)? == Some(Passes::Yes) {
            security.evidence.push(format!(
                "but it answers {} from {foreign}: what is filtered is IP, which a platform may do, or {peer} itself",
                A::ASKING
            ));
        }
    } else if let Some(passes) = asked_from(wire, parties)? {
        security.source = passes;
        security.evidence.push(match passes {
            Passes::Yes => format!("{peer} answers {} from {foreign}, which is not ours (it answers no ping, so that is all)", A::ASKING),
            _ => format!("{peer} answers {} from our own address, but not from {foreign}, which nobody has", A::ASKING),
        });
    }
    if parties.try_mac {
        security.mac = foreign_mac(wire, parties, security.source)?;
    }
    match security.mac {
        Passes::Yes => {
            security.evidence.push(format!("{peer} answered a frame from the MAC {}, which is not ours", show(parties.foreign_mac)))
        }
        Passes::No => security.evidence.push(format!(
            "{peer} answers the same question from our own MAC, but not from {}, which nobody has",
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
fn echo<A: Address>(wire: &mut Wire, parties: &Parties<A>, from: A) -> Result<Echo, DoctorError> {
    let own = wire.mac();
    let identifier = u16::from_be_bytes([parties.foreign_mac.0[4], parties.foreign_mac.0[5]]);
    let speaks_for = (Some(from) != parties.own).then_some(from);
    let _member = speaks_for.and_then(|address| A::subscribe(wire.index(), address));
    let peer = parties.peer.0;
    let mut echo = Echo { asked: false, answered: false };
    for sequence in 0..ATTEMPTS {
        wire.send(&A::ping((own, from), (parties.peer.1, peer), identifier, sequence))?;
        wire.listen(Instant::now() + PATIENCE, |bytes, answers| {
            match frame::read(bytes) {
                // Whichever of its addresses a station asks from.
                Some(Heard::Asks { address, asker, mac }) if speaks_for.map(Into::into) == Some(address) && mac == parties.peer.1 => {
                    echo.asked = true;
                    // One that is link-local is answered too.
                    answers.extend(frame::reply(own, address, (mac, asker)));
                }
                Some(Heard::Echo { from: answering, to, id }) if answering == peer.into() && to == from.into() && id == identifier => {
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

/// Asks for the peer's MAC from the foreign address. `None`: the peer does not answer us either.
fn asked_from<A: Address>(wire: &mut Wire, parties: &Parties<A>) -> Result<Option<Passes>, DoctorError> {
    let own = wire.mac();
    if answers(wire, &A::request(own, parties.foreign, parties.peer.0), parties, parties.foreign, own)? {
        return Ok(Some(Passes::Yes));
    }
    // Is it still there?
    let control = match parties.own {
        Some(address) => address,
        None if parties.probes_pass => A::NOBODY,
        None => return Ok(None),
    };
    let there = answers(wire, &A::request(own, control, parties.peer.0), parties, control, own)?;
    Ok(there.then_some(Passes::No))
}

fn foreign_mac<A: Address>(wire: &mut Wire, parties: &Parties<A>, source: Passes) -> Result<Passes, DoctorError> {
    // From the unspecified address nobody learns anything. Where such probes are dropped, the foreign address serves, if it passes.
    let sender = match (parties.probes_pass, source) {
        (true, _) => A::NOBODY,
        (false, Passes::Yes) => parties.foreign,
        (false, _) => return Ok(Passes::Unknown),
    };
    let own = wire.mac();
    let foreign = parties.foreign_mac;
    if answers(wire, &A::request(foreign, sender, parties.peer.0), parties, sender, foreign)? {
        return Ok(Passes::Yes);
    }
    let there = answers(wire, &A::request(own, sender, parties.peer.0), parties, sender, own)?;
    Ok(if there { Passes::No } else { Passes::Unknown })
}

/// Sends a request by `sender` at `mac`, up to [`ATTEMPTS`] times, until the peer answers it.
fn answers<A: Address>(wire: &mut Wire, request: &[u8], parties: &Parties<A>, sender: A, mac: Mac) -> Result<bool, DoctorError> {
    let to = A::answered_to(mac, sender);
    let (peer, sender): (IpAddr, IpAddr) = (parties.peer.0.into(), sender.into());
    let mut answered = false;
    for _ in 0..ATTEMPTS {
        wire.send(request)?;
        wire.listen(Instant::now() + PATIENCE, |bytes, _| match frame::read(bytes) {
            Some(Heard::Has { address, asker, to: receiver, .. }) if address == peer && asker == sender && receiver == to => {
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
