//! What keeps the kernel's verifier from walking the same instructions again and again (Documentation/bpf/verifier.rst).

use core::hint::black_box;

/// The same number, but the verifier forgets which one it is, and walks what follows once and not once per value. `unknown` is any number
/// that it does not know. It does not see that adding and subtracting it changes nothing; LLVM would, but for the box.
#[inline(always)]
#[must_use]
pub fn forget(number: u32, unknown: u32) -> u32 {
    black_box(number.wrapping_add(unknown)).wrapping_sub(unknown)
}
