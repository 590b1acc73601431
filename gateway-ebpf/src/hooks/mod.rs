//! The glue between the kernel and the packet core: the only `unsafe` of this package.
#![allow(unsafe_code)]

mod answer;
mod bytes;
mod fib;
mod kernel;
mod places;
mod tables;
mod tc;
mod xdp;

use crate::maps::REASONS;

/// Counts a packet that is not forwarded, by [`gateway_ebpf::abi::Reason::index`]. Per CPU, so never a shared write.
#[inline(always)]
fn count(index: u32) {
    if let Some(counter) = REASONS.get_ptr_mut(index) {
        // SAFETY: the element lives as long as the program, and only this CPU writes it.
        unsafe { *counter += 1 };
    }
}

/// Coarse monotonic time: about a tenth of the precise clock's cost per packet.
#[inline(always)]
fn now() -> u64 {
    let fixed = crate::maps::FIXED_NOW.load();
    if fixed != 0 {
        return fixed;
    }
    // SAFETY: a helper without arguments.
    unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns() }
}
