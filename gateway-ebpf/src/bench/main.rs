//! The bench's own BPF object: generator, plain redirect, sink. Anywhere but on BPF, an empty main.
//!
//! The generator stamps every header of each frame, because the kernel recycles frames with the gateway's rewrites in them.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// No panic path survives to run: the verifier refuses a program in which one can be reached.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
#[allow(unsafe_code)]
// SAFETY: the section is read by the loader only, never linked or executed.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
