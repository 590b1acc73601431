//! Ways of forwarding that are no gateway: the limits of the set-up, and one with faults.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{TC_ACT_OK, bpf_fib_lookup as Params};
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{DevMap, PerCpuArray};
use aya_ebpf::programs::{TcContext, XdpContext};
use gateway_ebpf::bench::{Config, Fault, FrameV4, FrameV6, Layout, Numbers, SPOILT, is_of_flow, is_ours, spoil};

use super::{BENCH, context, frame, redirect};

/// The gateway's interfaces: 0 on the generator's side, 1 on the sink's.
#[map]
static DEVICES: DevMap = DevMap::with_max_entries(2, 0);

/// The interface on the other side of the one that a packet came from.
#[inline(always)]
fn across(config: &Config, arrival: u32) -> u32 {
    if arrival == config.outside { config.inside } else { config.outside }
}

/// Sends every frame on as it is, by `bpf_redirect`.
#[xdp]
pub fn bench_forward(ctx: XdpContext) -> u32 {
    match BENCH.get(0) {
        Some(config) => redirect(across(config, ctx.ingress_ifindex() as u32)),
        None => XDP_ABORTED,
    }
}

/// Sends every frame on as it is, by a device map.
#[xdp]
pub fn bench_devmap(ctx: XdpContext) -> u32 {
    let Some(config) = BENCH.get(0) else { return XDP_ABORTED };
    let to = (ctx.ingress_ifindex() as u32 != config.outside) as u32;
    DEVICES.redirect(to, XDP_ABORTED as u64).unwrap_or_else(|action| action)
}

/// Sends every packet on as it is, at tc.
#[classifier]
pub fn bench_tc(ctx: TcContext) -> i32 {
    // SAFETY: a field of the program's context.
    let arrival = unsafe { (*ctx.skb.skb).ingress_ifindex };
    match BENCH.get(0) {
        Some(config) => redirect(across(config, arrival)) as i32,
        None => TC_ACT_OK,
    }
}

/// Routes by the kernel's tables (`bpf_fib_lookup`), rewrites both MACs, lowers the hop limit, redirects: what the program xdp-forward
/// of xdp-tools does, without state and without translation.
#[xdp]
pub fn bench_fib(ctx: XdpContext) -> u32 {
    route(&ctx).unwrap_or(XDP_PASS)
}

#[inline(always)]
fn route(ctx: &XdpContext) -> Option<u32> {
    // Ethernet and the longer of the two IP headers.
    let (begin, end) = (ctx.data(), ctx.data_end());
    if begin + 54 > end {
        return None;
    }
    // SAFETY: within the bounds above.
    let byte = |at: usize| unsafe { *((begin + at) as *const u8) };
    // SAFETY: likewise.
    let half = |at: usize| unsafe { ((begin + at) as *const u16).read_unaligned() };
    // SAFETY: likewise.
    let word = |at: usize| unsafe { ((begin + at) as *const u32).read_unaligned() };
    // SAFETY: a plain C structure of integers, for which zero is valid.
    let mut params: Params = unsafe { core::mem::zeroed() };
    params.ifindex = ctx.ingress_ifindex() as u32;
    let version = byte(14) >> 4;
    if version == 4 && half(12) == 0x0800u16.to_be() && byte(22) > 1 {
        params.family = 2;
        params.l4_protocol = byte(23);
        params.__bindgen_anon_1.tot_len = u16::from_be(half(16));
        params.__bindgen_anon_3.ipv4_src = word(26);
        params.__bindgen_anon_4.ipv4_dst = word(30);
    } else if version == 6 && half(12) == 0x86ddu16.to_be() && byte(21) > 1 {
        params.family = 10;
        params.l4_protocol = byte(20);
        params.__bindgen_anon_1.tot_len = u16::from_be(half(18)) + 40;
        params.__bindgen_anon_3.ipv6_src = [word(22), word(26), word(30), word(34)];
        params.__bindgen_anon_4.ipv6_dst = [word(38), word(42), word(46), word(50)];
    } else {
        return None;
    }
    // SAFETY: `params` is a whole `struct bpf_fib_lookup` on the stack, `context` the program's own context.
    let code = unsafe { bpf_fib_lookup(context(ctx), &mut params, size_of::<Params>() as i32, 0) };
    if code != 0 {
        return None;
    }
    let mut at = 0;
    while at < 6 {
        // SAFETY: within the bounds above; a look-up that succeeded has filled in the MACs.
        unsafe {
            *((begin + at) as *mut u8) = params.dmac[at];
            *((begin + 6 + at) as *mut u8) = params.smac[at];
        }
        at += 1;
    }
    if version == 4 {
        // RFC 1141: one less in the high byte of a word is one more in the sum's.
        let sum = u16::from_be(half(24)) as u32 + 0x100;
        let sum = ((sum & 0xffff) + (sum >> 16)) as u16;
        // SAFETY: within the bounds above.
        unsafe {
            ((begin + 24) as *mut u16).write_unaligned(sum.to_be());
            *((begin + 22) as *mut u8) = byte(22) - 1;
        }
    } else {
        // SAFETY: likewise.
        unsafe { *((begin + 21) as *mut u8) = byte(21) - 1 };
    }
    Some(redirect(params.ifindex))
}

/// A frame that went through, to come a second time.
#[map]
static LAST_V4: PerCpuArray<FrameV4> = PerCpuArray::with_max_entries(1, 0);
#[map]
static LAST_V6: PerCpuArray<FrameV6> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn faulty<L: Layout>(ctx: &XdpContext, last: Option<*mut L>) -> Option<u32> {
    let (config, last) = (BENCH.get(0)?, last?);
    let frame = frame::<L>(ctx.data(), ctx.data_end())?;
    // SAFETY: `frame` has checked the bounds; the element lives as long as the program, and only this CPU touches it.
    let (frame, last) = unsafe { (&mut *frame, &mut *last) };
    if !is_of_flow(frame, Numbers::of(SPOILT)) {
        *last = *frame;
    } else if config.fault == Fault::Lose as u32 {
        return Some(XDP_DROP);
    } else if config.fault == Fault::Repeat as u32 {
        if is_ours(last) {
            *frame = *last;
        }
    } else {
        spoil(frame, config.fault);
    }
    Some(redirect(across(config, ctx.ingress_ifindex() as u32)))
}

/// Sends frames on as [`bench_forward`] does, and spoils those of flow [`SPOILT`].
#[xdp]
pub fn bench_faulty(ctx: XdpContext) -> u32 {
    faulty(&ctx, LAST_V4.get_ptr_mut(0)).unwrap_or(XDP_PASS)
}

/// The same for IPv6.
#[xdp]
pub fn bench_faulty_v6(ctx: XdpContext) -> u32 {
    faulty(&ctx, LAST_V6.get_ptr_mut(0)).unwrap_or(XDP_PASS)
}
