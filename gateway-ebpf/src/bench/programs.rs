//! The bench's programs and their maps.
#![allow(unsafe_code)]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use gateway_ebpf::bench::{
    COUNTERS as COUNTERS_LEN, Config, Counter, FRAME, Numbers, answer, has_right_checksums, has_right_headers, is_ours, is_right_reply,
    stamp,
};

#[map]
static BENCH: Array<Config> = Array::with_max_entries(1, 0);
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTERS_LEN, 0);
/// The flow of the generator's next frame.
#[map]
static NEXT: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn count(counter: Counter) {
    if let Some(counter) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the element lives as long as the program, and only this CPU writes it.
        unsafe { *counter += 1 };
    }
}

/// The whole frame, when there is one.
#[inline(always)]
fn frame(ctx: &XdpContext) -> Option<*mut [u32; FRAME / 4]> {
    if ctx.data() + FRAME > ctx.data_end() {
        return None;
    }
    Some(ctx.data() as *mut [u32; FRAME / 4])
}

#[inline(always)]
fn redirect(to: u32) -> u32 {
    // SAFETY: a helper of plain numbers.
    unsafe { bpf_redirect(to, 0) as u32 }
}

/// Makes one frame of the next flow and sends it. Run by `BPF_PROG_TEST_RUN` with live frames.
#[xdp]
pub fn bench_generate(ctx: XdpContext) -> u32 {
    let (Some(frame), Some(config), Some(next)) = (frame(&ctx), BENCH.get(0), NEXT.get_ptr_mut(0)) else { return XDP_ABORTED };
    // SAFETY: as in `count`.
    let before = unsafe { *next };
    // The round before may have had more flows.
    let flow = if before < config.flows { before } else { 0 };
    let after = flow.wrapping_add(config.stride);
    // SAFETY: as in `count`.
    unsafe { *next = if after >= config.flows { after.wrapping_sub(config.flows) } else { after } };
    // SAFETY: `frame` has checked the bounds.
    unsafe { *frame = stamp(&config.template, Numbers::of(flow)) };
    count(Counter::Sent);
    redirect(config.generate_to)
}

/// Sends every frame on as it is: the limit of the set-up.
#[xdp]
pub fn bench_forward(_ctx: XdpContext) -> u32 {
    match BENCH.get(0) {
        Some(config) => redirect(config.forward_to),
        None => XDP_ABORTED,
    }
}

/// Verifies and counts what arrives, and drops it or returns it to its sender.
#[xdp]
pub fn bench_sink(ctx: XdpContext) -> u32 {
    let (Some(frame), Some(config)) = (frame(&ctx), BENCH.get(0)) else { return XDP_PASS };
    // SAFETY: `frame` has checked the bounds.
    let arrived = unsafe { &mut *frame };
    if !is_ours(arrived) {
        return XDP_PASS;
    }
    if !has_right_checksums(arrived) {
        count(Counter::BadChecksum);
        return XDP_DROP;
    }
    if !has_right_headers(arrived, config) {
        count(Counter::BadHeader);
        return XDP_DROP;
    }
    count(Counter::Received);
    if config.return_to == 0 {
        return XDP_DROP;
    }
    *arrived = answer(arrived);
    redirect(config.return_to)
}

/// Verifies and counts the replies at the generator's end, and drops them.
#[xdp]
pub fn bench_reply(ctx: XdpContext) -> u32 {
    let (Some(frame), Some(config)) = (frame(&ctx), BENCH.get(0)) else { return XDP_PASS };
    // SAFETY: `frame` has checked the bounds.
    let arrived = unsafe { &*frame };
    if !is_ours(arrived) {
        return XDP_PASS;
    }
    count(if is_right_reply(arrived, config) { Counter::Replies } else { Counter::BadReplies });
    XDP_DROP
}
