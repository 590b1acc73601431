//! The state machine of a flow.
//!
//! ```text
//!            reply: SYN ACK            original: ACK
//!  OPENING ------------------> ANSWERED -------------> ESTABLISHED      TCP
//!  OPENING ---------------------- reply -------------> ESTABLISHED      UDP, ICMP echo
//!
//!  ESTABLISHED -- original: FIN --> ORIGINAL_CLOSED -- reply: FIN -----> CLOSED
//!              -- reply: FIN -----> REPLY_CLOSED    -- original: FIN --> CLOSED
//!  any         -- RST ------------------------------------------------> CLOSED
//! ```
//!
//! A TCP flow moves to the main table only when its originator has acknowledged the answer: a flood of SYNs from forged sources against a
//! real server gets answers too.

use crate::abi::{DropReason, Family, FlowState};
use crate::packet::{Kind, Packet};
use crate::wire::tcp;

/// What a packet does to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The state after the packet.
    To(FlowState),
    /// A SYN on a closed flow: forget it and decide anew (RFC 9293 section 3.6.1, TIME-WAIT).
    Reopen,
    /// The packet cannot be of this flow.
    Refuse(DropReason),
}

/// The step that `packet` takes from `state`.
#[inline(always)]
#[must_use]
pub fn step<F: Family>(state: FlowState, original: bool, packet: &Packet<F>) -> Step {
    match packet.kind {
        Kind::Tcp => tcp_step(state, original, packet.tcp_flags),
        Kind::EchoRequest if !original => Step::Refuse(DropReason::State),
        Kind::EchoReply if original => Step::Refuse(DropReason::State),
        _ => Step::To(if original { state } else { FlowState::ESTABLISHED }),
    }
}

#[inline(always)]
fn tcp_step(state: FlowState, original: bool, flags: u8) -> Step {
    let syn = flags & tcp::SYN != 0;
    let ack = flags & tcp::ACK != 0;
    if syn && !ack && state == FlowState::CLOSED {
        // Only by the side that opened it: a forged reset and a forged SYN from the other side would otherwise take a flow away.
        return if original { Step::Reopen } else { Step::Refuse(DropReason::State) };
    }
    if flags & tcp::RST != 0 {
        return Step::To(FlowState::CLOSED);
    }
    if flags & tcp::FIN != 0 {
        return Step::To(match (state, original) {
            // Nothing has been opened yet that the reply side could close.
            (FlowState::OPENING, false) => FlowState::OPENING,
            (FlowState::ORIGINAL_CLOSED, false) | (FlowState::REPLY_CLOSED, true) | (FlowState::CLOSED, _) => FlowState::CLOSED,
            (_, true) => FlowState::ORIGINAL_CLOSED,
            (_, false) => FlowState::REPLY_CLOSED,
        });
    }
    Step::To(match state {
        // A SYN from the reply side, with or without ACK: a simultaneous open is valid (RFC 5382 REQ-2).
        FlowState::OPENING if !original && syn => FlowState::ANSWERED,
        FlowState::ANSWERED if original && ack => FlowState::ESTABLISHED,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::FlowState as S;

    fn tcp(state: S, original: bool, flags: u8) -> S {
        match tcp_step(state, original, flags) {
            Step::To(next) => next,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_handshake_establishes_and_two_fins_close() {
        let mut state = S::OPENING;
        for (original, flags, next) in [
            (true, tcp::SYN, S::OPENING),
            (false, tcp::SYN | tcp::ACK, S::ANSWERED),
            (true, tcp::ACK, S::ESTABLISHED),
            (true, tcp::FIN | tcp::ACK, S::ORIGINAL_CLOSED),
            (false, tcp::ACK, S::ORIGINAL_CLOSED),
            (false, tcp::FIN | tcp::ACK, S::CLOSED),
            (true, tcp::ACK, S::CLOSED),
        ] {
            state = tcp(state, original, flags);
            assert_eq!(state, next);
        }
        assert_eq!(tcp_step(state, true, tcp::SYN), Step::Reopen);
    }

    #[test]
    fn a_simultaneous_open_establishes() {
        let state = tcp(S::OPENING, false, tcp::SYN);
        assert_eq!(tcp(state, true, tcp::SYN | tcp::ACK), S::ESTABLISHED);
    }

    #[test]
    fn a_reset_closes_in_every_state() {
        for state in [S::OPENING, S::ANSWERED, S::ESTABLISHED, S::ORIGINAL_CLOSED, S::REPLY_CLOSED, S::CLOSED] {
            assert_eq!(tcp(state, false, tcp::RST | tcp::ACK), S::CLOSED);
        }
    }

    #[test]
    fn the_reply_side_can_neither_reopen_nor_close_what_it_has_not_answered() {
        assert_eq!(tcp_step(S::CLOSED, false, tcp::SYN), Step::Refuse(DropReason::State));
        assert_eq!(tcp(S::OPENING, false, tcp::FIN | tcp::ACK), S::OPENING);
    }

    #[test]
    fn an_unanswered_syn_does_not_establish_itself() {
        assert_eq!(tcp(S::OPENING, true, tcp::SYN), S::OPENING);
        assert_eq!(tcp(S::OPENING, true, tcp::ACK), S::OPENING);
    }
}
