//! adjtimex(2), which neither rustix nor nix wraps.
#![allow(unsafe_code)]

/// What the kernel says of its clock; nothing is set. `None`: it does not say.
pub(super) fn ask() -> Option<libc::timex> {
    // SAFETY: a C structure of integers, for which zero is valid. Without modes the call only reads.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `clock` is whole, and the kernel writes no more than that.
    let state = unsafe { libc::adjtimex(&mut clock) };
    (state >= 0).then_some(clock)
}
