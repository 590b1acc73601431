//! The packet core: bytes and table look-ups in, a decision out.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
