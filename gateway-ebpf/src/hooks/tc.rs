//! tc ingress: the complete datapath.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT, bpf_redir_neigh};
use aya_ebpf::helpers::generated::{bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_skb_vlan_pop};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::TcContext;
use gateway_ebpf::abi::{Address, DropReason, IfIndex, PassReason, Reason, V4, V6};
use gateway_ebpf::answer;
use gateway_ebpf::decision::Forward;
use gateway_ebpf::env::Arrival;
use gateway_ebpf::packet::{Headers, Packet};
use gateway_ebpf::pipeline::{self, Admitted, Refusal, Scratch};
use gateway_ebpf::rewrite::{self, Places, TransportDelta};

use super::answer::report;
use super::bytes::Bytes;
use super::kernel::Kernel;
use super::tables::Tables;
use super::{count, now};
use crate::maps::{SCRATCH_V4, SCRATCH_V6};

/// Bytes that are made linear where what is linear does not hold the headers: link layer, IPv6, and a transport header, with room for options.
/// Not before it is known: TCP sends its headers linear and its data as pages, and to pull a byte more is to copy the packet's head, which is
/// shared with the sender's queue (net/core/skbuff.c, `__pskb_pull_tail`), and to take a reference to every page: 5 % of a bulk transfer.
const HEADERS: u32 = 128;
/// include/uapi/linux/bpf.h: a checksum of zero stays, and none is produced.
const F_MARK_MANGLED_0: u64 = 1 << 5;
/// include/uapi/linux/bpf.h: the difference is of the pseudo-header, which is all that a partial checksum covers.
const F_PSEUDO_HDR: u64 = 1 << 4;

/// The programs of tc, by tail call: each program of a chain has a stack of its own, and is verified by itself. The daemon fills the table.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(5, 0);
/// Index of [`gateway_tc`].
const AGAIN: u32 = 0;
/// Index of [`gateway_hit_v4`].
const HIT_V4: u32 = 1;
/// Index of [`gateway_open_v4`].
const OPEN_V4: u32 = 2;
/// Index of [`gateway_hit_v6`].
const HIT_V6: u32 = 3;
/// Index of [`gateway_open_v6`].
const OPEN_V6: u32 = 4;

/// The tc program: answers established flows, and hands everything else on.
#[classifier]
pub fn gateway_tc(ctx: TcContext) -> i32 {
    verdict(run(&ctx))
}

/// Decides the IPv4 packet in this CPU's scratch memory, if it is of a known flow.
#[classifier]
pub fn gateway_hit_v4(ctx: TcContext) -> i32 {
    verdict(scratch_v4().and_then(|scratch| hit(&ctx, scratch, OPEN_V4)))
}

/// Decides the IPv4 packet in this CPU's scratch memory, which is of no known flow.
#[classifier]
pub fn gateway_open_v4(ctx: TcContext) -> i32 {
    verdict(scratch_v4().map(|scratch| open(&ctx, scratch)))
}

/// Decides the IPv6 packet in this CPU's scratch memory, if it is of a known flow.
#[classifier]
pub fn gateway_hit_v6(ctx: TcContext) -> i32 {
    verdict(scratch_v6().and_then(|scratch| hit(&ctx, scratch, OPEN_V6)))
}

/// Decides the IPv6 packet in this CPU's scratch memory, which is of no known flow.
#[classifier]
pub fn gateway_open_v6(ctx: TcContext) -> i32 {
    verdict(scratch_v6().map(|scratch| open(&ctx, scratch)))
}

#[inline(always)]
fn verdict(result: Result<i32, Reason>) -> i32 {
    result.unwrap_or_else(|reason| refuse(reason.index()))
}

/// Counts the packet and leaves it to its fate; `index` is [`Reason::index`].
#[inline(always)]
fn refuse(index: u32) -> i32 {
    count(index);
    // Punted packets go on to the kernel's forwarding path, where the guard table lets nothing through: what leaves is the ICMP error that
    // the kernel makes before it.
    if index < Reason::DROPS { TC_ACT_SHOT } else { TC_ACT_OK }
}

#[inline(always)]
fn scratch_v4() -> Result<&'static mut Scratch<V4>, Reason> {
    // SAFETY: per CPU, and the program is not interrupted by another instance of itself.
    SCRATCH_V4.get_ptr_mut(0).map(|p| unsafe { &mut *p }).ok_or(Reason::Drop(DropReason::NotReady))
}

#[inline(always)]
fn scratch_v6() -> Result<&'static mut Scratch<V6>, Reason> {
    // SAFETY: as above.
    SCRATCH_V6.get_ptr_mut(0).map(|p| unsafe { &mut *p }).ok_or(Reason::Drop(DropReason::NotReady))
}

#[inline(always)]
fn run(ctx: &TcContext) -> Result<i32, Reason> {
    let skb = ctx.skb.skb;
    // SAFETY: fields of the program's context.
    let (len, vlan_present, vlan, gso_size, ifindex) =
        unsafe { ((*skb).len, (*skb).vlan_present, (*skb).vlan_tci, (*skb).gso_size, (*skb).ifindex) };
    let arrival = Arrival {
        ifindex: IfIndex(ifindex),
        now_ns: now(),
        gso_size: gso_size as u16,
        vlan: if vlan_present != 0 { vlan as u16 } else { 0 },
    };
    let frame = Bytes::new(ctx.data(), ctx.data_end(), len as usize);
    let admitted = match pipeline::admit(&Kernel::<V4>::new(ctx.as_ptr()), &frame, &arrival, Headers::All) {
        Ok(admitted) => admitted,
        Err(reason) => return Err(pull(ctx, len, reason)),
    };
    if vlan_present != 0 {
        // A priority tag, which names no VLAN: it does not survive routing (802.1Q section 6.9).
        // SAFETY: the program's own context.
        unsafe { bpf_skb_vlan_pop(skb) };
    }
    match admitted {
        Admitted::V4(packet) => fast(ctx, packet, arrival, scratch_v4()?, HIT_V4),
        Admitted::V6(packet) => fast(ctx, packet, arrival, scratch_v6()?, HIT_V6),
    }
}

/// Begins again with more of the packet linear, if that is why it was not understood. Only once: then so much is, or everything.
#[inline(always)]
fn pull(ctx: &TcContext, len: u32, reason: Reason) -> Reason {
    let linear = (ctx.data_end() - ctx.data()) as u32;
    let short = matches!(reason, Reason::Drop(DropReason::Truncated) | Reason::Pass(PassReason::NotIp));
    if short && linear < HEADERS && linear < len && ctx.pull_data(if len < HEADERS { len } else { HEADERS }).is_ok() {
        return go_on(ctx, AGAIN);
    }
    reason
}

#[inline(always)]
fn fast<F: Tables>(ctx: &TcContext, packet: Packet<F>, arrival: Arrival, scratch: &mut Scratch<F>, hit: u32) -> Result<i32, Reason> {
    scratch.packet = packet;
    scratch.arrival = arrival;
    // What was parsed is read back from memory, and what follows is verified once, not once per kind of packet.
    let scratch = core::hint::black_box(scratch);
    if pipeline::decide_established(&mut Kernel::<F>::new(ctx.as_ptr()), scratch) {
        return forward_packet(ctx, &scratch.packet, &scratch.forward).ok_or(Reason::Drop(DropReason::WriteFailed));
    }
    Err(go_on(ctx, hit))
}

/// Goes on with another program, or says why not.
#[inline(always)]
fn go_on(ctx: &TcContext, program: u32) -> Reason {
    // SAFETY: the table holds programs of this type only; the call returns only if the entry is empty.
    let _ = unsafe { PROGRAMS.tail_call(ctx, program) };
    Reason::Drop(DropReason::NotReady)
}

#[inline(always)]
fn hit<F: Tables>(ctx: &TcContext, scratch: &mut Scratch<F>, open: u32) -> Result<i32, Reason> {
    match pipeline::decide_known(&mut Kernel::<F>::new(ctx.as_ptr()), scratch) {
        Ok(true) => Ok(finish(ctx, scratch, Ok(()))),
        Ok(false) => Err(go_on(ctx, open)),
        Err(reason) => Ok(finish(ctx, scratch, Err(reason))),
    }
}

#[inline(always)]
fn open<F: Tables>(ctx: &TcContext, scratch: &mut Scratch<F>) -> i32 {
    let decided = pipeline::decide_new(&mut Kernel::<F>::new(ctx.as_ptr()), scratch);
    finish(ctx, scratch, decided)
}

/// Forwards the packet, or refuses it and has its sender told.
#[inline(always)]
fn finish<F: Tables>(ctx: &TcContext, scratch: &mut Scratch<F>, decided: Result<(), Reason>) -> i32 {
    let reason = match decided {
        Ok(()) => match forward_packet(ctx, &scratch.packet, &scratch.forward) {
            Some(action) => return action,
            None => Reason::Drop(DropReason::WriteFailed),
        },
        Err(reason) => reason,
    };
    let answered = matches!(reason, Reason::Drop(reason) if answer::wanted(&scratch.packet, reason));
    let refusal = &raw mut scratch.refusal;
    // SAFETY: both go to this CPU's scratch memory. Volatile, so that the verifier forgets which of the many reasons it is and walks what
    // follows once, instead of once for each.
    let Refusal { index, answered } = unsafe {
        refusal.write_volatile(Refusal { index: reason.index(), answered: answered as u32 });
        refusal.read_volatile()
    };
    if answered != 0 {
        report(ctx, &scratch.packet, index as u8, scratch.answer.mtu);
    }
    refuse(index)
}

#[inline(always)]
fn forward_packet<F: Tables>(ctx: &TcContext, packet: &Packet<F>, forward: &Forward<F>) -> Option<i32> {
    let mut frame = Bytes::new(ctx.data(), ctx.data_end(), ctx.len() as usize);
    if let Some(delta) = rewrite::headers(&mut frame, packet, Places::of(packet), forward)? {
        transport_checksum(ctx, &delta)?;
    }
    let egress = forward.egress.0;
    if forward.resolved {
        // SAFETY: a helper of plain numbers.
        return Some(unsafe { bpf_redirect(egress, 0) } as i32);
    }
    // SAFETY: a plain C structure of integers, for which zero is valid.
    let mut params: bpf_redir_neigh = unsafe { core::mem::zeroed() };
    if F::Address::BYTES == 4 {
        params.nh_family = 2;
        params.__bindgen_anon_1.ipv4_nh = forward.gateway.words()[0];
    } else {
        params.nh_family = 10;
        params.__bindgen_anon_1.ipv6_nh = forward.gateway.words();
    }
    // SAFETY: `params` is a whole `struct bpf_redir_neigh` on the stack.
    Some(unsafe { bpf_redirect_neigh(egress, &mut params, size_of::<bpf_redir_neigh>() as i32, 0) } as i32)
}

/// Through the kernel, which knows whether the checksum is complete, partial, or verified by the device.
#[inline(always)]
fn transport_checksum(ctx: &TcContext, delta: &TransportDelta) -> Option<()> {
    let zero = if delta.zero_is_none { F_MARK_MANGLED_0 } else { 0 };
    let offset = delta.offset as u32;
    let skb = ctx.skb.skb;
    if delta.pseudo_header != 0 {
        // SAFETY: the program's own context; a bad offset is refused by the helper.
        let code = unsafe { bpf_l4_csum_replace(skb, offset, 0, delta.pseudo_header as u64, F_PSEUDO_HDR | zero) };
        if code != 0 {
            return None;
        }
    }
    let ports = gateway_ebpf::wire::checksum::fold(delta.ports);
    if ports != 0 && ports != 0xffff {
        // SAFETY: as above.
        let code = unsafe { bpf_l4_csum_replace(skb, offset, 0, ports as u64, zero) };
        if code != 0 {
            return None;
        }
    }
    Some(())
}
