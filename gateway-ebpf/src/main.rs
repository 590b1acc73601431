//! The BPF object: maps and hooks around the packet core. Anywhere but on BPF, an empty main.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// Compare-and-exchange: the target says it has none, its instruction set has (hooks/places.rs). The BPF build is a nightly one anyway.
#![cfg_attr(target_arch = "bpf", feature(core_intrinsics), allow(internal_features))]

#[cfg(target_arch = "bpf")]
mod hooks;
#[cfg(target_arch = "bpf")]
mod maps;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// No panic path survives to run: the verifier refuses a program in which one can be reached.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_fib_lookup` are open to programs under a licence that the kernel counts as compatible with the GPL; "Dual
/// MIT/GPL" is the one of its list that states our MIT choice.
#[cfg(target_arch = "bpf")]
#[allow(unsafe_code)]
// SAFETY: the section is read by the loader only, never linked or executed.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
