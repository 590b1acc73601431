//! A refused packet's first bytes, copied to user space, which sends the answer.

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;
use gateway_ebpf::abi::{Family, Refused};
use gateway_ebpf::packet::Packet;

use crate::maps::ANSWERS;

/// Reports the packet, dropped for the reason of this number. Without room in the ring buffer it stays unanswered.
#[inline(always)]
pub fn report<F: Family>(ctx: &TcContext, packet: &Packet<F>, reason: u8, mtu: u16) {
    let Some(mut entry) = ANSWERS.reserve::<Refused>(0) else { return };
    let refused = entry.as_mut_ptr();
    // Opaque to LLVM, which would otherwise prove the mask away by it: the verifier wants to see 1 to 128 right here.
    let wanted = core::hint::black_box(if (packet.length as u32) < LEN { packet.length as u32 } else { LEN });
    let len = (wanted.wrapping_sub(1) & (LEN - 1)) + 1;
    // SAFETY: `refused` points to a whole reserved entry. Its members are written one by one, for a whole one would stand on the stack.
    let copied = unsafe {
        (*refused).ifindex = packet.key.link().ifindex().0;
        (*refused).reason = reason;
        (*refused).zero = 0;
        (*refused).mtu = mtu;
        (*refused).len = len as u16;
        (*refused).zero_too = [0; 6];
        bpf_skb_load_bytes(ctx.skb.skb.cast(), packet.l3 as u32, (&raw mut (*refused).bytes).cast(), len)
    };
    if copied == 0 {
        entry.submit(0);
    } else {
        entry.discard(0);
    }
}

/// A power of two, so that a mask can hold the length.
const LEN: u32 = Refused::BYTES as u32;
const _: () = assert!(LEN.is_power_of_two());
